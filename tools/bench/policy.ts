import { createRequire } from 'node:module';
import { parseArgs } from 'node:util';
import { type Bundle, entrypointOf, fileOf } from '../../src/policy/bundle.ts';
import { loadEmbedded } from '../../src/policy/embedded.ts';
import { compileEngine } from '../../src/policy/engine.ts';
import { takeImage } from '../../src/policy/image.ts';
import { Instance } from '../../src/policy/instance.ts';
import { ENGINE_LIMITS } from '../../src/policy/limits.ts';
import { meter, STEPS_EXPORT } from '../../src/policy/meter.ts';
import { DATA_FILE, WASM_FILE } from '../../src/schema/bundle.ts';
import type { Profile } from '../../src/schema/common.ts';
import { usualInput } from './policy-input.ts';

/**
 * What one evaluation of the default policies costs on the contract's usual input: our engine, the same without its
 * step counter, and OPA's SDK for npm. Rounds take turns, so that a noisy neighbour hits all of them alike.
 *
 *     npm run bench -- policy [--rounds 400] [--json]
 */

interface SdkPolicy {
  setData(data: ArrayBuffer): void;
  evaluate(input: ArrayBuffer, entrypoint: string): unknown;
}

interface Sdk {
  loadPolicySync(module: WebAssembly.Module, memory: { initial: number; maximum: number }): SdkPolicy;
}

/** Microseconds for one evaluation. The least is what the others on the machine did not slow down. */
interface Times {
  readonly median: number;
  readonly least: number;
}

interface Row {
  readonly profile: Profile;
  readonly inputBytes: number;
  readonly steps: number;
  readonly engine: Times;
  readonly unmetered: Times;
  readonly sdk: Times;
  /** Milliseconds, once, as it is done when the service starts; the first row's is cold. */
  readonly meterMs: number;
  readonly compileMs: number;
}

const NONE: Times = { median: Number.NaN, least: Number.NaN };

type Candidate = (input: Uint8Array) => unknown;

const PER_ROUND = 50;
const sdk = createRequire(import.meta.url)('@open-policy-agent/opa-wasm') as Sdk;

const { values } = parseArgs({
  options: { rounds: { type: 'string', default: '400' }, json: { type: 'boolean', default: false } },
});
const rows: Row[] = [];
for (const bundle of await loadEmbedded()) rows.push(await rowOf(bundle, Number(values.rounds)));
if (values.json) console.log(JSON.stringify({ node: process.version, rows }, null, 2));
else print(rows);

async function rowOf(bundle: Bundle, rounds: number): Promise<Row> {
  const [meterMs] = await timed(async () => meter(fileOf(bundle, WASM_FILE)));
  const [compileMs, engine] = await timed(() => compileEngine(bundle));
  const input = new TextEncoder().encode(JSON.stringify(usualInput(bundle.name)));
  const candidates = {
    engine: engine.evaluate,
    unmetered: unmetered(bundle),
    sdk: bare(bundle),
  };
  const [ours = NONE, without = NONE, theirs = NONE] = measured(Object.values(candidates), input, rounds);
  return {
    profile: bundle.name,
    inputBytes: input.length,
    steps: engine.evaluate(input).steps,
    engine: ours,
    unmetered: without,
    sdk: theirs,
    meterMs,
    compileMs,
  };
}

/** The engine's own way, through a module that counts nothing. */
function unmetered(bundle: Bundle): Candidate {
  const module = new WebAssembly.Module(meter(fileOf(bundle, WASM_FILE), { counting: false }));
  const data = fileOf(bundle, DATA_FILE);
  const limits = ENGINE_LIMITS;
  const entrypoint = entrypointOf(bundle.name);
  const image = takeImage({ module, data, profile: bundle.name, entrypoint, limits });
  const instance = new Instance({ module, image, limits });
  return (input) => JSON.stringify(instance.evaluate(input));
}

function bare(bundle: Bundle): Candidate {
  const policy = sdk.loadPolicySync(new WebAssembly.Module(fileOf(bundle, WASM_FILE)), {
    initial: 5,
    maximum: 1024,
  });
  policy.setData(new Uint8Array(fileOf(bundle, DATA_FILE)).buffer);
  const entrypoint = entrypointOf(bundle.name);
  return (input) => JSON.stringify(policy.evaluate(new Uint8Array(input).buffer, entrypoint));
}

function measured(candidates: readonly Candidate[], input: Uint8Array, rounds: number): Times[] {
  const times = candidates.map((): number[] => []);
  for (let round = -40; round < rounds; round++) {
    for (const [index, candidate] of candidates.entries()) {
      const start = performance.now();
      for (let i = 0; i < PER_ROUND; i++) candidate(input);
      if (round >= 0) times[index]?.push(((performance.now() - start) * 1000) / PER_ROUND);
    }
  }
  return times.map((all) => ({ median: median(all), least: Math.min(...all) }));
}

async function timed<T>(work: () => Promise<T>): Promise<[ms: number, value: T]> {
  const start = performance.now();
  const value = await work();
  return [performance.now() - start, value];
}

function median(numbers: readonly number[]): number {
  return numbers.toSorted((a, b) => a - b)[Math.floor(numbers.length / 2)] ?? Number.NaN;
}

function text({ median, least }: Times): string {
  return `${median.toFixed(1)} (${least.toFixed(1)})`;
}

function print(table: readonly Row[]): void {
  console.table(
    Object.fromEntries(
      table.map((row) => [
        row.profile,
        {
          'input, bytes': row.inputBytes,
          steps: row.steps,
          'engine, us (least)': text(row.engine),
          'no counter, us (least)': text(row.unmetered),
          'SDK, us (least)': text(row.sdk),
          'meter, ms': row.meterMs.toFixed(1),
          'compile, ms': row.compileMs.toFixed(1),
        },
      ]),
    ),
  );
  console.log(`${STEPS_EXPORT}: the budget is ${ENGINE_LIMITS.steps} steps; Node ${process.version}`);
}
