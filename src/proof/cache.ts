import type { Lemma } from '../schema/lemma.ts';
import { type VerifiedChain, verifyChain } from './chain.ts';
import { decodeCredential } from './decode.ts';
import { verifyToken } from './token.ts';
import type { TrustSet } from './trust.ts';

/**
 * Steps 5 to 9 for a header's value, remembered. The key is the exact received characters and the trust set's version,
 * nothing less: a cache that trusted less than the whole has let forged chains pass elsewhere.
 * Only chains that hold are kept; the longest unused goes when `limit` is reached.
 */
export interface ChainCache {
  /** `decoded` is told the links of a chain that is not known yet, before they are verified: for the record of a failure. */
  verify(header: string, trust: TrustSet, decoded?: (links: readonly Lemma[]) => void): VerifiedChain;
  /** The same for a legacy token, `lm_at_…`: the chain that it stands for. Throws token_invalid. */
  verifyToken(token: string, trust: TrustSet): VerifiedChain;
  /** Chains, those of tokens among them. */
  readonly size: number;
}

export function createChainCache(limit = 10_000): ChainCache {
  const chains = createMemory(limit);
  // Apart: a token that is sent as a credential must not find its chain.
  const tokens = createMemory(limit);
  return {
    verify: (header, trust, decoded) =>
      chains.remembered(header, trust, () => {
        const links = decodeCredential(header);
        decoded?.(links);
        return verifyChain(links, trust);
      }),
    verifyToken: (token, trust) => tokens.remembered(token, trust, () => verifyToken(token, trust)),
    get size() {
      return chains.size() + tokens.size();
    },
  };
}

function createMemory(limit: number) {
  const chains = new Map<string, { readonly version: string; readonly chain: VerifiedChain }>();
  return {
    remembered(text: string, trust: TrustSet, make: () => VerifiedChain): VerifiedChain {
      const known = chains.get(text);
      if (known !== undefined) chains.delete(text);
      if (known?.version === trust.version) {
        chains.set(text, known);
        return known.chain;
      }
      const chain = make();
      if (chains.size >= limit) chains.delete(chains.keys().next().value ?? '');
      chains.set(text, { version: trust.version, chain });
      return chain;
    },
    size: () => chains.size,
  };
}
