import { keyProblem, publicKeyOf, signEd25519 } from '#runtime';
import { toBase64url } from '../crypto/base64url.ts';
import { thumbprint } from '../crypto/thumbprint.ts';
import { Denial } from '../reason.ts';
import type { DelegationLemma, Lemma, RootLemma, RunLemma, RuntimeLemma } from '../schema/lemma.ts';
import { attenuationProblem, MAX_LIFE } from './chain.ts';
import { checkLemma } from './decode.ts';
import { type Statement, signedBytes, stateLemma, type Terms } from './signing.ts';

export { credentialOf, encodeCredential, linksOf } from './credential.ts';

/** A root: an issuer says whose operator key this is. Its scope is empty: it never grants access. */
export function issueRoot(
  issuerSeed: Uint8Array,
  subject: string,
  claims: RootLemma['claims'],
  terms: Omit<Terms, 'scope'>,
): RootLemma {
  return sign(issuerSeed, { type: 'root', subject, claims }, { ...terms, scope: [] }, null) as RootLemma;
}

export function issueDelegation(
  parent: Lemma,
  signerSeed: Uint8Array,
  claims: DelegationLemma['claims'],
  terms: Terms,
): DelegationLemma {
  return sign(signerSeed, { type: 'delegation', claims }, terms, parent) as DelegationLemma;
}

export function issueRuntime(
  parent: Lemma,
  signerSeed: Uint8Array,
  claims: RuntimeLemma['claims'],
  terms: Terms,
): RuntimeLemma {
  return sign(signerSeed, { type: 'runtime', claims }, terms, parent) as RuntimeLemma;
}

export function issueRun(
  parent: Lemma,
  signerSeed: Uint8Array,
  claims: RunLemma['claims'],
  terms: Terms,
): RunLemma {
  return sign(signerSeed, { type: 'run', claims }, terms, parent) as RunLemma;
}

/**
 * Signs what would verify, and nothing else: throws Denial with the code that a verifier would give
 * (schema_invalid, key_weak, key_reused, …_escalation, ttl_too_long, chain_parent_mismatch).
 */
function sign(signerSeed: Uint8Array, statement: Statement, terms: Terms, parent: Lemma | null): Lemma {
  const signer = publicKeyOf(signerSeed);
  const unsigned = stateLemma(statement, terms, parent, thumbprint(signer));
  const lemma = { ...unsigned, signature: toBase64url(signEd25519(signedBytes(unsigned), signerSeed)) };
  const checked = checkLemma(lemma, 0);
  const weak = keyProblem(terms.key);
  if (weak !== null) throw new Denial('key_weak', weak);
  if (parent !== null) {
    if (parent.key !== toBase64url(signer))
      throw new Denial('chain_parent_mismatch', "the signer is not the parent's key");
    if (parent.key === checked.key) throw new Denial('key_reused', "the holder's key is the parent's");
    const problem = attenuationProblem(parent, checked);
    if (problem !== null) throw new Denial(problem.code, problem.message);
  }
  if (checked.expires_at - checked.not_before > MAX_LIFE[checked.type]) {
    throw new Denial('ttl_too_long', `at most ${MAX_LIFE[checked.type]} s`);
  }
  return checked;
}
