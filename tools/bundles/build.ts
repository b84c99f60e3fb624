import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { isDeepStrictEqual, parseArgs } from 'node:util';
import { type Bundle, filesInDir, readBundleDir } from '../../src/policy/bundle.ts';
import type { Compiler } from '../../src/policy/compiler/compiler.ts';
import { EMBEDDED_FOLDER } from '../../src/policy/embedded.ts';
import { makeBundle, resultOf } from '../../src/policy/make.ts';
import { type Sources, sourcesIn } from '../../src/policy/policy-files.ts';
import { regoOnly } from '../../src/policy/rego-only.ts';
import { replaceFolders, writeBundles } from '../../src/policy/write-bundle.ts';
import { PROFILES } from '../../src/schema/common.ts';
import { updateCapabilities } from './capabilities.ts';
import { findCompiler } from './find.ts';

/**
 * policies/ -> bundles/ (below bundles/rego/ the variants for stock OPA), policies/capabilities.json and
 * src/policy/pins.ts. With --check nothing is written: exit 1
 * when what stands there is not what would be built. The compiler inside Node serves if it was built, otherwise OPA's
 * own command; `--engine wasm` or `--engine native` asks for one of them. Both give the same bytes.
 */

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const POLICIES = join(ROOT, 'policies');
/** Below the bundles, under a name that is no profile's. */
const REGO_ONLY = join(EMBEDDED_FOLDER, 'rego');
const PINS = join(ROOT, 'src', 'policy', 'pins.ts');

const { values } = parseArgs({
  options: { check: { type: 'boolean', default: false }, engine: { type: 'string' } },
});
const compiler = await findCompiler(values.engine);

try {
  const stale = (await updateCapabilities(compiler, values.check)) ? ['policies/capabilities.json'] : [];
  await checkSources(compiler, await sourcesIn(POLICIES, 'policies'));
  const bundles = await Promise.all(PROFILES.map((profile) => makeBundle(compiler, POLICIES, profile)));
  if (values.check) stale.push(...(await findStale(bundles)));
  else await write(bundles);
  for (const { revision, sha256 } of bundles) console.log(`${revision}  ${sha256}`);
  if (values.check && stale.length > 0)
    throw new Error(`not what policies/ gives: ${stale.join(', ')}; run \`node tools/bundles/build.ts\``);
} catch (cause) {
  console.error(cause instanceof Error ? cause.message : cause);
  process.exitCode = 1;
} finally {
  await compiler.close();
}

async function checkSources(compiler: Compiler, files: Sources): Promise<void> {
  const { changed } = resultOf(await compiler.fmt({ files }));
  if (changed.length > 0) throw new Error(`not as \`opa fmt\` writes it: ${changed.join(', ')}`);
  // Tests may call what a policy may not; the bundles' own Rego is held to the capabilities when it is compiled.
  resultOf(await compiler.check({ files, capabilities: null }));
  const { tests } = resultOf(await compiler.test({ files }));
  const failed = tests.filter(({ outcome }) => outcome === 'fail' || outcome === 'error');
  for (const { file, row, package: where, name, outcome, trace } of failed)
    console.error([`${file}:${row}: ${where}.${name}: ${outcome}`, ...trace].join('\n\t'));
  console.log(`PASS: ${tests.length - failed.length}/${tests.length}`);
  if (failed.length > 0) throw new Error(`${failed.length} of ${tests.length} tests of the policies failed`);
}

async function write(bundles: readonly Bundle[]): Promise<void> {
  await writeBundles(EMBEDDED_FOLDER, bundles);
  await replaceFolders(
    bundles.map((bundle) => ({ folder: join(REGO_ONLY, bundle.name), files: regoOnly(bundle).files })),
  );
  await writeFile(PINS, pinsText(bundles));
}

async function findStale(bundles: readonly Bundle[]): Promise<string[]> {
  const stale: string[] = [];
  for (const bundle of bundles) {
    const { name, sha256 } = bundle;
    const found = await readBundleDir(join(EMBEDDED_FOLDER, name)).catch(() => null);
    if (found?.sha256 !== sha256) stale.push(`bundles/${name}`);
    const plain = await filesInDir(join(REGO_ONLY, name)).catch(() => new Map<string, Uint8Array>());
    if (!isDeepStrictEqual(plain, regoOnly(bundle).files)) stale.push(`bundles/rego/${name}`);
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
