import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { gunzipSync, gzipSync } from 'node:zlib';
import { storeArchive } from '../../src/policy/archive.ts';
import { type Bundle, bundleOf, entrypointOf, fileOf, readBundleDir } from '../../src/policy/bundle.ts';
import { loadEmbedded } from '../../src/policy/embedded.ts';
import { takeImage } from '../../src/policy/image.ts';
import { Instance } from '../../src/policy/instance.ts';
import { ENGINE_LIMITS } from '../../src/policy/limits.ts';
import { meter } from '../../src/policy/meter.ts';
import { PolicyRegistry, type Trust } from '../../src/policy/registry.ts';
import { readTar, writeTar } from '../../src/policy/tar.ts';
import { DATA_FILE, WASM_FILE } from '../../src/schema/bundle.ts';
import { openStore } from '../../src/store/store.ts';

/**
 * For how long the event loop stands still while bundles with many entries of data are put into force, as a running
 * service does it, and while a past one is explained; and what each part would take on the calling thread. Milliseconds,
 * the least of some rounds.
 *
 *     npm run bench -- policy-data [--json]
 */

const ROUNDS = 5;
const SIZES = [0, 10_000, 100_000];

interface Row {
  readonly entries: number;
  readonly dataBytes: number;
  readonly imageBytes: number;
  /** On the calling thread. */
  readonly inline: Record<'check' | 'pack' | 'unpack' | 'parse' | 'copy', number>;
  /** Longest block of the event loop, and how long it takes in all. */
  readonly served: Record<'read' | 'activate' | 'past', { readonly block: number; readonly total: number }>;
}

const { values } = parseArgs({ options: { json: { type: 'boolean', default: false } } });
const [embedded] = await loadEmbedded();
if (embedded === undefined) throw new Error('there are no embedded bundles');
const rows: Row[] = [];
for (const entries of SIZES) rows.push(await rowOf(withEntries(embedded, entries), entries));
if (values.json) console.log(JSON.stringify({ node: process.version, rows }, null, 2));
else print();

function withEntries(bundle: Bundle, length: number): Bundle {
  const users = Object.fromEntries(Array.from({ length }, (_, i) => [`user-${i}`, `team-${i % 100}`]));
  const data = { lemma: { [bundle.name]: { settings: {}, users } } };
  return bundleOf(new Map([...bundle.files, [DATA_FILE, new TextEncoder().encode(JSON.stringify(data))]]));
}

async function rowOf(bundle: Bundle, entries: number): Promise<Row> {
  const source = {
    module: new WebAssembly.Module(meter(fileOf(bundle, WASM_FILE))),
    data: fileOf(bundle, DATA_FILE),
    profile: bundle.name,
    entrypoint: entrypointOf(bundle.name),
    limits: ENGINE_LIMITS,
  };
  const image = takeImage(source);
  const packed = gzipSync(writeTar(bundle.files));
  const inline = {
    check: least(() => bundleOf(bundle.files)),
    pack: least(() => gzipSync(writeTar(bundle.files))),
    unpack: least(() => readTar(gunzipSync(packed))),
    parse: least(() => takeImage(source)),
    copy: least(() => new Instance({ ...source, image })),
  };
  return {
    entries,
    dataBytes: source.data.length,
    imageBytes: image.bytes.length,
    inline,
    served: await servedOf(bundle),
  };
}

async function servedOf(bundle: Bundle): Promise<Row['served']> {
  const folder = await mkdtemp(join(tmpdir(), 'lemma-bench-'));
  const trust: Trust = { kind: 'pinned', digests: new Set([bundle.sha256]) };
  for (const [path, bytes] of bundle.files) {
    await mkdir(dirname(join(folder, 'low', path)), { recursive: true });
    await writeFile(join(folder, 'low', path), bytes);
  }
  const rounds: Row['served'][] = [];
  for (let round = 0; round < ROUNDS; round++) {
    const path = join(folder, `${round}.db`);
    const store = await openStore({ path, clock: Date.now, maxBytes: null });
    const archive = storeArchive(store);
    const read = await watched(() => readBundleDir(join(folder, 'low')));
    const activate = await watched(() => new PolicyRegistry(archive).activate([bundle], trust));
    const later = new PolicyRegistry(archive);
    const past = await watched(() => later.engineFor(bundle.sha256));
    rounds.push({ read, activate, past });
    await store.close();
  }
  await rm(folder, { recursive: true });
  const leastOf = (phase: keyof Row['served']) => ({
    block: Math.min(...rounds.map((round) => round[phase].block)),
    total: Math.min(...rounds.map((round) => round[phase].total)),
  });
  return { read: leastOf('read'), activate: leastOf('activate'), past: leastOf('past') };
}

async function watched(work: () => Promise<unknown>): Promise<{ block: number; total: number }> {
  let block = 0;
  let last = performance.now();
  const tick = setInterval(() => {
    const now = performance.now();
    block = Math.max(block, now - last);
    last = now;
  }, 1);
  await wait(20);
  block = 0;
  const start = performance.now();
  await work();
  const total = performance.now() - start;
  await wait(20);
  clearInterval(tick);
  return { block, total };
}

function least(work: () => unknown): number {
  const times = Array.from({ length: ROUNDS }, () => {
    const start = performance.now();
    work();
    return performance.now() - start;
  });
  return Math.min(...times);
}

function print(): void {
  const ms = (value: number) => value.toFixed(1);
  console.log('On the calling thread, ms');
  console.table(
    rows.map(({ entries, dataBytes, imageBytes, inline }) => ({
      entries,
      'data, bytes': dataBytes,
      'image, bytes': imageBytes,
      ...Object.fromEntries(Object.entries(inline).map(([name, value]) => [name, ms(value)])),
    })),
  );
  console.log('As a service does it: longest block of the event loop / in all, ms');
  console.table(
    rows.map(({ entries, served }) => ({
      entries,
      ...Object.fromEntries(
        Object.entries(served).map(([name, { block, total }]) => [name, `${ms(block)} / ${ms(total)}`]),
      ),
    })),
  );
}
