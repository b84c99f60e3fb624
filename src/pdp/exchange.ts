import { setImmediate as turn } from 'node:timers/promises';
import { publicKeyOf } from '#runtime';
import { thumbprint } from '../crypto/thumbprint.ts';
import { boundsOf } from '../proof/bounds.ts';
import type { TokenFacts, VerifiedChain } from '../proof/chain.ts';
import { checkPop } from '../proof/pop.ts';
import { uncoveredScope } from '../proof/scope.ts';
import { checkTimes } from '../proof/time.ts';
import { signToken, type VouchedChain, vouch } from '../proof/token.ts';
import { Denial } from '../reason.ts';
import { bodyFacts } from '../request/body.ts';
import { checkSizes, readCredentials } from '../request/headers.ts';
import type { Routed } from '../request/route-map.ts';
import { signedMessage } from '../request/signed.ts';
import type { Decision } from '../schema/decision.ts';
import type { AuthzRequest, Route } from '../schema/request.ts';
import { TOKEN_TTL } from '../schema/token.ts';
import { attempt, conclude, evaluate, type Pdp, type Settings, share, spend, verified } from './decide.ts';
import { type Draft, enter, openDraft } from './draft.ts';

/** What a token is to hold of its proof: less, if anything; all of it where a member is absent. */
export interface TokenWish {
  readonly scope?: readonly string[] | undefined;
  readonly audience?: readonly string[] | undefined;
  readonly ttl_s?: number | undefined;
}

export interface Exchanged {
  readonly decision: Decision;
  /** Null where it was denied. */
  readonly token: {
    /** `lm_at_…` */
    readonly text: string;
    readonly facts: TokenFacts;
    readonly scope: readonly string[];
    readonly audience: readonly string[];
    readonly runtime_id: string;
  } | null;
}

/** When legacy tokens of an org and env end, milliseconds; null: nobody has said so. */
export type Sunset = (tenant: { readonly org: string; readonly env: string }) => Promise<number | null>;

/** Routes that one exchange asks the policy about, at most. */
const ROUTES_AT_MOST = 256;
/** Within one turn of the event loop: under a millisecond. */
const ROUTES_AT_ONCE = 8;
const READING = ['GET', 'HEAD', 'OPTIONS'];

/**
 * A legacy token for a verified proof, where a policy lets one through: at least one route that the token would reach must
 * allow it now, its first reading method asked about, and its pattern in the place of a path. It is a decision like any
 * other, with its record; steps 1, 2 and 4 to 13 are the same. Never throws.
 *
 * @param seed signs for this deployment's org and env
 * @param sunset from which on there is none, and which none outlives
 */
export async function exchange(
  request: AuthzRequest,
  wish: TokenWish,
  pdp: Pdp,
  seed: Uint8Array,
  sunset: Sunset,
): Promise<Exchanged> {
  const draft = openDraft(request, pdp.clock(), pdp.follow);
  const settings = pdp.settings();
  await attempt(draft, pdp, () =>
    examine(draft, wish, pdp, settings, { issuer: thumbprint(publicKeyOf(seed)), sunset }),
  );
  const decision = await conclude(draft, pdp, settings);
  const { chain } = draft;
  if (decision.verdict !== 'allow' || chain?.token === undefined) return { decision, token: null };
  const vouched = { ...chain, token: chain.token };
  const { leaf, runtime, token } = vouched;
  const { scope, audience } = leaf;
  const { runtime_id } = runtime.claims;
  return { decision, token: { text: signToken(vouched, seed), facts: token, scope, audience, runtime_id } };
}

async function examine(
  draft: Draft,
  wish: TokenWish,
  pdp: Pdp,
  settings: Settings,
  { issuer, sunset }: { readonly issuer: string; readonly sunset: Sunset },
): Promise<void> {
  const { request } = draft;
  checkSizes(request.headers);
  const presented = readCredentials(request, settings.routes.permitted);
  const body = bodyFacts(request);
  enter(draft, 'proof');
  if (presented.kind === 'none' || presented.kind === 'token')
    throw new Denial(
      'auth_required',
      'send the proof: X-Lemma-Credential, or X-Lemma-Proof with X-Lemma-PoP',
    );
  const now = Math.floor(draft.nowMs / 1000);
  const chain = verified(draft, pdp, settings, presented);
  checkTimes(chain.links, now);
  const pop = checkPop(chain, presented, signedMessage(request, presented, body), { body: 'digest' }, now);
  const link = chain.links.findIndex((lemma) => boundsOf(lemma)?.pop === true);
  if (link >= 0)
    throw new Denial('pop_required', 'its bounds take nothing but a PoP: no token can', { link });
  const ends = await sunset(chain.root.claims);
  if (ends !== null && Math.floor(ends / 1000) <= now)
    throw new Denial(
      'legacy_disabled',
      `legacy tokens ended at ${new Date(ends).toISOString()} (legacy_sunset)`,
      {
        legacy_sunset: ends,
      },
    );
  const terms = termsOf(chain, wish, now);
  const expires_at = Math.min(terms.expires_at, Math.floor((ends ?? Number.MAX_SAFE_INTEGER) / 1000));
  const vouched = vouch(chain, { ...terms, expires_at }, issuer);
  checkIssuer(vouched, settings, issuer);

  enter(draft, 'gate');
  pdp.gate.admit(chain, draft.nowMs);
  if (pop !== null) spend(draft, pdp, pop, now);
  await share(draft, pdp, chain);
  draft.chain = vouched;
  await ask(draft, pdp, settings, vouched);
  // Issued for good: the record that says so must be there.
  draft.durable = true;
}

function termsOf({ leaf, links }: VerifiedChain, wish: TokenWish, now: number) {
  const { scope = leaf.scope, audience = leaf.audience, ttl_s = TOKEN_TTL.usual } = wish;
  const beyond = uncoveredScope(leaf.scope, scope);
  if (beyond !== null)
    throw new Denial('scope_denied', `${beyond} is not in the proof`, {
      wanted: [...scope],
      scope: leaf.scope,
    });
  const foreign = audience.find((entry) => !leaf.audience.includes(entry));
  if (foreign !== undefined)
    throw new Denial('audience_mismatch', `the proof is not for ${foreign}`, { audience: leaf.audience });
  const expires_at = Math.min(now + ttl_s, ...links.map((link) => link.expires_at));
  return { scope, audience, issued_at: now, expires_at };
}

/** A key of this deployment vouches for its own org and env only: nobody would take the token elsewhere. */
function checkIssuer({ root }: VouchedChain, { trust }: Settings, issuer: string): void {
  const { org, env } = root.claims;
  if (!trust.trusts(issuer, org, env))
    throw new Denial('legacy_disabled', `no token of this deployment is good for ${org}/${env}`, {
      org,
      env,
    });
}

/** Ends with the route that takes the token; else with one that takes tokens and not this one; else with any. */
async function ask(draft: Draft, pdp: Pdp, settings: Settings, chain: VouchedChain): Promise<void> {
  let taking: Route | null = null;
  const routes = reached(settings.routes.routes, chain);
  for (const [i, route] of routes.entries()) {
    // Decisions have their turn between.
    if (i % ROUTES_AT_ONCE === ROUTES_AT_ONCE - 1) await turn();
    await askAbout(route, draft, pdp, settings);
    if (draft.verdict === 'allow') return;
    if (!draft.reasons.includes('legacy_disabled')) taking ??= route;
  }
  if (routes.length === 0)
    throw new Denial('legacy_disabled', 'the token would reach no route', { scope: chain.leaf.scope });
  if (taking !== null) await askAbout(taking, draft, pdp, settings);
}

function reached(routes: readonly Route[], { root, leaf }: VouchedChain): Route[] {
  const { org, env } = root.claims;
  return routes
    .filter(
      (route) =>
        !route.public &&
        route.org === org &&
        route.env === env &&
        leaf.audience.includes(route.audience) &&
        uncoveredScope(leaf.scope, route.scope) === null,
    )
    .slice(0, ROUTES_AT_MOST);
}

async function askAbout(route: Route, draft: Draft, pdp: Pdp, settings: Settings): Promise<void> {
  draft.routed = routedTo(route);
  await evaluate(draft, pdp, settings, {
    presented: { kind: 'token', value: '', pop: null },
    body: { state: 'none', bytes: new Uint8Array() },
    pop: null,
    request: requestTo(route, draft.request),
  });
}

function routedTo(route: Route): Routed {
  const { host, path } = route;
  return { route, host, target: { path, query: '' }, segments: path.slice(1).split('/'), params: {} };
}

function requestTo(
  { methods, host, path, audience }: Route,
  { source, protocol }: AuthzRequest,
): AuthzRequest {
  return {
    border: 'exchange',
    method: methods.find((method) => READING.includes(method)) ?? methods[0] ?? '',
    scheme: new URL(audience).protocol.slice(0, -1),
    host,
    target: path,
    headers: [],
    body: { seen: new Uint8Array(), partial: false, size: 0 },
    protocol,
    source,
    traceId: null,
  };
}
