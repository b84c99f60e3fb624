import type { Gate } from '../gate/gate.ts';
import type { LiveRuntime } from '../gate/runtimes.ts';
import { type VerifiedChain, verifyChain } from '../proof/chain.ts';
import { decodeCredential } from '../proof/decode.ts';
import { checkPop, type Pop } from '../proof/pop.ts';
import { uncoveredScope } from '../proof/scope.ts';
import { checkTimes } from '../proof/time.ts';
import type { TrustSet } from '../proof/trust.ts';
import { Denial, InputError, type Problem } from '../reason.ts';
import { bodyFacts } from '../request/body.ts';
import { checkSizes, readCredentials } from '../request/headers.ts';
import { signedMessage } from '../request/signed.ts';
import type { IssueProofBody } from '../schema/api.ts';
import type { AuthzRequest } from '../schema/request.ts';
import { StoreConflict } from '../store/errors.ts';
import type { Tenant } from '../store/model.ts';
import type { Store } from '../store/store.ts';
import type { IssuedProof } from './issue.ts';
import type { Outstanding, OutstandingProofs } from './outstanding.ts';
import { createRate } from './rate.ts';
import { Refusal, tooMany } from './refusal.ts';

export interface RenewerOptions {
  readonly home: Tenant;
  readonly trust: () => TrustSet;
  readonly gate: Gate;
  readonly store: Pick<Store, 'putDocument'>;
  readonly clock: () => number;
  readonly issueProof: (body: IssueProofBody) => IssuedProof;
  readonly outstanding: OutstandingProofs;
}

/** A runtime renews once in half an hour, in the usual course; a burst is a restart loop. */
const RATE = { burst: 10, every_ms: 60_000 } as const;
/** Seconds that a spent nonce is kept: longer than any PoP lives (src/gate/replay.ts). */
const NONCE_LIFE_S = 120;
/** Only an operator may change them: the renewed proof has those of the present one. */
const OPERATORS_OWN = ['intent', 'profile', 'budget', 'bounds'] as const;

/**
 * Gives the verb by which a runtime renews its own proof: with that proof and a PoP over this very request, its body
 * included. The same key, no more scope, audience and life than it has, at the taint epoch that it has and that is current;
 * never beyond 90 days from the operator's act that began it.
 *
 * It throws Denial as `decide` would (proof, PoP, kill, revocation, `taint_stale`, `replay_detected`); InputError for what
 * is beyond the present proof; Refusal: conflict (not issued here, with a budget, a run's), rate_limited, moved, revoked.
 */
export function createRenewer(
  options: RenewerOptions,
): (request: AuthzRequest, body: IssueProofBody) => Promise<IssuedProof> {
  const { home, trust, gate, store, clock, issueProof, outstanding } = options;
  const rate = createRate(RATE);

  function verified(request: AuthzRequest, now: number): { chain: VerifiedChain; pop: Pop } {
    checkSizes(request.headers);
    const presented = readCredentials(request, []);
    if (presented.kind !== 'proof' || presented.pop === null) {
      throw new Denial('pop_required', 'a renewal needs X-Lemma-Proof and X-Lemma-PoP');
    }
    const chain = verifyChain(decodeCredential(presented.value), trust());
    checkTimes(chain.links, now);
    const message = signedMessage(request, presented, bodyFacts(request));
    const pop = checkPop(chain, presented, message, { body: 'digest' }, now);
    if (pop === null) throw new Denial('pop_required', 'a renewal needs X-Lemma-PoP');
    return { chain, pop };
  }

  async function spend({ keyid, nonce, created }: Pop, now: number): Promise<void> {
    gate.spend({ keyid, nonce, created }, now);
    const expires_at = (created + NONCE_LIFE_S) * 1000;
    try {
      await store.putDocument({
        ...{ ...home, kind: 'renewal_nonce', id: `${keyid} ${nonce}`, version: 0 },
        expires_at,
        body: null,
      });
    } catch (error) {
      if (!(error instanceof StoreConflict)) throw error;
      throw new Denial('replay_detected', 'this nonce was spent before a restart', { keyid });
    }
  }

  return async (request, body) => {
    const nowMs = clock();
    const now = Math.floor(nowMs / 1000);
    const { chain, pop } = verified(request, now);
    const { org, env } = chain.root.claims;
    if (org !== home.org || env !== home.env) {
      throw new Denial('runtime_unknown', 'another organisation renews its own proofs');
    }
    const runtime = gate.admit(chain, nowMs);
    checkEpoch(chain, runtime);
    if (chain.run !== null)
      throw new Refusal('conflict', "a run's proof is not renewed: renew its runtime's");
    const known = await outstanding.get(home, runtime.runtime_id, chain.runtime.id);
    if (known === null) {
      throw new Refusal('conflict', 'this proof was not issued here, so it is not renewed here');
    }
    if (known.budget !== null) {
      throw new Refusal(
        'conflict',
        'a proof with a budget is not renewed: an operator has to issue the next one',
      );
    }
    checkAsked(body, runtime, known);
    if (body.taint_epoch !== undefined && body.taint_epoch !== known.taint_epoch) {
      throw new Refusal(
        'moved',
        `the proof is of epoch ${known.taint_epoch}: it is renewed at that one alone`,
      );
    }
    await spend(pop, now);
    const wait = rate.take(runtime.runtime_id, nowMs);
    if (wait > 0) {
      throw tooMany(`${runtime.runtime_id} renews too often`, wait);
    }
    const renewed = termsOf(body, known, now);
    const proof = issueProof(renewed);
    await outstanding.keep(home, proof, renewed, 'runtime', known.renewable_until);
    return proof;
  };
}

/** Re-approval is a human's act: what is stale does not become fresh by itself. */
function checkEpoch({ runtime: { claims } }: VerifiedChain, { taint_epoch }: LiveRuntime): void {
  if (claims.taint_epoch === taint_epoch) return;
  const code = claims.taint_epoch < taint_epoch ? 'taint_stale' : 'taint_ahead';
  throw new Denial(code, `the proof is of epoch ${claims.taint_epoch}, the runtime of ${taint_epoch}`);
}

function checkAsked(body: IssueProofBody, runtime: LiveRuntime, known: Outstanding): void {
  const problems: Problem[] = OPERATORS_OWN.filter((member) => body[member] !== undefined).map((field) => ({
    field,
    message: "an operator's to say: leave it out, and it stays as it is",
  }));
  if (body.runtime_id !== runtime.runtime_id)
    problems.push({ field: 'runtime_id', message: 'must be the one that the proof binds' });
  if (body.key !== known.key)
    problems.push({ field: 'key', message: 'must be the key that the proof binds' });
  const wide = uncoveredScope(known.scope, body.scope);
  if (wide !== null)
    problems.push({ field: `scope[${body.scope.indexOf(wide)}]`, message: 'is not in the present proof' });
  const far = body.audience.findIndex((origin) => !known.audience.includes(origin));
  if (far >= 0) problems.push({ field: `audience[${far}]`, message: 'is not in the present proof' });
  const life = known.expires_at - known.issued_at;
  if ((body.ttl_s ?? 0) > life)
    problems.push({ field: 'ttl_s', message: `must be at most ${life}, the life of the present proof` });
  if (problems.length > 0) throw new InputError(problems);
}

function termsOf(body: IssueProofBody, known: Outstanding, now: number): IssueProofBody {
  const { runtime_id, key, scope, audience } = body;
  const life = body.ttl_s ?? known.expires_at - known.issued_at;
  const ttl_s = Math.min(life, known.renewable_until - now);
  const { profile, taint_epoch, bounds, intent } = known;
  return {
    // The epoch of the present proof, whatever the body says: where it has moved since the check, the answer is `moved`.
    ...{ runtime_id, key, scope, audience, ttl_s, profile, taint_epoch },
    ...(bounds === null || bounds === undefined ? {} : { bounds }),
    ...(intent === null ? {} : { intent }),
  };
}
