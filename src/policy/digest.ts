import { sha256 } from '#runtime';
import { SIGNATURE_FILE } from '../schema/bundle.ts';

const encoder = new TextEncoder();

/** Lower-case hex. */
export function hex(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
}

/**
 * What a bundle is known by: SHA-256, in hex, over `lemma/bundle/v1`, a line feed, and for each file, sorted by path,
 * `path NUL sha256-hex LF`. The signature file is left out, since it holds this digest. Every other file counts, so
 * that nothing can be added, taken away or renamed. Paths hold no NUL and no LF (`pathProblem` of `bundle.ts`).
 */
export function bundleDigest(files: ReadonlyMap<string, Uint8Array>): string {
  const lines = [...files]
    .filter(([path]) => path !== SIGNATURE_FILE)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([path, bytes]) => `${path}\0${hex(sha256(bytes))}\n`);
  return hex(sha256(encoder.encode(`lemma/bundle/v1\n${lines.join('')}`)));
}
