import type { Lemma } from '../schema/lemma.ts';
import { type VerifiedChain, verifyChain } from './chain.ts';
import { decodeCredential } from './decode.ts';
import type { TrustSet } from './trust.ts';

/**
 * Steps 5 to 9 for a header's value, remembered. The key is the exact received characters and the trust set's version,
 * nothing less: a cache that trusted less than the whole has let forged chains pass elsewhere.
 * Only chains that hold are kept; the longest unused goes when `limit` is reached.
 */
export interface ChainCache {
  /** `decoded` is told the links of a chain that is not known yet, before they are verified: for the record of a failure. */
  verify(header: string, trust: TrustSet, decoded?: (links: readonly Lemma[]) => void): VerifiedChain;
  readonly size: number;
}

export function createChainCache(limit = 10_000): ChainCache {
  const chains = new Map<string, { readonly version: string; readonly chain: VerifiedChain }>();
  return {
    verify(header, trust, decoded) {
      const known = chains.get(header);
      if (known !== undefined) chains.delete(header);
      if (known?.version === trust.version) {
        chains.set(header, known);
        return known.chain;
      }
      const links = decodeCredential(header);
      decoded?.(links);
      const chain = verifyChain(links, trust);
      if (chains.size >= limit) chains.delete(chains.keys().next().value ?? '');
      chains.set(header, { version: trust.version, chain });
      return chain;
    },
    get size() {
      return chains.size;
    },
  };
}
