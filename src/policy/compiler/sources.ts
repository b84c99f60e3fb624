import { InputError, type Problem } from '../../reason.ts';
import type { Sources } from './answers.ts';

/** Of native `opa`, beside the files. */
const RESERVED = '.lemma';

/** Files and paths as they go to OPA. Throws InputError for every path that leads out, or is not written plainly. */
export function textOf({ files, paths = [] }: Sources): {
  files: Record<string, string>;
  paths: readonly string[];
} {
  const problems = [...files.keys(), ...paths].flatMap(problemOf);
  if (problems.length > 0) throw new InputError(problems);
  return { files: Object.fromEntries(files), paths };
}

function problemOf(path: string): Problem[] {
  const parts = path.split('/');
  const plain = parts.every((part) => part !== '' && part !== '.' && part !== '..');
  if (plain && parts[0] !== RESERVED && !path.startsWith('-') && !/[\\:\0]/.test(path)) return [];
  return [{ field: path, message: 'must be a relative path with "/", without "." and ".." and without ":"' }];
}
