import { createBudgets } from '../gate/budget.ts';
import { createReplayGuard } from '../gate/replay.ts';
import { createChainCache } from '../proof/cache.ts';
import type { VerifiedChain } from '../proof/chain.ts';
import { checkPop, type Pop } from '../proof/pop.ts';
import { checkReach } from '../proof/reach.ts';
import { checkTimes } from '../proof/time.ts';
import { createTrust, type TrustSet } from '../proof/trust.ts';
import { Denial, InputError, statusOf } from '../reason.ts';
import { bodyFacts } from '../request/body.ts';
import { checkSizes, joined, readCredentials } from '../request/headers.ts';
import { signedMessage } from '../request/signed.ts';
import { ambiguous, checkTarget, splitTarget } from '../request/target.ts';
import { PROFILES, type Profile, stricter } from '../schema/common.ts';
import { isOrigin } from '../schema/origin.ts';
import { type AuthzRequest, POP_TAG } from '../schema/request.ts';
import type { Guard, LemmaActor, Outcome } from './guard.ts';
import type { LocalOptions } from './options.ts';

/** Nonces that are kept at once: at 1,000 requests a second they fill in more time than they live. */
const NONCES = 150_000;
/** Of a high runtime (contracts.md, "The three default profiles"), seconds. */
const HIGH_BINDING_AGE = 3600;
const AHEAD = 30;
const READING: readonly string[] = ['GET', 'HEAD', 'OPTIONS'];

/** @throws InputError that names the option and the mend */
export function createLocalGuard(options: LocalOptions): Guard {
  const { clock = Date.now, first_start: first = false } = options;
  const realm = realmOf(options);
  const risk = options.risk ?? 'low';
  const trust = createTrust(options.trust);
  const chains = createChainCache(1_000, 8 * 1024 * 1024);
  const started = Math.floor(clock() / 1000);
  const replay = createReplayGuard({ limit: NONCES, memoryLostAt: first ? null : started });
  const budgets = createBudgets();

  function examine(request: AuthzRequest, scope: readonly string[]): LemmaActor {
    const now = Math.floor(clock() / 1000);
    const { chain, pop, path } = proven(request, { trust, chains, now });
    checkReach(chain, { ...realm, scope }, request.method, path);
    checkProfile(stricter(risk, chain.runtime.claims.profile), request.method, { chain, pop, now });
    if (pop !== null) replay.spend(pop, now);
    count(chain, now);
    return actorOf(chain);
  }

  function count(chain: VerifiedChain, now: number): void {
    const lines = [chain.runtime, chain.run].flatMap((link) => {
      const limit = link?.claims.budget?.operations;
      if (link === null || limit === undefined) return [];
      if (!first && link.issued_at <= started + AHEAD)
        throw new Denial('budget_exhausted', 'what was used of it before this process started is not known');
      const { org, env } = chain.root.claims;
      return [{ org, env, lemmaId: link.id, limit, expires: link.expires_at }];
    });
    const reserved = budgets.reserve(lines, now);
    if (reserved === null || reserved.used <= reserved.limit) return;
    reserved.release();
    throw new Denial('budget_exhausted', `${reserved.limit} operations were made`);
  }

  return {
    needsBody: provesPossession,
    async ask(request, scope) {
      try {
        return { allowed: true, facts: { actor: examine(request, scope), decision_id: null } };
      } catch (error) {
        return outcomeOf(error);
      }
    },
  };
}

export interface Verifying {
  readonly trust: TrustSet;
  readonly chains: ReturnType<typeof createChainCache>;
  /** Seconds. */
  readonly now: number;
}

/** Steps 1 to 11 of proofs.md, but for routes. Throws Denial. */
function proven(request: AuthzRequest, { trust, chains, now }: Verifying) {
  checkSizes(request.headers);
  const presented = readCredentials(request, []);
  const target = splitTarget(request.target);
  if (checkTarget(request.host, target).encodedSlash) throw ambiguous('escaped slash');
  if (presented.kind === 'none') throw new Denial('auth_required', 'no credential');
  if (presented.kind === 'token')
    throw new Denial('legacy_disabled', 'a legacy token is taken only where a PDP decides');
  const chain = chains.verify(presented.value, trust);
  checkTimes(chain.links, now);
  const message = signedMessage(request, presented, bodyFacts(request));
  const pop = checkPop(chain, presented, message, { body: 'digest' }, now);
  return { chain, pop, path: target.path };
}

/** What the default profiles ask that needs no state of others. */
function checkProfile(
  profile: Profile,
  method: string,
  { chain, pop, now }: { chain: VerifiedChain; pop: Pop | null; now: number },
): void {
  switch (profile) {
    case 'low':
      return;
    case 'high':
      if (pop === null && !READING.includes(method))
        throw new Denial(
          'pop_required',
          'a high runtime proves possession of its key for anything but reading',
        );
      if (now - chain.runtime.issued_at > HIGH_BINDING_AGE)
        throw new Denial('ttl_too_long', `the binding is ${now - chain.runtime.issued_at} s old`);
      return;
    case 'critical':
      throw new Denial('freshness_stale', 'what is critical needs a state asked for now: only a PDP has it');
  }
}

export function actorOf({ leaf, runtime, run }: VerifiedChain): LemmaActor {
  const { runtime_id, agent_id, workspace_id } = runtime.claims;
  const run_id = run?.claims.run_id ?? null;
  return { subject: leaf.subject, runtime_id, agent_id, workspace_id, run_id, scope: leaf.scope };
}

/** Whatever was thrown is the denial that it is. */
export function outcomeOf(error: unknown): Outcome & { readonly allowed: false } {
  const reason = error instanceof Denial ? error.code : 'internal_error';
  const detail = error instanceof Error ? error.message : String(error);
  return { allowed: false, reason, status: statusOf(reason).http, detail, decision_id: null };
}

export function provesPossession({ headers }: Pick<AuthzRequest, 'headers'>): boolean {
  return (
    headers.some(([name]) => name === 'x-lemma-pop') ||
    (joined(headers, 'signature-input') ?? '').includes(POP_TAG)
  );
}

/** What a route would say. Throws InputError. */
export function realmOf({ trust, audience, org, env, risk }: Omit<LocalOptions, 'clock'>) {
  const problems = [
    ...(Array.isArray(trust) && trust.length > 0
      ? []
      : [{ field: 'trust', message: 'must name whose roots count: [{ org, env, keys: [{ x }] }]' }]),
    ...(typeof audience === 'string' && isOrigin(audience)
      ? []
      : [{ field: 'audience', message: "must be this API's origin, such as https://api.example.com" }]),
    ...(risk === undefined || PROFILES.includes(risk)
      ? []
      : [{ field: 'risk', message: `must be one of ${PROFILES.join(', ')}` }]),
  ];
  if (problems.length > 0) throw new InputError(problems);
  const [only, ...more] = trust;
  if (only === undefined || (more.length > 0 && (org === undefined || env === undefined)))
    throw new InputError([
      { field: 'org', message: 'say org and env: there is more than one trust entry to take them from' },
    ]);
  return { audience, org: org ?? only.org, env: env ?? only.env };
}
