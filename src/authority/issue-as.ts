import type { Gate } from '../gate/gate.ts';
import { type IssueProofBody, PROOF_TTL } from '../schema/api.ts';
import type { Tenant } from '../store/model.ts';
import type { Store } from '../store/store.ts';
import type { SettingsVerbs } from './deployment-settings.ts';
import { checkGrants, type Grants } from './grants.ts';
import type { IssuedProof } from './issue.ts';
import type { OutstandingProofs } from './outstanding.ts';
import { notFound } from './refusal.ts';

/** What issues proofs, and remembers them. */
export interface IssuingOptions {
  readonly home: Tenant;
  readonly gate: Gate;
  readonly store: Pick<Store, 'appendEvent'>;
  readonly clock: () => number;
  readonly issueProof: (body: IssueProofBody) => IssuedProof;
  readonly outstanding: OutstandingProofs;
}

/**
 * Gives the verb by which an operator has a proof issued: bounded by the operator's own grants, remembered until it ends, and
 * an event with who asked. Without a `ttl_s` it lives as long as the settings say, within the grants. Throws as `createIssuer`,
 * and Refusal `forbidden`.
 */
export function createIssueAs({
  home,
  gate,
  store,
  clock,
  issueProof,
  outstanding,
  settings,
}: IssuingOptions & {
  readonly settings: Pick<SettingsVerbs, 'effective'>;
}): (asked: IssueProofBody, by: string, grants?: Grants | null) => Promise<IssuedProof> {
  return async (asked, by, grants = null) => {
    const { runtime_id } = asked;
    if (gate.runtime(home.org, home.env, runtime_id) === null) throw notFound('runtime');
    const { default_ttl_s = PROOF_TTL.usual } =
      asked.ttl_s === undefined ? await settings.effective(home) : {};
    const ttl_s = asked.ttl_s ?? Math.min(default_ttl_s, grants?.longest_life_s ?? default_ttl_s);
    const body = { ...asked, ttl_s };
    checkGrants(body, grants);
    const proof = issueProof(body);
    await outstanding.keep(home, proof, body, by);
    const { taint_epoch, credential } = proof;
    const payload = { action: 'issue_proof', runtime_id, lemma_id: credential.id, taint_epoch, by };
    await store.appendEvent({ ...home, type: 'admin', payload, time: clock() });
    return proof;
  };
}
