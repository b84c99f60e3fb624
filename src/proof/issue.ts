import { keyProblem, publicKeyOf, randomBytes, signEd25519 } from '#runtime';
import { fromBase64url, toBase64url } from '../crypto/base64url.ts';
import { thumbprint } from '../crypto/thumbprint.ts';
import { Denial } from '../reason.ts';
import type {
  CredentialJson,
  DelegationLemma,
  Lemma,
  RootLemma,
  RunLemma,
  RuntimeLemma,
} from '../schema/lemma.ts';
import { attenuationProblem, MAX_LIFE } from './chain.ts';
import { checkLemma } from './decode.ts';
import { parentHash, signedBytes } from './signing.ts';

/** What every lemma says; times in whole seconds since 1970. */
export interface Terms {
  /** The holder's Ed25519 public key. */
  readonly key: Uint8Array;
  readonly audience: readonly string[];
  readonly scope: readonly string[];
  readonly issued_at: number;
  readonly not_before?: number;
  readonly expires_at: number;
}

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

/** A leaf with its ancestors: links root first, leaf last. */
export function credentialOf(links: readonly Lemma[]): CredentialJson {
  const leaf = links.at(-1);
  if (leaf === undefined) throw new RangeError('links: at least one');
  return { ...leaf, chain: links.slice(0, -1) };
}

/** The links of a credential, root first: the inverse of `credentialOf`. */
export function linksOf(credential: CredentialJson): Lemma[] {
  const { chain, ...leaf } = credential;
  return [...chain, leaf as Lemma];
}

/** Value of X-Lemma-Credential or X-Lemma-Proof. */
export function encodeCredential(credential: CredentialJson): string {
  return toBase64url(new TextEncoder().encode(JSON.stringify(credential)));
}

/**
 * Signs what would verify, and nothing else: throws Denial with the code that a verifier would give
 * (schema_invalid, key_weak, key_reused, …_escalation, ttl_too_long, chain_parent_mismatch).
 */
function sign(
  signerSeed: Uint8Array,
  statement: { type: Lemma['type']; claims: object; subject?: string },
  terms: Terms,
  parent: Lemma | null,
): Lemma {
  const signer = publicKeyOf(signerSeed);
  const unsigned = {
    v: 1,
    type: statement.type,
    id: `lem_${toBase64url(randomBytes(16))}`,
    issuer: thumbprint(signer),
    subject: parent?.subject ?? statement.subject,
    key: toBase64url(terms.key),
    audience: [...terms.audience],
    scope: [...terms.scope],
    issued_at: terms.issued_at,
    not_before: terms.not_before ?? terms.issued_at,
    expires_at: terms.expires_at,
    ...(parent === null ? {} : { parent: hashOf(parent) }),
    claims: statement.claims,
  } as Omit<Lemma, 'signature'>;
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

function hashOf(lemma: Lemma): string {
  return parentHash(signedBytes(lemma), fromBase64url(lemma.signature) ?? new Uint8Array());
}
