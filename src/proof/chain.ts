import { keyProblem, verifyEd25519 } from '#runtime';
import { fromBase64url } from '../crypto/base64url.ts';
import { thumbprint } from '../crypto/thumbprint.ts';
import { Denial, type ReasonCode } from '../reason.ts';
import type {
  DelegationLemma,
  Lemma,
  LemmaType,
  RootLemma,
  RunLemma,
  RuntimeLemma,
} from '../schema/lemma.ts';
import { uncoveredScope } from './scope.ts';
import { parentHash, signedBytes } from './signing.ts';
import type { TrustSet } from './trust.ts';

const DAY = 86_400;

/** The longest life of each type, seconds (`expires_at - not_before`). */
export const MAX_LIFE: Readonly<Record<LemmaType, number>> = {
  root: 366 * DAY,
  delegation: 90 * DAY,
  runtime: DAY,
  run: 15 * 60,
};

/** A chain whose signatures and attenuation hold. Times, PoP and reach are checked anew on each request. */
export interface VerifiedChain {
  /** Root first, leaf last. */
  readonly links: readonly Lemma[];
  readonly root: RootLemma;
  readonly delegations: readonly DelegationLemma[];
  readonly runtime: RuntimeLemma;
  readonly run: RunLemma | null;
  readonly leaf: Lemma;
  readonly leafKey: Uint8Array;
  /** Thumbprint of each link's `key`, root first. */
  readonly keyids: readonly string[];
  /** Absent where the chain itself was presented: an authority vouches for it, and `leaf` is narrowed to what it vouches for. */
  readonly token?: TokenFacts;
}

/** A legacy token's own. Seconds since 1970; `issuer` is the thumbprint of the key that signed it. */
export interface TokenFacts {
  readonly id: string;
  readonly issuer: string;
  readonly issued_at: number;
  readonly not_before: number;
  readonly expires_at: number;
}

/**
 * Steps 8 and 9 of proofs.md, in their order, root first. Throws Denial with the first failure's code and the
 * position of the link in its facts.
 */
export function verifyChain(links: readonly Lemma[], trust: TrustSet): VerifiedChain {
  const root = links[0];
  if (root?.type !== 'root') throw new Denial('chain_order_invalid', 'the first link is not a root');
  const issuerKey = trust.key(root.issuer);
  if (issuerKey === null || !trust.trusts(root.issuer, root.claims.org, root.claims.env)) {
    throw new Denial(
      'root_untrusted',
      `no trusted key ${root.issuer} for ${root.claims.org}/${root.claims.env}`,
      {
        link: 0,
        issuer: root.issuer,
        org: root.claims.org,
        env: root.claims.env,
      },
    );
  }

  const keyids: string[] = [];
  let signer: { key: Uint8Array; keyid: string; hash: string | null } = {
    key: issuerKey,
    keyid: root.issuer,
    hash: null,
  };
  for (const [index, link] of links.entries()) {
    const refuse = (code: ReasonCode, message: string) => {
      throw new Denial(code, message, { link: index, type: link.type, id: link.id });
    };
    if (link.type !== 'root') {
      if (link.issuer !== signer.keyid)
        refuse('chain_parent_mismatch', 'issuer is not the key of the parent');
      if (link.parent !== signer.hash)
        refuse('chain_parent_mismatch', 'parent is not the hash of the link before');
    }
    const key = fromBase64url(link.key) ?? new Uint8Array();
    const weak = keyProblem(key);
    if (weak !== null) refuse('key_weak', weak);
    const keyid = thumbprint(key);
    if (keyids.includes(keyid)) refuse('key_reused', 'a key that stands earlier in the chain');
    const signed = signedBytes(link);
    const signature = fromBase64url(link.signature) ?? new Uint8Array();
    if (!verifyEd25519(signature, signed, signer.key))
      refuse('signature_invalid', `not signed by ${signer.keyid}`);
    const parent = links[index - 1];
    if (parent !== undefined) {
      const problem = attenuationProblem(parent, link);
      if (problem !== null) refuse(problem.code, problem.message);
    }
    const life = link.expires_at - link.not_before;
    if (life > MAX_LIFE[link.type]) refuse('ttl_too_long', `${life} s, at most ${MAX_LIFE[link.type]}`);
    keyids.push(keyid);
    signer = { key, keyid, hash: parentHash(signed, signature) };
  }
  return assembleChain(links, root, signer.key, keyids);
}

/** What a child claims beyond its parent (subject, scope, audience, window), or null. */
export function attenuationProblem(
  parent: Lemma,
  child: Lemma,
): { code: ReasonCode; message: string } | null {
  if (child.subject !== parent.subject) {
    return { code: 'chain_subject_mismatch', message: `${child.subject} under ${parent.subject}` };
  }
  const scope = parent.type === 'root' ? null : uncoveredScope(parent.scope, child.scope);
  if (scope !== null) return { code: 'scope_escalation', message: `${scope} is not in the parent's scope` };
  const audience = child.audience.find((entry) => !parent.audience.includes(entry));
  if (audience !== undefined) {
    return { code: 'audience_escalation', message: `${audience} is not in the parent's audience` };
  }
  if (child.not_before < parent.not_before || child.expires_at > parent.expires_at) {
    return { code: 'expiry_escalation', message: "begins before, or ends after, the parent's window" };
  }
  return null;
}

/** The parts of a chain by name. Nothing is verified here. Throws chain_incomplete. */
export function assembleChain(
  links: readonly Lemma[],
  root: RootLemma,
  leafKey: Uint8Array,
  keyids: readonly string[],
): VerifiedChain {
  const runtime = links.find((link) => link.type === 'runtime');
  const leaf = links.at(-1);
  if (runtime === undefined || leaf === undefined) throw new Denial('chain_incomplete', 'no runtime');
  return {
    links,
    root,
    delegations: links.filter((link) => link.type === 'delegation'),
    runtime,
    run: links.find((link) => link.type === 'run') ?? null,
    leaf,
    leafKey,
    keyids,
  };
}
