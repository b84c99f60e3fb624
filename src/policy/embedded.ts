import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { InputError } from '../reason.ts';
import { PROFILES, type Profile } from '../schema/common.ts';
import { type Bundle, readBundleDir } from './bundle.ts';
import { EMBEDDED_PINS } from './pins.ts';
import type { Trust } from './registry.ts';

/** The folder that comes with the package; also from `dist/policy/`. */
export const EMBEDDED_FOLDER = fileURLToPath(new URL('../../bundles/', import.meta.url));

export const EMBEDDED_TRUST: Trust = { kind: 'pinned', digests: new Set(Object.values(EMBEDDED_PINS)) };

/**
 * The default bundles of this package, one per profile, checked against the digests that stand in the code: a change
 * in `bundles/` alone is not enough.
 *
 * @throws InputError: a bundle is missing, malformed, or not the pinned one
 */
export function loadEmbedded(folder: string = EMBEDDED_FOLDER): Promise<Bundle[]> {
  return Promise.all(PROFILES.map((profile) => embeddedFor(profile, folder)));
}

/** The same of one profile. */
export async function embeddedFor(profile: Profile, folder: string = EMBEDDED_FOLDER): Promise<Bundle> {
  const bundle = await readBundleDir(join(folder, profile));
  if (bundle.name === profile && bundle.sha256 === EMBEDDED_PINS[profile]) return bundle;
  const message = 'is not the bundle that this version was built with; install the package again';
  throw new InputError([{ field: `bundles/${profile}`, message }]);
}
