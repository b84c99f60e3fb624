import { readFile, rename, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { type Bundle, readBundleDir } from '../../src/policy/bundle.ts';
import { EMBEDDED_FOLDER } from '../../src/policy/embedded.ts';
import type { BundleMeta } from '../../src/schema/bundle.ts';
import { PROFILES, type Profile } from '../../src/schema/common.ts';
import { compileBundle, writeFiles } from './compile.ts';
import { findOpa, type Opa } from './opa.ts';
import { dataOf, regoOf } from './sources.ts';

/**
 * policies/ -> bundles/ and src/policy/pins.ts. With --check nothing is written: exit 1 when what stands there is not
 * what would be built.
 */

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const POLICIES = join(ROOT, 'policies');
const PINS = join(ROOT, 'src', 'policy', 'pins.ts');

const { values } = parseArgs({ options: { check: { type: 'boolean', default: false } } });

try {
  const opa = await findOpa();
  await checkSources(opa);
  const bundles = await Promise.all(PROFILES.map((profile) => buildProfile(opa, profile)));
  const stale = values.check ? await findStale(bundles) : await write(bundles);
  for (const { revision, sha256 } of bundles) console.log(`${revision}  ${sha256}`);
  if (stale.length > 0)
    throw new Error(`not what policies/ gives: ${stale.join(', ')}; run \`node tools/bundles/build.ts\``);
} catch (cause) {
  console.error(cause instanceof Error ? cause.message : cause);
  process.exitCode = 1;
}

async function checkSources(opa: Opa): Promise<void> {
  const difference = await opa.run(['fmt', '--diff', 'policies'], ROOT);
  if (difference !== '') throw new Error(`${difference}\nrun \`opa fmt -w policies\``);
  await opa.run(['check', '--strict', 'policies'], ROOT);
  console.log((await opa.run(['test', 'policies'], ROOT)).trim());
}

async function buildProfile(opa: Opa, profile: Profile): Promise<Bundle> {
  const rego = await regoOf(POLICIES, profile);
  const data = await dataOf(POLICIES, profile);
  const manifest = JSON.parse(await readFile(join(POLICIES, profile, '.manifest'), 'utf8')) as {
    metadata: { lemma: Omit<BundleMeta, 'reasons'> };
  };
  return compileBundle(opa, { profile, rego, data, meta: manifest.metadata.lemma });
}

/** Each folder is made beside the old one first, so that a reader never finds half of it. */
async function write(bundles: readonly Bundle[]): Promise<string[]> {
  for (const bundle of bundles) {
    const folder = join(EMBEDDED_FOLDER, bundle.name);
    const fresh = join(dirname(folder), `.${bundle.name}.new`);
    await rm(fresh, { recursive: true, force: true });
    await writeFiles(fresh, bundle.files);
    await rm(folder, { recursive: true, force: true });
    await rename(fresh, folder);
  }
  await writeFile(PINS, pinsText(bundles));
  return [];
}

async function findStale(bundles: readonly Bundle[]): Promise<string[]> {
  const stale: string[] = [];
  for (const { name, sha256 } of bundles) {
    const found = await readBundleDir(join(EMBEDDED_FOLDER, name)).catch(() => null);
    if (found?.sha256 !== sha256) stale.push(`bundles/${name}`);
  }
  if ((await readFile(PINS, 'utf8')) !== pinsText(bundles)) stale.push('src/policy/pins.ts');
  return stale;
}

function pinsText(bundles: readonly Bundle[]): string {
  const pins = bundles.map(({ name, sha256 }) => `  ${name}: '${sha256}',\n`).join('');
  return `/** Digests of the bundles of this package (\`bundleDigest\`). Written by tools/bundles/build.ts. */
export const EMBEDDED_PINS = {
${pins}} as const;
`;
}
