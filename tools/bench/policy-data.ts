import { monitorEventLoopDelay } from 'node:perf_hooks';
import { setTimeout as wait } from 'node:timers/promises';
import { type Bundle, entrypointOf, fileOf } from '../../src/policy/bundle.ts';
import { loadEmbedded } from '../../src/policy/embedded.ts';
import { compileEngine } from '../../src/policy/engine.ts';
import { takeImage } from '../../src/policy/image.ts';
import { Instance } from '../../src/policy/instance.ts';
import { ENGINE_LIMITS } from '../../src/policy/limits.ts';
import { meter } from '../../src/policy/meter.ts';
import { DATA_FILE, WASM_FILE } from '../../src/schema/bundle.ts';

/**
 * What data of many entries cost: to parse, to copy into another instance, and for how long the event loop stands
 * still while a policy with them is compiled. Milliseconds, the least of some rounds.
 *
 *     node tools/bench/policy-data.ts
 */

const ROUNDS = 5;

const [embedded] = await loadEmbedded();
if (embedded === undefined) throw new Error('there are no embedded bundles');
const rows: Record<string, object> = {};
for (const entries of [0, 10_000, 100_000]) rows[entries] = await rowOf(withEntries(embedded, entries));
console.table(rows);

function withEntries(bundle: Bundle, length: number): Bundle {
  const users = Object.fromEntries(Array.from({ length }, (_, i) => [`user-${i}`, `team-${i % 100}`]));
  const data = new TextEncoder().encode(JSON.stringify({ users }));
  return { ...bundle, files: new Map([...bundle.files, [DATA_FILE, data]]) };
}

async function rowOf(bundle: Bundle): Promise<object> {
  const module = new WebAssembly.Module(meter(fileOf(bundle, WASM_FILE)));
  const source = {
    module,
    data: fileOf(bundle, DATA_FILE),
    profile: bundle.name,
    entrypoint: entrypointOf(bundle.name),
    limits: ENGINE_LIMITS,
  };
  const image = takeImage(source);
  const blocks: number[] = [];
  for (let round = 0; round < ROUNDS; round++) blocks.push(await longestBlock(bundle));
  return {
    'image, bytes': image.bytes.length,
    'parse, ms': least(() => takeImage(source)).toFixed(1),
    'copy, ms': least(() => new Instance({ ...source, image })).toFixed(1),
    'longest block, ms': Math.min(...blocks).toFixed(1),
  };
}

async function longestBlock(bundle: Bundle): Promise<number> {
  const delay = monitorEventLoopDelay({ resolution: 1 });
  delay.enable();
  await wait(20);
  delay.reset();
  await compileEngine(bundle);
  await wait(20);
  delay.disable();
  return delay.max / 1e6;
}

function least(work: () => unknown): number {
  const times = Array.from({ length: ROUNDS }, () => {
    const start = performance.now();
    work();
    return performance.now() - start;
  });
  return Math.min(...times);
}
