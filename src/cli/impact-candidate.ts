import { existsSync, statSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { type Bundle, filesInTar, loadBundle } from '../policy/bundle.ts';
import { review } from '../policy/lint.ts';
import { makeBundle } from '../policy/make.ts';
import { WASM_FILE } from '../schema/bundle.ts';
import { PROFILES } from '../schema/common.ts';
import type { Call } from './command.ts';
import type { ControlApi } from './control-api.ts';
import { CliError } from './exit.ts';
import { readBundles } from './policy-bundle-files.ts';
import { withCompiler } from './policy-errors.ts';
import { policyFolder, readPolicies } from './policy-folder.ts';
import { digestOf } from './policy-revision.ts';

/**
 * What somebody means to put into force: bundles that lie here, policies that are compiled for this, or a published bundle
 * by its digest or revision. One a profile.
 */
export async function candidatesOf(
  call: Call,
  named: string | undefined,
  api: () => ControlApi,
): Promise<readonly Bundle[]> {
  const path = policyFolder(call, named);
  if (!existsSync(path) && named !== undefined) return [await published(api(), named)];
  if (isBuilt(path)) return (await readBundles(call.folder, path)).map(({ bundle }) => bundle);
  return withCompiler(async (compiler) => {
    const policies = await readPolicies(call, named);
    policies.resultOf(await review(compiler, policies));
    const bundles: Bundle[] = [];
    for (const profile of policies.profiles) bundles.push(await makeBundle(compiler, policies.root, profile));
    return bundles;
  });
}

async function published(api: ControlApi, named: string): Promise<Bundle> {
  const sha256 = await digestOf(api, named);
  const bundle = await bundleAt(api, sha256);
  if (bundle !== null) return bundle;
  throw new CliError(
    'bundle_missing',
    `the control plane keeps no bundle ${sha256}, and ${named} is no path here`,
  );
}

/** A bundle that the control plane keeps; null where it has none of that digest. Throws CliError, InputError. */
export async function bundleAt(api: ControlApi, sha256: string): Promise<Bundle | null> {
  try {
    const parts: Uint8Array[] = [];
    for await (const part of await api.stream(`/api/wallet/policies/bundles/${sha256}`)) parts.push(part);
    const bundle = await loadBundle(filesInTar(Buffer.concat(parts)));
    if (bundle.sha256 === sha256) return bundle;
    throw new CliError('answer_invalid', `${api.base} gave bundle ${bundle.sha256} for ${sha256}`);
  } catch (error) {
    if (error instanceof CliError && error.code === 'not_found') return null;
    throw error;
  }
}

/** A bundle or a folder of bundles; not: the policies that they are built from, which have a `.manifest` too. */
function isBuilt(path: string): boolean {
  if (!statSync(path).isDirectory()) return true;
  return ['', ...PROFILES].some((inner) => existsSync(resolve(join(path, inner, WASM_FILE))));
}
