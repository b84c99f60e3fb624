/** Just enough of Rego's text to say which members of the input a rule looks at. */

const INPUT = /\binput(?:\.[a-z_]\w*)+/g;
const LIB = /\blib\.([a-z_]\w*)/g;
/** Rules of the library that name others of it. */
const DEEPEST = 4;

/** `input.…` that a rule names, itself or through `lib`, whose rules stand in the bundle's other files. */
export function inputsOf(rule: string, files: Readonly<Record<string, string>>): string[] {
  const library = Object.entries(files)
    .filter(([path]) => /(?:^|\/)lib\//.test(path))
    .map(([, text]) => text);
  const found = new Set<string>();
  const seen = new Set<string>();
  const visit = (text: string, depth: number, inLibrary: boolean): void => {
    for (const path of text.match(INPUT) ?? []) found.add(path);
    if (depth === 0) return;
    const names = inLibrary ? [...text.matchAll(/\b([a-z_]\w*)\b/g)] : [...text.matchAll(LIB)];
    for (const [, name = ''] of names) {
      if (seen.has(name)) continue;
      const bodies = library.flatMap((file) => rulesNamed(name, file));
      if (bodies.length === 0) continue;
      seen.add(name);
      for (const body of bodies) visit(body, depth - 1, true);
    }
  };
  visit(rule, DEEPEST, false);
  return [...found].sort();
}

/** Each text from a line that begins with the name to the end of its rule. */
function rulesNamed(name: string, file: string): string[] {
  const lines = file.split('\n');
  return lines.flatMap((line, at) => {
    if (!new RegExp(`^(?:default )?${name}\\b`).test(line)) return [];
    const end = lines.findIndex((one, n) => n >= at && (one === '}' || one.trim() === ''));
    return [lines.slice(at, end === -1 ? undefined : end).join('\n')];
  });
}

/** Undefined where there is none. */
export function valueAt(from: unknown, path: readonly string[]): unknown {
  return path.reduce<unknown>(
    (value, name) =>
      typeof value === 'object' && value !== null && Object.hasOwn(value, name)
        ? (value as Record<string, unknown>)[name]
        : undefined,
    from,
  );
}
