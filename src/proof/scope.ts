/** `a.b.*` covers `a.b.c`, `a.b.c.d`, `a.b.c.*` and itself, not `a.b` (proofs.md). */
export function scopeCovers(granted: string, wanted: string): boolean {
  if (granted === wanted) return true;
  return granted.endsWith('.*') && wanted.startsWith(granted.slice(0, -1));
}

/** The first wanted scope that nothing granted covers, or null. */
export function uncoveredScope(granted: readonly string[], wanted: readonly string[]): string | null {
  return wanted.find((scope) => !granted.some((g) => scopeCovers(g, scope))) ?? null;
}
