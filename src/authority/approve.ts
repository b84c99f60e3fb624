import type { IssueProofBody } from '../schema/api.ts';
import type { ApproveBody } from '../schema/api-runtimes.ts';
import type { StoredEvent } from '../store/model.ts';
import type { Store } from '../store/store.ts';
import { checkGrants, type Grants } from './grants.ts';
import type { IssuedProof } from './issue.ts';
import type { IssuingOptions } from './issue-as.ts';
import type { Outstanding } from './outstanding.ts';
import { notFound, Refusal } from './refusal.ts';
import { taintsOf } from './taints.ts';

/** A short proof at the epoch that was approved, and what had raised it. */
export interface Approved {
  readonly proof: IssuedProof;
  /** The proof whose key, scope, audience and bounds it has. */
  readonly lemma_id: string;
  readonly tainted_by: readonly StoredEvent[];
}

export interface Approver {
  readonly by: string;
  readonly grants: Grants | null;
}

/** Seconds. */
const SHORT_S = 900;

/**
 * Gives the verb by which a person lets a tainted runtime go on: a short proof for the key of one that is outstanding, at the
 * epoch that was shown. Refusal: moved (the epoch is another one by now), conflict (no proof is outstanding), not_found,
 * runtime_killed, runtime_inactive, revoked, forbidden.
 */
export function createApprove({
  home,
  gate,
  store,
  clock,
  issueProof,
  outstanding,
}: IssuingOptions & { readonly store: Pick<Store, 'eventsAround'> }): (
  runtimeId: string,
  body: ApproveBody,
  who: Approver,
) => Promise<Approved> {
  async function chosen(runtimeId: string, lemmaId: string | undefined): Promise<Outstanding> {
    const proofs = (await outstanding.of(home, runtimeId)).filter(
      ({ lemma_id }) => !gate.revoked(home.org, home.env, lemma_id),
    );
    const found = lemmaId === undefined ? proofs[0] : proofs.find(({ lemma_id }) => lemma_id === lemmaId);
    if (found !== undefined) return found;
    throw new Refusal(
      'conflict',
      `${lemmaId ?? 'no proof'} of ${runtimeId} is outstanding: issue one instead`,
    );
  }

  return async (runtimeId, { taint_epoch, lemma_id, ttl_s, reason }, { by, grants }) => {
    if (gate.runtime(home.org, home.env, runtimeId) === null) throw notFound('runtime');
    const before = await chosen(runtimeId, lemma_id);
    const life = ttl_s ?? Math.min(SHORT_S, grants?.longest_life_s ?? SHORT_S);
    const { key, scope, audience, profile, budget, bounds, intent } = before;
    const body: IssueProofBody = {
      ...{
        runtime_id: runtimeId,
        key,
        scope: [...scope],
        audience: [...audience],
        profile,
        taint_epoch,
        ttl_s: life,
      },
      ...(budget === null || budget === undefined ? {} : { budget }),
      ...(bounds === null || bounds === undefined ? {} : { bounds }),
      ...(intent === null ? {} : { intent }),
    };
    checkGrants({ scope, audience, ttl_s: life }, grants);
    const tainted_by = await taintsOf(store, home, runtimeId);
    const proof = issueProof(body);
    await outstanding.keep(home, proof, body, by);
    const noted = { by, ...(reason === undefined ? {} : { reason }) };
    const payload = {
      action: 'approve',
      runtime_id: runtimeId,
      taint_epoch,
      lemma_id: proof.credential.id,
      ...noted,
    };
    await store.appendEvent({ ...home, type: 'admin', payload, time: clock() });
    return { proof, lemma_id: before.lemma_id, tainted_by };
  };
}
