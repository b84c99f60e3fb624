/** `,"prev":"` + 43 characters + `","hash":"` + 43 characters + `"}`: how every stored line ends (chain.ts). */
const LINKS = /"prev":"([A-Za-z0-9_-]{43})","hash":"([A-Za-z0-9_-]{43})"\}$/;

/** A record of another tenant in an export that can be verified: its place in the chain, nothing of what it says. */
export interface Withheld {
  readonly node: string;
  readonly seq: number;
  readonly prev: string;
  readonly hash: string;
}

/** The line that stands for a record that may not be shown. */
export function withheldLine(node: string, seq: number, line: string): string {
  const [, prev = '', hash = ''] = LINKS.exec(line) ?? [];
  return JSON.stringify({ withheld: { node, seq, prev, hash } satisfies Withheld });
}
