import type { Bundle } from './bundle.ts';

/** A rule in a bundle's own Rego. */
export interface RuleText {
  readonly file: string;
  /** From 1. */
  readonly line: number;
  /** The rule's lines, without the line feed at the end. */
  readonly text: string;
}

const MOST_LINES = 60;
const QUOTED_OR_COMMENT = /"(?:[^"\\]|\\.)*"|`[^`]*`|#.*/g;

/** The rule that the bundle's manifest names for a denial code, or null when it names none. */
export function ruleTextOf(bundle: Bundle, code: string): RuleText | null {
  const { reasons } = bundle.manifest.metadata.lemma;
  const place = Object.hasOwn(reasons, code) ? reasons[code] : undefined;
  if (place === undefined) return null;
  const colon = place.lastIndexOf(':');
  const file = place.slice(0, colon);
  const line = Number(place.slice(colon + 1));
  const bytes = bundle.files.get(file);
  if (bytes === undefined) return null;
  const lines = new TextDecoder().decode(bytes).split('\n');
  return { file, line, text: ruleFrom(lines.slice(line - 1, line - 1 + MOST_LINES)) };
}

/** Up to the first line that leaves no bracket open. */
function ruleFrom(lines: readonly string[]): string {
  let open = 0;
  for (const [i, code] of lines.map(codeOf).entries()) {
    open += count(code, /[{[(]/g) - count(code, /[}\])]/g);
    if (open <= 0) return lines.slice(0, i + 1).join('\n');
  }
  return lines.join('\n');
}

/** Each line's code: texts emptied, comments gone. */
export function codeLines(text: string): string[] {
  return text.split('\n').map(codeOf);
}

/** Each line with its texts. */
export function linesWithoutComments(text: string): string[] {
  return text
    .split('\n')
    .map((line) => line.replace(QUOTED_OR_COMMENT, (found) => (found.startsWith('#') ? '' : found)));
}

function codeOf(line: string): string {
  return line.replace(QUOTED_OR_COMMENT, (found) => (found.startsWith('#') ? '' : '""'));
}

function count(text: string, pattern: RegExp): number {
  return text.match(pattern)?.length ?? 0;
}
