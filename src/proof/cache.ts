import type { Lemma } from '../schema/lemma.ts';
import { type VerifiedChain, verifyChain } from './chain.ts';
import { decodeCredential } from './decode.ts';
import { verifyToken } from './token.ts';
import type { TrustSet } from './trust.ts';

/**
 * Steps 5 to 9 for a header's value, remembered. The key is the exact received characters and the trust set's version,
 * nothing less: a cache that trusted less than the whole has let forged chains pass elsewhere.
 * Only chains that hold are kept; the longest unused goes when there is no room for another.
 */
export interface ChainCache {
  /** `decoded` is told the links of a chain that is not known yet, before they are verified: for the record of a failure. */
  verify(header: string, trust: TrustSet, decoded?: (links: readonly Lemma[]) => void): VerifiedChain;
  /** The same for a legacy token, `lm_at_…`: the chain that it stands for. Throws token_invalid. */
  verifyToken(token: string, trust: TrustSet): VerifiedChain;
  /** Chains, those of tokens among them. */
  readonly size: number;
}

/** What a chain takes for each character of its header, with what is remembered beside it: 4.9 measured, of three links. */
const BYTES_A_CHARACTER = 5;
const MIB = 1024 * 1024;

/** Keeps `limit` chains at most, and those in about `limitBytes` of memory; of tokens as many again. */
export function createChainCache(limit = 10_000, limitBytes = 64 * MIB): ChainCache {
  const chains = createMemory(limit, limitBytes);
  // Apart: a token that is sent as a credential must not find its chain.
  const tokens = createMemory(limit, limitBytes);
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

function createMemory(limit: number, limitBytes: number) {
  /** In the order of their use, since half of the room was taken. */
  const chains = new Map<string, { readonly version: string; readonly chain: VerifiedChain }>();
  let bytes = 0;

  function forget(text: string): void {
    if (chains.delete(text)) bytes -= bytesOf(text);
  }

  /** Before, none is near to going. A Map leaves a table in V8's old space for every few that are taken out and put back. */
  function filling(): boolean {
    return chains.size * 2 >= limit || bytes * 2 >= limitBytes;
  }

  function makeRoom(wanted: number): void {
    for (const longestUnused of chains.keys()) {
      if (chains.size < limit && bytes + wanted <= limitBytes) return;
      forget(longestUnused);
    }
  }

  return {
    remembered(text: string, trust: TrustSet, make: () => VerifiedChain): VerifiedChain {
      const known = chains.get(text);
      if (known?.version === trust.version) {
        if (filling()) {
          chains.delete(text);
          chains.set(text, known);
        }
        return known.chain;
      }
      forget(text);
      const chain = make();
      const wanted = bytesOf(text);
      makeRoom(wanted);
      chains.set(text, { version: trust.version, chain });
      bytes += wanted;
      return chain;
    },
    size: () => chains.size,
  };
}

function bytesOf(text: string): number {
  return text.length * BYTES_A_CHARACTER;
}
