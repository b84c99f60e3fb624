import { gunzipSync } from 'node:zlib';
import { DATA_FILE, MANIFEST_FILE, WASM_FILE } from '../schema/bundle.ts';
import type { Profile } from '../schema/common.ts';
import { policyInputSchema } from '../schema/input.ts';
import { type Bundle, bundleOf, entrypointOf } from './bundle.ts';
import type { Answer, PolicyProblem } from './compiler/answers.ts';
import type { Compiler } from './compiler/compiler.ts';
import { bundleDigest } from './digest.ts';
import {
  dataOf,
  jsonText,
  metaOf,
  type ProfileMeta,
  reasonsOf,
  regoOf,
  type Sources,
} from './policy-files.ts';
import { readTar } from './tar.ts';

export interface Parts {
  readonly profile: Profile;
  readonly rego: Sources;
  /** Text of `data.json`. */
  readonly data: string;
  readonly meta: ProfileMeta;
  /** Default: one from the content. */
  readonly revision?: string;
  /** Test fixtures may call what a bundle may not. */
  readonly anyBuiltin?: boolean;
}

/** What OPA or our lint objects to. The message has a line `file:line:col: code: message` for each. */
export class PolicyRefused extends Error {
  override readonly name = 'PolicyRefused';
  readonly problems: readonly PolicyProblem[];

  constructor(problems: readonly PolicyProblem[]) {
    super(problems.map(lineOf).join('\n'));
    this.problems = problems;
  }
}

/**
 * The bundle of a profile from a folder of policies (`<profile>/`, `lib/`).
 *
 * @param serial instead of the manifest's own
 * @param revision instead of one from the content
 * @throws PolicyRefused, InputError
 */
export async function makeBundle(
  compiler: Compiler,
  policies: string,
  profile: Profile,
  serial?: number,
  revision?: string,
): Promise<Bundle> {
  const rego = await regoOf(policies, profile);
  const data = await dataOf(policies, profile);
  const written = await metaOf(policies, profile);
  const meta = serial === undefined ? written : { ...written, serial };
  return compileBundle(compiler, {
    profile,
    rego,
    data,
    meta,
    ...(revision === undefined ? {} : { revision }),
  });
}

/**
 * Type-checks and compiles a bundle. The same parts give the same bytes, wherever and whenever.
 *
 * @throws PolicyRefused, InputError
 */
export async function compileBundle(compiler: Compiler, parts: Parts): Promise<Bundle> {
  const wasm = await compileWasm(compiler, parts);
  const files = new Map(
    [...parts.rego, [DATA_FILE, parts.data] as const].map(([path, text]) => [path, bytesOf(text)]),
  );
  files.set(WASM_FILE, wasm);
  const revision =
    parts.revision ?? `${parts.profile}-${digestWith(files, manifestText(parts, '')).slice(0, 12)}`;
  return bundleOf(files.set(MANIFEST_FILE, bytesOf(manifestText(parts, revision))));
}

/** What OPA answered. Throws PolicyRefused with all that it objected to. */
export function resultOf<T>(answer: Answer<T>): T {
  if (answer.ok) return answer.result;
  throw new PolicyRefused(answer.errors);
}

export function lineOf({ file, row, col, code, message, details, hint }: PolicyProblem): string {
  const place = file === '' ? '' : `${file}:${row}:${col}: `;
  const more = [...details, ...(hint === null ? [] : [hint])].map((line) => `\n\t${line}`);
  return `${place}${code}: ${message}${more.join('')}`;
}

/** The files' paths end up in the module. */
async function compileWasm(
  compiler: Compiler,
  { profile, rego: files, anyBuiltin }: Parts,
): Promise<Uint8Array> {
  const limits = anyBuiltin === true ? { capabilities: null } : {};
  if (anyBuiltin !== true) resultOf(await compiler.check({ files, schema: policyInputSchema }));
  const entrypoints = [entrypointOf(profile)];
  const { archive } = resultOf(await compiler.build({ files, entrypoints, ...limits }));
  const wasm = new Map(readTar(gunzipSync(archive))).get(`/${WASM_FILE}`);
  if (wasm === undefined) throw new Error(`the build gave no ${WASM_FILE}`);
  return wasm;
}

function manifestText({ profile, meta, rego }: Parts, revision: string): string {
  return jsonText({
    revision,
    roots: [`lemma/${profile}`],
    rego_version: 1,
    wasm: [{ entrypoint: entrypointOf(profile), module: `/${WASM_FILE}` }],
    metadata: { lemma: { ...meta, reasons: reasonsOf(rego) } },
  });
}

function digestWith(files: ReadonlyMap<string, Uint8Array>, manifest: string): string {
  return bundleDigest(new Map([...files, [MANIFEST_FILE, bytesOf(manifest)]]));
}

function bytesOf(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}
