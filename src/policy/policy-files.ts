import { readdir, readFile } from 'node:fs/promises';
import { join, relative } from 'node:path';
import { readJson } from '../crypto/json.ts';
import { InputError, POLICY_DENIAL_CODES } from '../reason.ts';
import { type BundleMeta, MANIFEST_FILE } from '../schema/bundle.ts';
import { PROFILES, type Profile } from '../schema/common.ts';

/** Text files of a bundle, by path. */
export type Sources = ReadonlyMap<string, string>;

/** What TypeScript must know of a profile, as its `.manifest` says it; the rules' places are found when it is bundled. */
export type ProfileMeta = Omit<BundleMeta, 'reasons'>;

/** The profiles that a folder of policies has a folder for. Throws InputError when there is none. */
export async function profilesIn(policies: string): Promise<Profile[]> {
  const entries = await readdir(policies, { withFileTypes: true }).catch(() => []);
  const found = PROFILES.filter((profile) => entries.some((e) => e.isDirectory() && e.name === profile));
  if (found.length > 0) return found;
  throw refused(policies, `is no folder of policies: it must hold ${PROFILES.join(', ')}, and lib`);
}

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

/** `data.json` with the profile's data at its root. Throws InputError. */
export async function dataOf(policies: string, profile: Profile): Promise<string> {
  return jsonText({ lemma: { [profile]: await jsonIn(policies, `${profile}/data.json`) } });
}

/** From the profile's `.manifest`, not yet checked against its schema (`bundleOf` does). Throws InputError. */
export async function metaOf(policies: string, profile: Profile): Promise<ProfileMeta> {
  const path = `${profile}/${MANIFEST_FILE}`;
  const manifest = (await jsonIn(policies, path)) as { metadata?: { lemma?: ProfileMeta } } | null;
  const meta = manifest?.metadata?.lemma;
  if (typeof meta === 'object' && meta !== null) return meta;
  throw refused(path, 'has no metadata.lemma; give it serial, confirm, record, headers, redact and envoy');
}

/** Denial code -> file:line of its rule, from the rules' heads. Throws InputError for a code that a policy may not give. */
export function reasonsOf(rego: Sources): Record<string, string> {
  const reasons = new Map<string, string>();
  for (const [path, text] of rego) {
    for (const [i, line] of text.split('\n').entries()) {
      const code = /^deny contains "([^"]*)"/.exec(line)?.[1];
      if (code === undefined) continue;
      if (!isDenialCode(code))
        throw refused(`${path}:${i + 1}`, `"${code}" is none that a policy may deny with`);
      if (!reasons.has(code)) reasons.set(code, `${path}:${i + 1}`);
    }
  }
  return Object.fromEntries([...reasons].sort(([a], [b]) => (a < b ? -1 : 1)));
}

/** Beside the profiles: rules to take into one of them, each folder by itself. No bundle holds them. */
const RECIPES = 'recipes/';

/** All Rego and data below a folder, tests too, by path below `under`: what `opa test --ignore recipes` would read. */
export async function sourcesIn(folder: string, under: string): Promise<Sources> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  const names = entries
    .filter((entry) => entry.isFile() && isSource(entry.name))
    .map((entry) => relative(folder, join(entry.parentPath, entry.name)).replaceAll('\\', '/'))
    .filter(isOfBundles)
    .sort();
  const texts = await Promise.all(names.map((name) => textOf(join(folder, name))));
  return new Map(
    names.flatMap((name, i) => {
      const text = texts[i] ?? null;
      return text === null ? [] : [[`${under}/${name}`, text] as const];
    }),
  );
}

/** Null for a file that was removed after its name was read. */
async function textOf(path: string): Promise<string | null> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return null;
    throw error;
  }
}

/** What a folder of policies is made of. */
export function isPolicyFile(name: string): boolean {
  return isSource(name) || name === MANIFEST_FILE;
}

/** Whether a path below a folder of policies is for `sourcesIn` or a bundle. */
export function isOfBundles(path: string): boolean {
  return !path.startsWith(RECIPES) && isPolicyFile(path.slice(path.lastIndexOf('/') + 1));
}

function isSource(name: string): boolean {
  return isRego(name) || name === 'data.json';
}

export function isRego(path: string): boolean {
  return path.endsWith('.rego');
}

/** Such a file is never bundled. */
export function isTestFile(path: string): boolean {
  return path.endsWith('_test.rego');
}

/** Some of the files, as text. */
export function textsOf(files: ReadonlyMap<string, Uint8Array>, isMeant: (path: string) => boolean): Sources {
  const decoder = new TextDecoder();
  return new Map(
    [...files].filter(([path]) => isMeant(path)).map(([path, bytes]) => [path, decoder.decode(bytes)]),
  );
}

/** A code that a policy may deny with: one of the contract's, or an author's own. */
export function isDenialCode(code: string): boolean {
  return code.startsWith('x_') || POLICY_DENIAL_CODES.some((known) => known === code);
}

export function jsonText(value: unknown): string {
  return `${JSON.stringify(value, null, 2)}\n`;
}

async function jsonIn(policies: string, path: string): Promise<unknown> {
  const bytes = await readFile(join(policies, path)).catch(() => {
    throw refused(path, 'cannot be read; each profile has one');
  });
  const { duplicate } = parsed(bytes, path);
  if (duplicate !== null) throw refused(path, `has the key ${duplicate} twice in one object; take one out`);
  return JSON.parse(bytes.toString('utf8'));
}

function parsed(bytes: Uint8Array, path: string): ReturnType<typeof readJson> {
  try {
    return readJson(bytes, { maxDepth: 64, numbers: 'exact' });
  } catch (cause) {
    throw refused(path, `is not JSON in UTF-8 (${cause instanceof Error ? cause.message : cause})`);
  }
}

async function regoIn(folder: string, under: string): Promise<[string, string][]> {
  const names = (await readdir(folder)).filter((name) => isRego(name) && !isTestFile(name)).sort();
  return Promise.all(
    names.map(
      async (name): Promise<[string, string]> => [
        `${under}/${name}`,
        await readFile(join(folder, name), 'utf8'),
      ],
    ),
  );
}

/** `data.lemma.lib` is each profile's own in its bundle. */
export function underProfile(text: string, profile: Profile): string {
  return text
    .replace(/^package lemma\.lib\b/m, `package lemma.${profile}.lib`)
    .replaceAll(/\bdata\.lemma\.lib\b/g, `data.lemma.${profile}.lib`);
}

function refused(field: string, message: string): InputError {
  return new InputError([{ field, message }]);
}
