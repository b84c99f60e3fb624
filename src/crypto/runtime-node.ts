import { createHash, createHmac, hash, randomFillSync } from 'node:crypto';
import { chooseEngine } from './choose-engine.ts';
import type { EngineName } from './ed25519-engine.ts';
import { noble } from './ed25519-noble.ts';
import { openssl } from './ed25519-openssl.ts';
import { loadSodium } from './ed25519-sodium.ts';

/** Node's side of `#runtime` (package.json, `imports`); `runtime-portable.ts` has the same exports. */

// A warning, not an error: the next engine gives the same answers, only slower.
const engine = chooseEngine([loadSodium, () => openssl], noble, (problem) => {
  process.emitWarning(problem, { code: 'LEMMA_ED25519_ENGINE' });
});

/** Which implementation answers here: `sodium` where it loads, else `openssl`; `noble` when neither holds the profile. */
export const ed25519Engine: EngineName = engine.name;

/** SHA-256 of the chunks as one. 32 bytes. */
export function sha256(...chunks: Uint8Array[]): Uint8Array {
  const [only] = chunks;
  if (only !== undefined && chunks.length === 1) return new Uint8Array(hash('sha256', only, 'buffer'));
  const hasher = createHash('sha256');
  for (const chunk of chunks) hasher.update(chunk);
  return new Uint8Array(hasher.digest());
}

/** HMAC-SHA-256 (RFC 2104) of the chunks as one. 32 bytes. */
export function hmacSha256(key: Uint8Array, ...chunks: Uint8Array[]): Uint8Array {
  const mac = createHmac('sha256', key);
  for (const chunk of chunks) mac.update(chunk);
  return new Uint8Array(mac.digest());
}

const POOL_BYTES = 4096;
const pool = new Uint8Array(POOL_BYTES);
let used = POOL_BYTES;

/**
 * From the system's generator. Small amounts come out of a pool that is filled in one call, each byte once, and are
 * wiped there. Throws RangeError for a negative or broken `n`.
 */
export function randomBytes(n: number): Uint8Array {
  if (!Number.isSafeInteger(n) || n < 0) throw new RangeError(`randomBytes: ${n} is not a number of bytes`);
  if (n > POOL_BYTES / 16) return randomFillSync(new Uint8Array(n));
  if (used + n > POOL_BYTES) {
    randomFillSync(pool);
    used = 0;
  }
  const taken = pool.slice(used, used + n);
  pool.fill(0, used, used + n);
  used += n;
  return taken;
}

export const verifyEd25519 = engine.verify;
export const signEd25519 = engine.sign;
export const publicKeyOf = engine.publicKeyOf;
export const keyProblem = engine.keyProblem;
