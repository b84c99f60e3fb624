import { toBase64 } from '../crypto/base64url.ts';
import { decodeCredential } from '../proof/decode.ts';
import { uncoveredScope } from '../proof/scope.ts';
import { Denial, InputError, isReason, statusOf } from '../reason.ts';
import { bodyFacts } from '../request/body.ts';
import { checkSizes, joined, readCredentials } from '../request/headers.ts';
import type { Lemma } from '../schema/lemma.ts';
import type { AuthzRequest, HeaderLine } from '../schema/request.ts';
import { isRecord } from './credential.ts';
import type { Guard, LemmaActor, Outcome } from './guard.ts';
import { outcomeOf } from './local.ts';
import type { PdpOptions, PdpPlace } from './options.ts';

const TIMEOUT_MS = 2000;
const LOOPBACK = /^(localhost|127(\.\d{1,3}){3}|\[::1\])$/;

/** @throws InputError that names the option and the mend */
export function createPdpGuard(options: PdpOptions): Guard {
  const place = typeof options.pdp === 'string' ? { url: options.pdp } : options.pdp;
  const origin = originOf(place);
  const asks = place.protocol === 'authzen' ? askAuthzen : askCheck;
  const post = poster(place, origin);
  return {
    needsBody: () => true,
    async ask(request, scope) {
      try {
        return withScope(await asks(request, post, place), scope);
      } catch (error) {
        return outcomeOf(error);
      }
    },
  };
}

type Post = (path: string, body: object) => Promise<unknown>;

function originOf({ url, protocol, action, plaintext }: PdpPlace): string {
  const parsed = URL.parse(url);
  if (parsed === null || !/^https?:$/.test(parsed.protocol) || parsed.pathname !== '/')
    throw new InputError([{ field: 'pdp.url', message: 'must be an origin: http://127.0.0.1:8181' }]);
  if (parsed.protocol === 'http:' && !LOOPBACK.test(parsed.hostname) && plaintext !== true)
    throw new InputError([
      { field: 'pdp.url', message: 'must be https to another machine, or say plaintext: true' },
    ]);
  if (protocol === 'authzen' && action === undefined)
    throw new InputError([
      { field: 'pdp.action', message: "AuthZEN asks by a route's id or action: name it" },
    ]);
  return parsed.origin;
}

function poster(place: PdpPlace, origin: string): Post {
  const base: typeof fetch = place.fetch ?? ((...args) => globalThis.fetch(...args));
  return async (path, body) => {
    try {
      const response = await base(origin + path, {
        ...{ method: 'POST', body: JSON.stringify(body), redirect: 'error' },
        headers: { ...place.headers, 'content-type': 'application/json' },
        signal: AbortSignal.timeout(place.timeout_ms ?? TIMEOUT_MS),
      });
      if (response.status === 200) return await response.json();
      await response.body?.cancel();
      throw new Error(`it answered ${response.status}`);
    } catch (cause) {
      const why = cause instanceof Error ? cause.message : String(cause);
      throw new Denial('state_not_ready', `the PDP at ${origin} gave no decision: ${why}`);
    }
  };
}

async function askCheck(request: AuthzRequest, post: Post): Promise<Outcome> {
  const { method, scheme, host, target, protocol, headers, body, source } = request;
  const answer = await post('/envoy.service.auth.v3.Authorization/Check', {
    attributes: {
      source: { address: { socketAddress: { address: source.address } } },
      request: {
        http: {
          ...{ method, scheme, host, path: target, protocol },
          headerMap: { headers: headers.map(([key, value]) => ({ key, rawValue: latin1Base64(value) })) },
          ...(body.seen === null ? {} : { rawBody: toBase64(body.seen) }),
          ...(body.size === null ? {} : { size: String(body.size) }),
        },
      },
    },
  });
  const { status, okResponse: ok, deniedResponse: denied } = record(answer);
  const code = isRecord(status) ? status.code : 0;
  if (isRecord(ok) && denied === undefined && (code === undefined || code === 0)) {
    const set = new Map(linesIn(ok.headers));
    return {
      allowed: true,
      facts: { actor: actorIn(set), decision_id: set.get('x-lemma-decision-id') ?? null },
    };
  }
  if (isRecord(denied) && typeof denied.body === 'string')
    return denialOf(parsed(denied.body), isRecord(denied.status) ? denied.status.code : undefined);
  throw unreadable();
}

async function askAuthzen(request: AuthzRequest, post: Post, place: PdpPlace): Promise<Outcome> {
  const { links, context } = carried(request);
  const path = request.target.replace(/\?.*$/s, '');
  const { method } = request;
  const name = typeof place.action === 'function' ? place.action({ method, path }) : place.action;
  const runtime = links.find((link) => link.type === 'runtime');
  const url = `${request.scheme}://${request.host}${request.target}`;
  const answer = record(
    await post('/access/v1/evaluation', {
      subject: { type: 'runtime', id: runtime?.claims.runtime_id ?? '' },
      action: { name },
      resource: { type: place.resource_type ?? 'http', id: path, properties: { method, url } },
      context,
    }),
  );
  const facts = isRecord(answer.context) ? answer.context : {};
  const decision_id = typeof facts.decision_id === 'string' ? facts.decision_id : null;
  if (answer.decision === true && runtime !== undefined)
    return { allowed: true, facts: { actor: actorOfLinks(links, runtime), decision_id } };
  if (answer.decision === false) return denialOf({ error: facts.reason, decision_id }, undefined);
  throw unreadable();
}

/** What the request proves itself by, as AuthZEN's context carries it. Throws Denial. */
function carried(request: AuthzRequest): { links: readonly Lemma[]; context: Record<string, string> } {
  checkSizes(request.headers);
  const presented = readCredentials(request, []);
  if (presented.kind === 'none') throw new Denial('auth_required', 'no credential');
  if (presented.kind === 'token')
    throw new Denial('legacy_disabled', 'AuthZEN carries no legacy token: ask by `check`');
  if (presented.pop?.form === 'rfc9421')
    throw new Denial('pop_invalid', 'AuthZEN carries a PoP as X-Lemma-PoP alone: ask by `check`');
  const links = decodeCredential(presented.value);
  const { state, bytes } = bodyFacts(request);
  const digest = joined(request.headers, 'content-digest');
  const context = {
    [`lemma_${presented.kind}`]: presented.value,
    ...(presented.pop === null ? {} : { lemma_pop: presented.pop.value }),
    ...(digest === null ? {} : { lemma_content_digest: digest }),
    ...(state === 'none' || state === 'complete' ? { lemma_body: toBase64(bytes ?? new Uint8Array()) } : {}),
  };
  return { links, context };
}

function actorOfLinks(links: readonly Lemma[], runtime: Lemma): LemmaActor {
  const claims = runtime.claims as unknown as LemmaActor;
  const leaf = links.at(-1) ?? runtime;
  const { runtime_id, agent_id, workspace_id } = claims;
  const run_id = leaf.type === 'run' ? leaf.claims.run_id : null;
  return { subject: leaf.subject, runtime_id, agent_id, workspace_id, run_id, scope: leaf.scope };
}

/** The identity that Envoy would be told to set. */
function actorIn(set: ReadonlyMap<string, string>): LemmaActor | null {
  const text = (name: string) => set.get(`x-lemma-${name}`) ?? '';
  if (text('subject') === '') return null;
  const run = text('run-id');
  return {
    ...{ subject: text('subject'), runtime_id: text('runtime-id'), agent_id: text('agent-id') },
    ...{ workspace_id: text('workspace-id'), run_id: run === '' ? null : run },
    scope: text('scope').split(' ').filter(Boolean),
  };
}

function linesIn(headers: unknown): HeaderLine[] {
  if (!Array.isArray(headers)) return [];
  return headers.flatMap((option: unknown): HeaderLine[] => {
    const header = isRecord(option) && isRecord(option.header) ? option.header : {};
    return typeof header.key === 'string' && typeof header.value === 'string'
      ? [[header.key.toLowerCase(), header.value]]
      : [];
  });
}

function denialOf(body: unknown, status: unknown): Outcome {
  const { error, decision_id } = isRecord(body) ? body : {};
  const reason =
    typeof error === 'string' && isReason(error) && error !== 'allowed' ? error : 'policy_denied';
  const said = typeof status === 'number' && status >= 400 && status <= 599 ? status : statusOf(reason).http;
  return {
    ...{ allowed: false, reason, status: said, detail: 'the PDP denied it' },
    decision_id: typeof decision_id === 'string' ? decision_id : null,
  };
}

/** What the route of this application asks beyond the PDP's. */
function withScope(outcome: Outcome, scope: readonly string[]): Outcome {
  if (!outcome.allowed || scope.length === 0) return outcome;
  const granted = outcome.facts.actor?.scope ?? [];
  const missing = uncoveredScope(granted, scope);
  if (missing === null) return outcome;
  const denial = outcomeOf(new Denial('scope_denied', `${missing} is not granted`));
  return { ...denial, decision_id: outcome.facts.decision_id };
}

function record(value: unknown): Record<string, unknown> {
  if (isRecord(value)) return value;
  throw unreadable();
}

function unreadable(): Denial {
  return new Denial('state_not_ready', 'the PDP answered what is no decision');
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

/** Header values are byte strings (RFC 9110, section 5.5). */
function latin1Base64(value: string): string {
  return toBase64(Uint8Array.from(value, (char) => char.charCodeAt(0) & 0xff));
}
