import { createReadStream, existsSync, statSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { pipeline, Readable } from 'node:stream';
import { createGunzip } from 'node:zlib';
import { parseDuration } from '../config/quantity.ts';
import type { Bundle } from '../policy/bundle.ts';
import { loadEmbedded } from '../policy/embedded.ts';
import { MANIFEST_FILE, WASM_FILE } from '../schema/bundle.ts';
import { type Call, listOption, textOption } from './command.ts';
import type { ControlApi } from './control-api.ts';
import { exportPath } from './decisions-export.ts';
import { CliError, EXIT, misuse } from './exit.ts';
import { bundleAt } from './impact-candidate.ts';
import { readBundles } from './policy-bundle-files.ts';
import { digestOf } from './policy-revision.ts';

/** Recorded decisions, and where they come from. */
export interface DecisionSource {
  readonly kind: 'log' | 'file';
  /** For a person. */
  readonly described: string;
  readonly lines: AsyncIterable<Uint8Array>;
  /** Digests of the bundles whose decisions count; null: all. */
  readonly only: readonly string[] | null;
}

const STDIN = '-';
const GZIP = [0x1f, 0x8b] as const;

/** By `--against` and `--since`. Throws CliError. */
export async function sourceOf(call: Call, api: () => ControlApi): Promise<DecisionSource> {
  const against = textOption(call.options, 'against');
  const query = timesOf(call);
  if (against !== undefined && isFile(call, against)) {
    if (query.size > 0)
      throw misuse('--since and --until are for the log of a control plane, not for a file');
    return { kind: 'file', described: against, lines: unpacked(open(call, against)), only: null };
  }
  if (against === undefined && query.size === 0)
    throw misuse('say what to compare with: --against <revision or export>, --since 7d');
  const only = against === undefined ? null : [await digestOf(api(), against)];
  const path = query.size === 0 ? exportPath(false) : `${exportPath(false)}?${query}`;
  const of = against === undefined ? 'the log' : `decisions of ${against}`;
  const since = query.get('since');
  const described = `${of} at ${api().base}${since === null ? '' : ` since ${since}`}`;
  return { kind: 'log', described, lines: exported(api(), path), only };
}

/** Asked for when it is read: a body that nobody reads yet is cancelled when its response is collected as garbage. */
async function* exported(api: ControlApi, path: string): AsyncGenerator<Uint8Array, void, undefined> {
  yield* await api.stream(path);
}

function isFile({ folder }: Call, named: string): boolean {
  return named === STDIN || existsSync(resolve(folder, named));
}

function open({ folder }: Call, named: string): Readable {
  if (named === STDIN) return process.stdin;
  const path = resolve(folder, named);
  if (statSync(path).isFile()) return createReadStream(path);
  throw new CliError('file_unreadable', `${path} is no file: give an export of decisions`, EXIT.misused);
}

/** As it is, or out of its gzip. */
async function* unpacked(stream: Readable): AsyncGenerator<Uint8Array, void, undefined> {
  const chunks = stream[Symbol.asyncIterator]() as AsyncIterator<Uint8Array>;
  const first = await chunks.next();
  if (first.done === true) return;
  const rest = async function* () {
    yield first.value;
    for (let next = await chunks.next(); next.done !== true; next = await chunks.next()) yield next.value;
  };
  if (GZIP.some((byte, at) => first.value[at] !== byte)) {
    yield* rest();
    return;
  }
  try {
    for await (const chunk of pipeline(Readable.from(rest()), createGunzip(), () => undefined)) yield chunk;
  } catch (error) {
    throw new CliError('file_unreadable', `the export cannot be unpacked: ${String(error)}`);
  }
}

/** `--since 7d` counts back from now; both may be times. */
function timesOf({ options }: Call): URLSearchParams {
  const query = new URLSearchParams();
  for (const name of ['since', 'until']) {
    const text = textOption(options, name);
    if (text === undefined) continue;
    const back = parseDuration(text);
    if (back === null && !/^\d{4}-\d\d-\d\dT/.test(text))
      throw misuse(`--${name} must be like 7d or 24h, or an RFC 3339 time, not "${text}"`);
    query.set(name, back === null ? text : new Date(Date.now() - back).toISOString());
  }
  return query;
}

/**
 * Bundles by their digest, wherever they are: the candidates, `--bundles`, those of the package, and the control plane where
 * one is asked at all.
 */
export async function bundleFinder(
  call: Call,
  candidates: readonly Bundle[],
  api: ControlApi | null,
): Promise<(sha256: string) => Promise<Bundle | null>> {
  const here = new Map(candidates.map((bundle) => [bundle.sha256, bundle]));
  for (const bundle of await loadEmbedded()) here.set(bundle.sha256, bundle);
  for (const folder of listOption(call.options, 'bundles')) {
    for (const bundle of await bundlesBelow(resolve(call.folder, folder))) here.set(bundle.sha256, bundle);
  }
  return async (sha256) => here.get(sha256) ?? (api === null ? null : bundleAt(api, sha256));
}

/** Each bundle in a folder, unpacked or as a tar.gz, at whatever depth. Throws CliError, InputError. */
async function bundlesBelow(folder: string): Promise<Bundle[]> {
  if (!existsSync(folder) || !statSync(folder).isDirectory())
    throw new CliError('folder_missing', `${folder} is no folder: give one that holds bundles`, EXIT.misused);
  if (existsSync(join(folder, MANIFEST_FILE)) && existsSync(join(folder, WASM_FILE))) return read(folder);
  const found: Bundle[] = [];
  for (const entry of await readdir(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) found.push(...(await bundlesBelow(path)));
    else if (entry.isFile() && /\.(?:tar\.gz|tgz)$/.test(entry.name)) found.push(...(await read(path)));
  }
  return found;
}

async function read(path: string): Promise<Bundle[]> {
  return (await readBundles('/', path)).map(({ bundle }) => bundle);
}
