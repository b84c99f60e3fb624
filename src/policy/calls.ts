import type { Problem } from '../reason.ts';
import { WASM_FILE } from '../schema/bundle.ts';
import { adviceFor } from './compiler/advice.ts';
import type { Sources } from './policy-files.ts';
import { codeLines } from './rule-text.ts';

/** Where in the Rego a built-in is called that a policy may not call, and what to write instead. */
export function callProblems(names: readonly string[], rego: Sources): Problem[] {
  return names.flatMap((name) => {
    const mend = adviceFor(name) ?? 'write it with other built-ins (policies/capabilities.json names them)';
    const message = `calls ${name}, which no policy may here; ${mend}`;
    const places = placesOf(patternOf(name), rego);
    if (places.length > 0) return places.map((field) => ({ field, message }));
    return [{ field: WASM_FILE, message: `${message}${HIDDEN}` }];
  });
}

/** Said of what is in the module and not in the Rego beside it. */
export const HIDDEN =
  ' (its line is not in the bundle: `opa build` takes the rules of the entrypoint out of the Rego)';

/** `file:line` of each line whose code, without texts and comments, has it. */
export function placesOf(pattern: RegExp, rego: Sources): string[] {
  return [...rego].flatMap(([path, text]) =>
    codeLines(text).flatMap((line, i) => (pattern.test(line) ? [`${path}:${i + 1}`] : [])),
  );
}

export function isCalled(name: string, rego: Sources): boolean {
  return placesOf(patternOf(name), rego).length > 0;
}

/** A template string is called without its name. */
function patternOf(name: string): RegExp {
  if (name === 'internal.template_string') return /\$["`]/;
  return new RegExp(`(?<![\\w.])${name.replaceAll('.', '\\.')}\\s*\\(`);
}
