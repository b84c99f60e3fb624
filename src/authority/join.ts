import { keyProblem } from '#runtime';
import { fromBase64url } from '../crypto/base64url.ts';
import type { LiveRuntime } from '../gate/runtimes.ts';
import { InputError } from '../reason.ts';
import type { BootstrapBody, IssueProofBody } from '../schema/api.ts';
import type { Tenant } from '../store/model.ts';
import type { IssuedProof } from './issue.ts';
import type { JoinTerms, JoinTokens } from './join-tokens.ts';
import type { OutstandingProofs } from './outstanding.ts';
import { Refusal } from './refusal.ts';
import type { Registrar } from './register.ts';

export interface Joined {
  readonly runtime: LiveRuntime;
  /** Null: the token brings none. */
  readonly proof: IssuedProof | null;
}

/**
 * Gives the verb by which a runtime registers itself with a one-time token, and gets its first proof where the token says so:
 * then `key` names its public key. What can refuse comes before the token is used up. Throws as `bootstrap`, `redeem`, `issueProof`;
 * Refusal for a runtime that is there already: conflict (the token is for whichever is new), moved (it was tainted since).
 */
export function createJoin({
  joinTokens,
  registrar,
  issueProof,
  outstanding,
  home,
  epochOf,
}: {
  readonly joinTokens: Pick<JoinTokens, 'redeem'>;
  readonly registrar: Pick<Registrar, 'bootstrap'>;
  readonly issueProof: (body: IssueProofBody) => IssuedProof;
  readonly outstanding: Pick<OutstandingProofs, 'keep'>;
  readonly home: Tenant;
  readonly epochOf: (runtimeId: string) => number | null;
}): (token: string, body: BootstrapBody) => Promise<Joined> {
  return async (token, { key, ...body }) => {
    const { terms, id, spend } = await joinTokens.redeem(token, body);
    checkKey(key, terms.proof !== null);
    checkPresent(body.runtime_id, epochOf(body.runtime_id), terms);
    const by = `${id} of ${terms.by}`;
    const runtime = await registrar.bootstrap(body, by, spend);
    if (terms.proof === null || key === undefined) return { runtime, proof: null };
    const asked = { ...terms.proof, runtime_id: runtime.runtime_id, key };
    const proof = issueProof(asked);
    await outstanding.keep(home, proof, asked, by);
    return { runtime, proof };
  };
}

/** Nobody becomes one of a fleet that is there, and what was tainted is approved by a person who has seen it. */
function checkPresent(id: string, epoch: number | null, terms: JoinTerms): void {
  if (epoch === null) return;
  if (terms.runtime_id.endsWith('*'))
    throw new Refusal('conflict', `${id} is registered already, and this join token is for a new runtime`);
  if (terms.proof !== null && epoch !== (terms.taint_epoch ?? 0))
    throw new Refusal(
      'moved',
      `${id} was tainted since this join token was made: ask an operator for another`,
    );
}

function checkKey(key: string | undefined, wanted: boolean): void {
  if (wanted !== (key !== undefined)) {
    const message = wanted
      ? 'missing: this join token brings a proof for it'
      : 'this join token brings no proof';
    throw new InputError([{ field: 'key', message }]);
  }
  const weak = key === undefined ? null : keyProblem(fromBase64url(key) ?? new Uint8Array());
  if (weak !== null) throw new Refusal('key_weak', `key: ${weak}; make a new Ed25519 key`);
}
