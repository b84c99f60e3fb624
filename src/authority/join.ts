import { keyProblem } from '#runtime';
import { fromBase64url } from '../crypto/base64url.ts';
import type { LiveRuntime } from '../gate/runtimes.ts';
import { InputError } from '../reason.ts';
import type { BootstrapBody, IssueProofBody } from '../schema/api.ts';
import type { Tenant } from '../store/model.ts';
import type { IssuedProof } from './issue.ts';
import type { JoinTokens } from './join-tokens.ts';
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
 * then `key` names its public key. What can refuse comes before the token is used up. Throws as `bootstrap`, `redeem`, `issueProof`.
 */
export function createJoin({
  joinTokens,
  registrar,
  issueProof,
  outstanding,
  home,
}: {
  readonly joinTokens: Pick<JoinTokens, 'redeem'>;
  readonly registrar: Pick<Registrar, 'bootstrap'>;
  readonly issueProof: (body: IssueProofBody) => IssuedProof;
  readonly outstanding: Pick<OutstandingProofs, 'keep'>;
  readonly home: Tenant;
}): (token: string, body: BootstrapBody) => Promise<Joined> {
  return async (token, { key, ...body }) => {
    const { terms, id, spend } = await joinTokens.redeem(token, body);
    checkKey(key, terms.proof !== null);
    const by = `${id} of ${terms.by}`;
    const runtime = await registrar.bootstrap(body, by, spend);
    if (terms.proof === null || key === undefined) return { runtime, proof: null };
    const asked = { ...terms.proof, runtime_id: runtime.runtime_id, key };
    const proof = issueProof(asked);
    await outstanding.keep(home, proof, asked, by);
    return { runtime, proof };
  };
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
