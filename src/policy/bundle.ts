import { constants, existsSync } from 'node:fs';
import { open, readdir } from 'node:fs/promises';
import { join, posix } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { readJson } from '../crypto/json.ts';
import { InputError, type Problem } from '../reason.ts';
import {
  adaptedManifestSchema,
  type BundleManifest,
  type BundleMeta,
  DATA_FILE,
  MANIFEST_FILE,
  manifestSchema,
  WASM_FILE,
} from '../schema/bundle.ts';
import { PROFILES, type Profile } from '../schema/common.ts';
import { type Checked, checker } from '../schema/validate.ts';
import { bundleDigest } from './digest.ts';
import { isRego, reasonsOf, type Sources, textsOf } from './policy-files.ts';
import { readTar } from './tar.ts';
import { buffersOf, INLINE_DATA_BYTES, inThread } from './thread.ts';

/** A policy bundle as read: whole and well formed, not yet trusted (`registry.ts` decides that). */
export interface Bundle {
  /** The profile that it decides for. */
  readonly name: Profile;
  /** Of its module: what is evaluated. */
  readonly entrypoint: string;
  readonly revision: string;
  readonly serial: number;
  /** Lower-case hex of `bundleDigest`. */
  readonly sha256: string;
  readonly manifest: BundleManifest;
  readonly files: ReadonlyMap<string, Uint8Array>;
}

/** Bounds on what is read before anything is verified. */
export const BUNDLE_LIMITS = {
  files: 256,
  fileBytes: 8 << 20,
  totalBytes: 16 << 20,
  pathLength: 100,
  manifestBytes: 256 << 10,
} as const;

/** Bytes of an archive: headers and padding come on top of the files, a block of 512 bytes each, and the end mark. */
export const UNPACKED_LIMIT = BUNDLE_LIMITS.totalBytes + (BUNDLE_LIMITS.files + 64) * 1024;

const BUILD =
  'build the bundle with `lemma policy build`, or with `opa build -t wasm -e lemma/<profile>/decision`';

/** What `opa build` leaves out unless it is told. */
const MANIFEST_MENDS: ReadonlyMap<string, string> = new Map([
  ['revision', 'give --revision to `opa build`, letters and digits'],
  ['metadata', 'say metadata.lemma in a .manifest in the folder that `opa build -b` is given: it is kept'],
  ['metadata.lemma', 'say it in a .manifest in the folder that `opa build -b` is given: it is kept'],
  ['roots[0]', 'a .manifest in the folder that `opa build -b` is given says roots: ["lemma/<profile>"]'],
  ['wasm', 'give `opa build` -t wasm and one -e, lemma/<profile>/decision'],
  ['wasm[0].entrypoint', 'give `opa build` -e lemma/<profile>/decision'],
  ['rego_version', 'build it with OPA 1.0 or newer, without --v0-compatible'],
  ['file_rego_versions', 'build it with OPA 1.0 or newer, without --v0-compatible'],
]);

/** Is digested where the caller is, in about a millisecond. */
const INLINE_BYTES = 1 << 20;

type Files = Map<string, Uint8Array>;

const checkManifest = checker(manifestSchema);
const checkAdapted = checker(adaptedManifestSchema);
const PATH = /^[A-Za-z0-9._-]+(?:\/[A-Za-z0-9._-]+)*$/;

/** A bundle from its unpacked folder. Throws InputError that names the file and the mend. */
export async function readBundleDir(folder: string): Promise<Bundle> {
  return loadBundle(await filesInDir(folder));
}

/** The bundle of a profile in a folder of bundles: its folder, or what `opa build -o` wrote there. Throws InputError. */
export async function readProfileBundle(folder: string, profile: Profile): Promise<Bundle> {
  const packed = join(folder, `${profile}.tar.gz`);
  if (existsSync(join(folder, profile)) || !existsSync(packed)) return readBundleDir(join(folder, profile));
  return loadBundle(filesInTar(await readPlainFile(packed, `${profile}.tar.gz`, BUNDLE_LIMITS.totalBytes)));
}

/**
 * `bundleOf` without stopping the event loop: a large one is looked at in a thread.
 *
 * @param files whose bytes are nobody else's; they are the bundle's from here on
 */
export async function loadBundle(files: ReadonlyMap<string, Uint8Array>): Promise<Bundle> {
  const total = [...files.values()].reduce((sum, { length }) => sum + length, 0);
  const data = files.get(DATA_FILE)?.length ?? 0;
  if (data <= INLINE_DATA_BYTES && total <= INLINE_BYTES) return bundleOf(files);
  const bundle = await inThread<Bundle>('bundle-worker', files, buffersOf(files.values()));
  // On the way from there its objects got prototypes, in which a reason could be looked up.
  return { ...bundle, manifest: readManifest(bundle.files).manifest };
}

/** A bundle from a `tar.gz` of OPA's layout (a leading `/` or `./` is dropped). Throws InputError. */
export function readBundleTar(gz: Uint8Array): Bundle {
  return bundleOf(filesInTar(gz));
}

/** What an unpacked bundle of whatever kind holds, within the limits. Throws InputError. */
export async function filesInDir(folder: string): Promise<ReadonlyMap<string, Uint8Array>> {
  const files: Files = new Map();
  const budget = { left: BUNDLE_LIMITS.totalBytes };
  await readFolder(folder, '', files, budget);
  return files;
}

/** The same of a packed one. */
export function filesInTar(gz: Uint8Array): ReadonlyMap<string, Uint8Array> {
  const files: Files = new Map();
  for (const [written, bytes] of readTar(gunzip(gz))) {
    const path = written.replace(/^\.?\//, '');
    if (files.has(path)) throw refused(path, 'stands twice in the archive; build it anew');
    add(files, path, bytes);
  }
  return files;
}

/** A bundle from files in memory. Throws InputError with every problem found. */
export function bundleOf(files: ReadonlyMap<string, Uint8Array>): Bundle {
  for (const file of [MANIFEST_FILE, DATA_FILE, WASM_FILE]) {
    if (!files.has(file)) throw refused(file, `missing; ${BUILD}`);
  }
  const { name, manifest } = readManifest(files);
  const [entry] = manifest.wasm;
  if (entry === undefined) throw refused(MANIFEST_FILE, 'wasm must not be empty');
  const { adapter, serial } = manifest.metadata.lemma;
  const problems =
    adapter === undefined
      ? [...dataProblems(files, name), ...reasonProblems(manifest.metadata.lemma, files)]
      : objectProblems(files);
  if (problems.length > 0) throw new InputError(problems);
  const { revision } = manifest;
  const sha256 = bundleDigest(files);
  return { name, entrypoint: entry.entrypoint, revision, serial, sha256, manifest, files };
}

interface ReadManifest {
  readonly name: Profile;
  readonly manifest: BundleManifest;
}

function readManifest(files: ReadonlyMap<string, Uint8Array>): ReadManifest {
  return isAdapted(files) ? adaptedManifest(files) : ownManifest(files);
}

function ownManifest(files: ReadonlyMap<string, Uint8Array>): ReadManifest {
  const manifest = manifestOf(files, checkManifest);
  const name = PROFILES.find((profile) => manifest.roots[0] === `lemma/${profile}`);
  if (name === undefined || manifest.wasm[0]?.entrypoint !== entrypointOf(name)) {
    throw refused(MANIFEST_FILE, 'wasm[0].entrypoint must be the root followed by /decision');
  }
  const { lemma } = manifest.metadata;
  // Stock `opa build` moves lines, so that nobody can say before where they are. The same for the same files.
  const reasons = lemma.reasons ?? reasonsOf(regoIn(files));
  return {
    name,
    manifest: { ...manifest, metadata: { ...manifest.metadata, lemma: { ...lemma, reasons } } },
  };
}

/** Such a policy knows none of our reasons. */
function adaptedManifest(files: ReadonlyMap<string, Uint8Array>): ReadManifest {
  const manifest = manifestOf(files, checkAdapted);
  const { lemma } = manifest.metadata;
  const metadata = { ...manifest.metadata, lemma: { ...lemma, reasons: {} } };
  return { name: lemma.profile, manifest: { ...manifest, metadata } };
}

function isAdapted(files: ReadonlyMap<string, Uint8Array>): boolean {
  checkManifestSize(files);
  const at = (value: unknown, member: string): unknown =>
    typeof value === 'object' && value !== null && Object.hasOwn(value, member)
      ? Reflect.get(value, member)
      : undefined;
  const value = jsonOf(files, MANIFEST_FILE);
  return at(at(at(value, 'metadata'), 'lemma'), 'adapter') !== undefined;
}

/** The Rego of a bundle, as text. */
export function regoIn(files: ReadonlyMap<string, Uint8Array>): Sources {
  return textsOf(files, isRego);
}

export function entrypointOf(profile: Profile): string {
  return `lemma/${profile}/decision`;
}

/** Bytes of a file that `bundleOf` has seen to be there. */
export function fileOf(bundle: Bundle, path: string): Uint8Array {
  const bytes = bundle.files.get(path);
  if (bytes === undefined) throw refused(path, 'missing; build the bundle with `lemma policy build`');
  return bytes;
}

async function readFolder(
  root: string,
  under: string,
  files: Files,
  budget: { left: number },
): Promise<void> {
  const entries = await readdir(join(root, under), { withFileTypes: true }).catch((cause: unknown) => {
    throw refused(
      under === '' ? root : under,
      `cannot be read (${codeOf(cause)}); give the folder of an unpacked bundle`,
    );
  });
  for (const entry of entries) {
    const path = posix.join(under, entry.name);
    if (entry.isDirectory()) await readFolder(root, path, files, budget);
    else if (entry.isFile()) {
      const bytes = await readPlainFile(
        join(root, path),
        path,
        Math.min(budget.left, BUNDLE_LIMITS.fileBytes),
      );
      budget.left -= bytes.length;
      add(files, path, bytes);
    } else
      throw refused(path, 'is not a plain file; a bundle holds no links or devices: copy the file itself');
  }
}

/** The size is looked at on the open file, and links are refused again, so that nothing can be put in between. */
async function readPlainFile(file: string, path: string, limit: number): Promise<Uint8Array> {
  const handle = await open(file, constants.O_RDONLY | (constants.O_NOFOLLOW ?? 0)).catch(
    (cause: unknown) => {
      throw refused(path, `cannot be opened (${codeOf(cause)})`);
    },
  );
  try {
    const stat = await handle.stat();
    if (!stat.isFile()) throw refused(path, 'is not a plain file; copy the file itself');
    if (stat.size > limit) throw tooLarge(path);
    const bytes = new Uint8Array(await handle.readFile());
    if (bytes.length > limit) throw tooLarge(path);
    return bytes;
  } finally {
    await handle.close();
  }
}

function add(files: Files, path: string, bytes: Uint8Array): void {
  const problem = pathProblem(path);
  if (problem !== null) throw refused(path, problem);
  if (bytes.length > BUNDLE_LIMITS.fileBytes) throw tooLarge(path);
  files.set(path, bytes);
  if (files.size > BUNDLE_LIMITS.files)
    throw refused(path, `is one more than ${BUNDLE_LIMITS.files} files; take some out`);
}

function pathProblem(path: string): string | null {
  if (path.length > BUNDLE_LIMITS.pathLength)
    return `is longer than ${BUNDLE_LIMITS.pathLength} characters; shorten it`;
  if (!PATH.test(path)) return 'may hold letters, digits, ".", "_", "-" and "/" only; rename the file';
  if (path.split('/').some((part) => part === '.' || part === '..'))
    return 'has a dot segment; rename the file';
  return null;
}

function gunzip(gz: Uint8Array): Uint8Array {
  try {
    return gunzipSync(gz, { maxOutputLength: UNPACKED_LIMIT });
  } catch (cause) {
    throw refused(
      '',
      `the archive cannot be unpacked (${codeOf(cause)}); give a tar.gz of at most ${BUNDLE_LIMITS.totalBytes} bytes`,
    );
  }
}

function checkManifestSize(files: ReadonlyMap<string, Uint8Array>): void {
  if ((files.get(MANIFEST_FILE)?.length ?? 0) > BUNDLE_LIMITS.manifestBytes)
    throw refused(MANIFEST_FILE, `has more than ${BUNDLE_LIMITS.manifestBytes} bytes; take some out`);
}

/** Throws InputError with every problem of the manifest. */
export function manifestOf<T>(
  files: ReadonlyMap<string, Uint8Array>,
  check: (value: unknown) => Checked<T>,
): T {
  checkManifestSize(files);
  const checked = check(jsonOf(files, MANIFEST_FILE));
  if (checked.ok) return checked.value;
  throw new InputError(
    checked.problems.map(({ field, message }) => {
      const mend = MANIFEST_MENDS.get(field);
      return {
        field: `${MANIFEST_FILE}: ${field}`,
        message: mend === undefined ? message : `${message}; ${mend}`,
      };
    }),
  );
}

/** Data outside the bundle's own root would clash with another bundle's in OPA. `opa build` writes {} where there are none. */
export function dataProblems(files: ReadonlyMap<string, Uint8Array>, name: Profile): Problem[] {
  const data = jsonOf(files, DATA_FILE);
  if (isEmptyObject(data)) return [];
  const members = onlyMember(data, 'lemma');
  if (members !== undefined && onlyMember(members, name) !== undefined) return [];
  return [
    { field: DATA_FILE, message: `must be {"lemma": {"${name}": {…}}}, the bundle's own root and no more` },
  ];
}

function objectProblems(files: ReadonlyMap<string, Uint8Array>): Problem[] {
  const data = jsonOf(files, DATA_FILE);
  return typeof data === 'object' && data !== null && !Array.isArray(data)
    ? []
    : [{ field: DATA_FILE, message: 'must be an object' }];
}

function isEmptyObject(value: unknown): boolean {
  return (
    typeof value === 'object' && value !== null && !Array.isArray(value) && Object.keys(value).length === 0
  );
}

function onlyMember(value: unknown, name: string): unknown {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return undefined;
  const [entry, ...more] = Object.entries(value);
  return entry !== undefined && more.length === 0 && entry[0] === name ? entry[1] : undefined;
}

function reasonProblems(meta: BundleMeta, files: ReadonlyMap<string, Uint8Array>): Problem[] {
  return Object.entries(meta.reasons)
    .filter(([, place]) => !files.has(place.slice(0, place.lastIndexOf(':'))))
    .map(([code, place]) => ({
      field: `${MANIFEST_FILE}: metadata.lemma.reasons.${code}`,
      message: `no such file: ${place}`,
    }));
}

function jsonOf(files: ReadonlyMap<string, Uint8Array>, path: string): unknown {
  try {
    const { value, duplicate } = readJson(files.get(path) ?? new Uint8Array(), {
      maxDepth: 64,
      numbers: 'exact',
    });
    if (duplicate === null) return value;
  } catch {
    throw refused(path, 'is not JSON in UTF-8; build the bundle with `lemma policy build`');
  }
  throw refused(path, 'has a key twice in one object; take one out');
}

function codeOf(cause: unknown): string {
  return cause instanceof Error && 'code' in cause ? String(cause.code) : String(cause);
}

function tooLarge(path: string): InputError {
  const { fileBytes, totalBytes } = BUNDLE_LIMITS;
  return refused(path, `is too large: a file has at most ${fileBytes} bytes, a bundle ${totalBytes}`);
}

function refused(field: string, message: string): InputError {
  return new InputError([{ field, message }]);
}
