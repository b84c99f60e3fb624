import { PROFILES } from '../../schema/common.ts';
import type { PolicyProblem } from '../compiler/answers.ts';
import type { Facts } from '../lint.ts';
import { isRego, isTestFile } from '../policy-files.ts';
import { found } from './found.ts';

const FOLDERS: ReadonlySet<string> = new Set([...PROFILES, 'lib']);

/** What would be there in a test and missing in the bundle: files that are not bundled, packages outside the root. */
export function findStrays({ files, under, parsed }: Facts): PolicyProblem[] {
  const own = [...files.keys()].filter((file) => !isTestFile(file));
  return own.flatMap((file) => {
    const [folder = '', ...rest] = file.slice(under.length + 1).split('/');
    if (rest.length !== 1 || !FOLDERS.has(folder) || (folder === 'lib' && !isRego(file))) {
      const hint = `move it into ${PROFILES.map((p) => `${p}/`).join(', ')} or, for Rego, lib/; tests end in _test.rego`;
      return [found('lint_not_bundled', { file, row: 1 }, 'no bundle would hold this file', hint)];
    }
    const name = parsed.packages.find((p) => p.file === file)?.package;
    const root = `data.lemma.${folder}`;
    if (name === undefined || name === root || name.startsWith(`${root}.`)) return [];
    const message = `package ${name.slice('data.'.length)} is outside lemma.${folder}`;
    return [found('lint_package', { file, row: 1 }, message, `write: package lemma.${folder}`)];
  });
}
