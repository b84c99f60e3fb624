import type { Sources } from './policy-files.ts';
import { linesWithoutComments } from './rule-text.ts';

/** A reference into `input`, as far as it is written out. */
export interface Read {
  /** `file:line`. */
  readonly place: string;
  readonly path: readonly string[];
}

const STEPS = String.raw`(?:\.[A-Za-z_]\w*|\[\s*"[^"]*"\s*\])`;
const STEP = /\.([A-Za-z_]\w*)|\[\s*"([^"]*)"\s*\]/g;
const IMPORT = new RegExp(`^\\s*import\\s+input(${STEPS}+)(?:\\s+as\\s+(\\w+))?\\s*$`);
const NAMED = new RegExp(`(?<![\\w."])(\\w+)\\s*:?=\\s*input(${STEPS}+)\\s*$`);

/**
 * What the Rego reads of `input`, under its own name or one that an import or an assignment of a whole line gives it. Not a
 * parser: a path that is computed is not seen.
 */
export function inputReads(rego: Sources): Read[] {
  return [...rego].flatMap(([file, text]) => readsIn(file, linesWithoutComments(text)));
}

function readsIn(file: string, lines: readonly string[]): Read[] {
  const names = namesIn(lines);
  const pattern = new RegExp(`(?<![\\w."])(${[...names.keys()].join('|')})(${STEPS}+)`, 'g');
  return lines.flatMap((line, i) =>
    [...line.matchAll(pattern)].map(([, name = '', steps = '']) => ({
      place: `${file}:${i + 1}`,
      path: [...(names.get(name) ?? []), ...stepsOf(steps)],
    })),
  );
}

/** What each name stands for. */
function namesIn(lines: readonly string[]): ReadonlyMap<string, readonly string[]> {
  const names = new Map<string, readonly string[]>([['input', []]]);
  for (const line of lines) {
    const [, imported, given] = IMPORT.exec(line) ?? [];
    if (imported !== undefined) {
      const path = stepsOf(imported);
      const name = given ?? path.at(-1) ?? '';
      // A name that is none (`import input["a b"]`) is an error to OPA.
      if (/^\w+$/.test(name)) names.set(name, path);
    }
    const [, name, read] = NAMED.exec(line) ?? [];
    if (name !== undefined && read !== undefined) names.set(name, stepsOf(read));
  }
  return names;
}

function stepsOf(text: string): string[] {
  return [...text.matchAll(STEP)].map(([, plain, quoted]) => plain ?? quoted ?? '');
}
