/** True when a reference (`data.lemma.low["a b"].c`) lies below another one. */
export function isBelow(path: string, above: string): boolean {
  return path.startsWith(`${above}.`) || path.startsWith(`${above}[`);
}

export function isWithin(path: string, above: string): boolean {
  return path === above || isBelow(path, above);
}
