import { sha256 } from '#runtime';
import { JsonError, readJson } from '../crypto/json.ts';
import { serializeItem } from '../crypto/structured-field.ts';
import type { Reservation } from '../gate/budget.ts';
import type { Freshness } from '../gate/gate.ts';
import type { LiveRuntime } from '../gate/runtimes.ts';
import type { VerifiedChain } from '../proof/chain.ts';
import type { Pop } from '../proof/pop.ts';
import { joined } from '../request/headers.ts';
import type { Routed } from '../request/route-map.ts';
import { queryParameters } from '../request/target.ts';
import { type Profile, stricter } from '../schema/common.ts';
import type { LinkFacts } from '../schema/decision.ts';
import { isSecretHeader } from '../schema/header.ts';
import type { PolicyInput } from '../schema/input.ts';
import type { Lemma } from '../schema/lemma.ts';
import type { AuthzRequest, BodyFacts, Presented, Route } from '../schema/request.ts';

/** Nesting that a JSON body may have, the outermost being 1. */
const MAX_BODY_DEPTH = 64;

/** What a profile's bundle asks to see (`metadata.lemma`). */
export interface Disclosure {
  /** Header names, lower case. */
  readonly headers: readonly string[];
  /** Dotted paths, `query.<name>` or `body.<member>…`, taken out before the input is made. */
  readonly redact: readonly string[];
}

export interface InputFacts {
  readonly nowMs: number;
  readonly profile: Profile;
  readonly request: AuthzRequest;
  readonly routed: Routed;
  readonly routeRevision: string;
  readonly presented: Presented;
  readonly body: BodyFacts;
  readonly chain: VerifiedChain | null;
  readonly pop: Pop | null;
  readonly runtime: LiveRuntime | null;
  readonly freshness: Freshness;
  readonly budget: Reservation | null;
  readonly disclosure: Disclosure;
}

/** The effective profile: the stricter of the route's risk and the runtime's, registered or proven. */
export function effectiveProfile(
  routed: Routed,
  runtime: LiveRuntime | null,
  chain: VerifiedChain | null,
): Profile {
  return stricter(
    routed.route.risk,
    runtime?.profile ?? 'low',
    chain === null ? 'low' : chain.runtime.claims.profile,
  );
}

/** The policy's input (contracts.md): secrets are gone before it is made. */
export function buildInput(facts: InputFacts): PolicyInput {
  const { routed, chain, runtime } = facts;
  const { route } = routed;
  const input: PolicyInput = {
    v: 1,
    now: facts.nowMs,
    profile: facts.profile,
    request: requestInput(facts),
    route: routeInput(route, facts.routeRevision),
    subject: {
      org: route.org,
      env: route.env,
      ...subjectInput(facts),
    },
    runtime: runtime === null ? null : runtimeInput(runtime, chain?.runtime.claims.profile ?? 'low'),
    proof: chain === null ? null : proofInput(chain, facts),
    freshness: facts.freshness,
    budget: facts.budget === null ? null : { limit: facts.budget.limit, used: facts.budget.used },
    legacy: legacyInput(chain, facts.nowMs),
    ...(facts.request.authzen === undefined ? {} : { authzen: facts.request.authzen }),
  };
  for (const path of facts.disclosure.redact) redact(input, path);
  return input;
}

export function routeInput(route: Route, revision: string): PolicyInput['route'] {
  return {
    id: route.id,
    api: route.api,
    action: route.action,
    scope: [...route.scope],
    audience: route.audience,
    risk: route.risk,
    body: route.body,
    public: route.public,
    taint_on_response: route.taint_on_response,
    revision,
  };
}

/** `proven`: the profile that its proof says. */
export function runtimeInput(runtime: LiveRuntime, proven: Profile): NonNullable<PolicyInput['runtime']> {
  return {
    id: runtime.runtime_id,
    agent_id: runtime.agent_id,
    workspace_id: runtime.workspace_id,
    status: runtime.status,
    profile: stricter(runtime.profile, proven),
    registered_at: runtime.registered_at,
    taint_epoch: runtime.taint_epoch,
  };
}

function subjectInput({
  chain,
  presented,
  request,
  routed,
}: InputFacts): Pick<PolicyInput['subject'], 'id' | 'via'> {
  if (chain !== null && presented.kind !== 'none') return { id: chain.leaf.subject, via: presented.kind };
  const asserted = routed.route.public ? undefined : request.asserted;
  return asserted === undefined ? { id: null, via: 'none' } : { id: asserted.id, via: 'asserted' };
}

function legacyInput(chain: VerifiedChain | null, nowMs: number): PolicyInput['legacy'] {
  const token = chain?.token;
  return token === undefined
    ? { token: false, age_ms: 0 }
    : { token: true, age_ms: Math.max(0, nowMs - token.issued_at * 1000) };
}

function requestInput({ request, routed, body, disclosure }: InputFacts): PolicyInput['request'] {
  const { route, target } = routed;
  return {
    method: request.method,
    scheme: request.scheme,
    host: routed.host,
    path: target.path,
    segments: [...routed.segments],
    query: queryParameters(target.query),
    headers: shownHeaders(request, [...disclosure.headers, ...(route.headers ?? [])]),
    params: { ...routed.params },
    protocol: request.protocol,
    source: { address: plainAddress(request.source.address), principal: request.source.principal },
    body: {
      state: body.state,
      ...(route.body !== 'none' && body.state === 'complete' && body.bytes !== null
        ? { digest: digestOf(body.bytes), ...(route.body === 'json' ? jsonOf(request, body.bytes) : {}) }
        : {}),
    },
  };
}

/** An IPv4 address that came over an IPv6 socket (RFC 4291 section 2.5.5.2) is in no IPv4 range of a policy's. */
function plainAddress(address: string): string {
  return address.replace(/^::ffff:(?=\d{1,3}(?:\.\d{1,3}){3}$)/i, '');
}

function shownHeaders(request: AuthzRequest, names: readonly string[]): Record<string, string> {
  const shown: Record<string, string> = {};
  for (const listed of names) {
    const name = listed.toLowerCase();
    if (isSecretHeader(name)) continue;
    const value = joined(request.headers, name);
    if (value !== null) shown[name] = value;
  }
  return shown;
}

function digestOf(bytes: Uint8Array): string {
  return `sha-256=${serializeItem({ type: 'bytes', value: sha256(bytes), params: [] })}`;
}

/** Absent where two readers might read two things: duplicate keys, inexact numbers, an encoding over it. */
function jsonOf(request: AuthzRequest, bytes: Uint8Array): { json?: unknown } {
  const encoding = joined(request.headers, 'content-encoding');
  if (encoding !== null && encoding.toLowerCase() !== 'identity' && encoding !== '') return {};
  try {
    const { value, duplicate } = readJson(bytes, { maxDepth: MAX_BODY_DEPTH, numbers: 'exact' });
    return duplicate === null ? { json: value } : {};
  } catch (error) {
    if (error instanceof JsonError) return {};
    throw error;
  }
}

const shown = new WeakMap<readonly Lemma[], readonly LinkFacts[]>();

/** What may be shown of links: everything but keys and signatures. The same array for the same links. */
export function linkFacts(links: readonly Lemma[]): readonly LinkFacts[] {
  const known = shown.get(links);
  if (known !== undefined) return known;
  const facts = links.map(factsOf);
  shown.set(links, facts);
  return facts;
}

function factsOf(link: Lemma): LinkFacts {
  return {
    type: link.type,
    id: link.id,
    issuer: link.issuer,
    scope: [...link.scope] as string[],
    audience: [...link.audience],
    issued_at: link.issued_at,
    not_before: link.not_before,
    expires_at: link.expires_at,
  };
}

function proofInput(chain: VerifiedChain, { nowMs, pop }: InputFacts): NonNullable<PolicyInput['proof']> {
  const oldest = Math.min(...chain.links.map((link) => link.issued_at));
  return {
    links: linkFacts(chain.links) as NonNullable<PolicyInput['proof']>['links'],
    scope: [...chain.leaf.scope] as string[],
    audience: [...chain.leaf.audience],
    expires_at: chain.leaf.expires_at,
    intent: chain.delegations.at(-1)?.claims.intent ?? '',
    ...(chain.run === null ? {} : { run_id: chain.run.claims.run_id }),
    taint_epoch: chain.runtime.claims.taint_epoch,
    weakest_link_age_ms: Math.max(0, nowMs - oldest * 1000),
    pop: {
      present: pop !== null,
      age_ms: pop === null ? 0 : Math.max(0, nowMs - pop.created * 1000),
      body_covered: pop?.bodyCovered ?? false,
    },
  };
}

/** `query.token`, `body.card.number`: the member goes, its siblings stay. */
export function redact(input: PolicyInput, path: string): void {
  const [area, ...members] = path.split('.');
  const last = members.pop();
  if (last === undefined) return;
  let at: unknown =
    area === 'query' ? input.request.query : area === 'body' ? input.request.body.json : undefined;
  for (const member of members) at = isRecord(at) ? at[member] : undefined;
  if (isRecord(at)) delete at[last];
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null;
}
