import { gzipSync } from 'node:zlib';
import { InputError } from '../reason.ts';
import {
  DATA_FILE,
  MANIFEST_FILE,
  OPA_SIGNATURES_FILE,
  type RegoOnlyManifest,
  regoOnlyManifestSchema,
} from '../schema/bundle.ts';
import { PROFILES, type Profile } from '../schema/common.ts';
import { checker } from '../schema/validate.ts';
import { type Bundle, dataProblems, fileOf, manifestOf } from './bundle.ts';
import { isRego, jsonText } from './policy-files.ts';
import { writeTar } from './tar.ts';

/** What stock OPA loads of a bundle: the same Rego, data and revision, to be evaluated by OPA itself. */
export interface RegoOnly {
  readonly name: Profile;
  readonly revision: string;
  readonly files: ReadonlyMap<string, Uint8Array>;
}

const checkManifest = checker(regoOnlyManifestSchema);

/**
 * The Rego-only variant of a bundle. Only what the engine reads is taken over: any other file might mean something to
 * OPA alone (a `patch.json` makes a delta bundle, which no signature covers; nested data would be merged).
 */
export function regoOnly(bundle: Bundle): RegoOnly {
  const { name, revision } = bundle;
  const { roots, rego_version, metadata } = bundle.manifest;
  const manifest = jsonText({ revision, roots, rego_version, metadata } satisfies RegoOnlyManifest);
  const files = new Map([...bundle.files].filter(([path]) => isRego(path)));
  files.set(DATA_FILE, fileOf(bundle, DATA_FILE));
  files.set(MANIFEST_FILE, new TextEncoder().encode(manifest));
  return { name, revision, files };
}

/** Files as `regoOnly` makes them, signed for OPA or not. Throws InputError with every problem found. */
export function regoOnlyOf(files: ReadonlyMap<string, Uint8Array>): RegoOnly {
  for (const file of [MANIFEST_FILE, DATA_FILE]) if (!files.has(file)) throw refused([file], 'missing');
  const { revision, roots } = manifestOf(files, checkManifest);
  const name = PROFILES.find((profile) => roots[0] === `lemma/${profile}`);
  if (name === undefined) throw refused([MANIFEST_FILE], 'roots[0] must be lemma/<profile>');
  const known = [MANIFEST_FILE, DATA_FILE, OPA_SIGNATURES_FILE];
  const strange = [...files.keys()].filter((path) => !isRego(path) && !known.includes(path));
  if (strange.length > 0) throw refused(strange, 'is no part of a Rego-only bundle');
  const problems = dataProblems(files, name);
  if (problems.length > 0) throw new InputError(problems);
  return { name, revision, files };
}

/** A `tar.gz` as OPA's bundle API and its commands take it. */
export function packRegoOnly({ files }: RegoOnly): Uint8Array {
  return new Uint8Array(gzipSync(writeTar(files), { level: 9 }));
}

function refused(fields: readonly string[], message: string): InputError {
  const mend = 'build it with `lemma policy build --rego-only`';
  return new InputError(fields.map((field) => ({ field, message: `${message}; ${mend}` })));
}
