import { closest, distance } from 'fastest-levenshtein';

/** The known name that a person most likely meant, or null when none is near. */
export function nearest(word: string, known: readonly string[]): string | null {
  if (known.length === 0) return null;
  const match = closest(word, [...known]);
  // A slip or two in a short word, more in a long one; never so many that nothing of it is left.
  const tolerated = Math.max(2, Math.floor(match.length / 3));
  const apart = distance(word, match);
  return apart <= tolerated && apart < match.length ? match : null;
}

/** `; did you mean "risk"?`, or the names that are known when there are few, or nothing. */
export function hint(word: string, known: readonly string[]): string {
  const match = nearest(word, known);
  if (match !== null) return `; did you mean "${match}"?`;
  return known.length > 0 && known.length <= 12 ? `; known here: ${known.join(', ')}` : '';
}
