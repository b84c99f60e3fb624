import type { Bounds, Lemma } from '../schema/lemma.ts';
import { pathProblem } from '../schema/path.ts';

/** The bounds that a link sets; a root sets none. */
export function boundsOf(lemma: Lemma): Bounds | null {
  return lemma.type === 'root' ? null : (lemma.claims.bounds ?? null);
}

/** Position of the first path prefix that is ambiguous, or ends with a slash; -1 when all are fine. */
export function prefixProblem(prefixes: readonly string[]): number {
  return prefixes.findIndex((p) => pathProblem(p) !== null || (p !== '/' && p.endsWith('/')));
}
