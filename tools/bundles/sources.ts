import { readdir, readFile } from 'node:fs/promises';
import { join, relative } from 'node:path';
import { POLICY_DENIAL_CODES } from '../../src/reason.ts';
import type { Profile } from '../../src/schema/common.ts';

/** Text files of a bundle, by path. */
export type Sources = ReadonlyMap<string, string>;

/**
 * The Rego of one profile as it is bundled: its own files, and `lib` moved below the profile's root, since two bundles
 * with one root clash in OPA. Lines stay where they are.
 */
export async function regoOf(policies: string, profile: Profile): Promise<Sources> {
  const root = `lemma/${profile}`;
  const own = await regoIn(join(policies, profile), root);
  const lib = await regoIn(join(policies, 'lib'), `${root}/lib`);
  const moved = [...own, ...lib].map(([path, text]) => [path, underProfile(text, profile)] as const);
  return new Map(moved);
}

/** `data.json` with the profile's data at its root. */
export async function dataOf(policies: string, profile: Profile): Promise<string> {
  const data: unknown = JSON.parse(await readFile(join(policies, profile, 'data.json'), 'utf8'));
  return jsonText({ lemma: { [profile]: data } });
}

/** Denial code -> file:line of its rule, from the rules' heads. Throws for a code that a policy may not give. */
export function reasonsOf(rego: Sources): Record<string, string> {
  const reasons = new Map<string, string>();
  for (const [path, text] of rego) {
    for (const [i, line] of text.split('\n').entries()) {
      const code = /^deny contains "([^"]*)"/.exec(line)?.[1];
      if (code === undefined) continue;
      if (!isDenialCode(code))
        throw new Error(`${path}:${i + 1}: "${code}" is none that a policy may deny with`);
      if (!reasons.has(code)) reasons.set(code, `${path}:${i + 1}`);
    }
  }
  return Object.fromEntries([...reasons].sort(([a], [b]) => (a < b ? -1 : 1)));
}

/** All Rego and data below a folder, tests too, by path below `under`: what `opa test` would read. */
export async function sourcesIn(folder: string, under: string): Promise<Sources> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  const names = entries
    .filter((entry) => entry.isFile() && (entry.name.endsWith('.rego') || entry.name === 'data.json'))
    .map((entry) => relative(folder, join(entry.parentPath, entry.name)).replaceAll('\\', '/'))
    .sort();
  return new Map(
    await Promise.all(
      names.map(async (name) => [`${under}/${name}`, await readFile(join(folder, name), 'utf8')] as const),
    ),
  );
}

export function jsonText(value: unknown): string {
  return `${JSON.stringify(value, null, 2)}\n`;
}

async function regoIn(folder: string, under: string): Promise<[string, string][]> {
  const names = (await readdir(folder))
    .filter((name) => name.endsWith('.rego') && !name.endsWith('_test.rego'))
    .sort();
  return Promise.all(
    names.map(
      async (name): Promise<[string, string]> => [
        `${under}/${name}`,
        await readFile(join(folder, name), 'utf8'),
      ],
    ),
  );
}

function underProfile(text: string, profile: Profile): string {
  return text
    .replace(/^package lemma\.lib\b/m, `package lemma.${profile}.lib`)
    .replaceAll(/\bdata\.lemma\.lib\b/g, `data.lemma.${profile}.lib`);
}

function isDenialCode(code: string): boolean {
  return code.startsWith('x_') || POLICY_DENIAL_CODES.some((known) => known === code);
}
