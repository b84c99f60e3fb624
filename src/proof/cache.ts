import type { Lemma } from '../schema/lemma.ts';
import { type VerifiedChain, verifyChain } from './chain.ts';
import { decodeCredential } from './decode.ts';
import type { TrustSet } from './trust.ts';

/**
 * Steps 5 to 9 for a header's value, remembered. The key is the exact received characters and the trust set's version,
 * nothing less: a cache that trusted less than the whole has let forged chains pass elsewhere.
 * Only chains that hold are kept; the longest unused go when one more would be more than may be kept.
 */
export interface ChainCache {
  /** `decoded` is told the links of a chain that is not known yet, before they are verified: for the record of a failure. */
  verify(header: string, trust: TrustSet, decoded?: (links: readonly Lemma[]) => void): VerifiedChain;
  readonly size: number;
}

/** What a chain takes for each character of its header, with what is remembered beside it: 4.9 measured, of three links. */
const BYTES_A_CHARACTER = 5;
const MIB = 1024 * 1024;

/** Keeps `limit` chains at most, and those in about `limitBytes` of memory. */
export function createChainCache(limit = 10_000, limitBytes = 64 * MIB): ChainCache {
  const chains = new Map<string, { readonly version: string; readonly chain: VerifiedChain }>();
  let bytes = 0;

  function forget(header: string): void {
    if (chains.delete(header)) bytes -= bytesOf(header);
  }

  function makeRoom(wanted: number): void {
    for (const longestUnused of chains.keys()) {
      if (chains.size < limit && bytes + wanted <= limitBytes) return;
      forget(longestUnused);
    }
  }

  return {
    verify(header, trust, decoded) {
      const known = chains.get(header);
      if (known?.version === trust.version) {
        chains.delete(header);
        chains.set(header, known);
        return known.chain;
      }
      forget(header);
      const links = decodeCredential(header);
      decoded?.(links);
      const chain = verifyChain(links, trust);
      makeRoom(bytesOf(header));
      chains.set(header, { version: trust.version, chain });
      bytes += bytesOf(header);
      return chain;
    },
    get size() {
      return chains.size;
    },
  };
}

function bytesOf(header: string): number {
  return header.length * BYTES_A_CHARACTER;
}
