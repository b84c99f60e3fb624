import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { cpSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { parseArgs, promisify } from 'node:util';
import { OPA_VERSION } from '../../src/policy/compiler/protocol.ts';
import { isRego, isTestFile, sourcesIn } from '../../src/policy/policy-files.ts';
import { PROFILES } from '../../src/schema/common.ts';
import { policyInputSchema } from '../../src/schema/input.ts';
import { findOpa } from '../bundles/opa.ts';

/**
 * What the commands for a policy author cost on the default policies, beside stock `opa` of the same version: the whole
 * program from start to end, and under --watch from the change of a file to the answer (25 ms of which it waits for the
 * writer to finish). Rounds take turns, so that a noisy neighbour hits all alike. `opa` has no lint and no --watch for
 * check: its figure there is that of one more run.
 *
 *     npm run bench -- compiler [--rounds 9] [--json]
 */

const run = promisify(execFile);
const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const MAIN = join(ROOT, 'src', 'main.ts');
const MAX_OUTPUT = 64 << 20;

/** Each does one round of its work. */
interface Task {
  readonly name: string;
  readonly ours: () => Promise<unknown>;
  readonly opa: () => Promise<unknown>;
  /** Milliseconds that ours may take; null where none is set. */
  readonly target: number | null;
}

interface Row {
  readonly name: string;
  /** Medians and least, in milliseconds. */
  readonly ours: number;
  readonly oursLeast: number;
  readonly opa: number;
  readonly ratio: number;
  readonly target: number | null;
}

const { values } = parseArgs({
  options: { rounds: { type: 'string', default: '9' }, json: { type: 'boolean', default: false } },
});
const opa = await findOpa();
const folder = mkdtempSync(join(tmpdir(), 'lemma-bench-'));
cpSync(join(ROOT, 'policies'), join(folder, 'policies'), { recursive: true });
writeFileSync(join(folder, 'schema.json'), JSON.stringify(policyInputSchema));
const check = watching('check');
const test = watching('test', '--coverage');
try {
  await Promise.all([check.ready, test.ready]);
  const rows = await measured(await tasks(), Number(values.rounds));
  const peak = Math.max(check.peakMb(), test.peakMb());
  if (values.json)
    console.log(JSON.stringify({ node: process.version, opa: OPA_VERSION, rows, peakMb: peak }, null, 2));
  else print(rows, peak);
} finally {
  await Promise.all([check.end(), test.end()]);
  rmSync(folder, { recursive: true, force: true });
}

async function tasks(): Promise<Task[]> {
  const files = [...(await sourcesIn(join(folder, 'policies'), 'policies')).keys()];
  const own = files.filter((file) => isRego(file) && !isTestFile(file));
  const limits = ['--capabilities', 'policies/capabilities.json', '--schema', 'schema.json'];
  const stock = (...args: string[]) => run(opa, args, { cwd: folder, maxBuffer: MAX_OUTPUT });
  const lemma = (...args: string[]) => run(process.execPath, [MAIN, 'policy', ...args], { cwd: folder });
  const opaCheck = async () => {
    await stock('check', '--strict', ...limits, ...own);
    await stock('check', '--strict', 'policies');
  };
  const opaTest = () => stock('test', '--coverage', '--coverage-runs=', 'policies');
  const opaBuild = async () => {
    for (const profile of PROFILES) {
      const paths = [`policies/${profile}`, 'policies/lib', '--ignore', '*_test.rego'];
      await stock('build', '-t', 'wasm', '-e', `lemma/${profile}/decision`, '-o', 'opa.tar.gz', ...paths);
    }
  };
  return [
    { name: 'check', ours: () => lemma('check'), opa: opaCheck, target: 1000 },
    { name: 'check --watch', ours: check.change, opa: opaCheck, target: 200 },
    { name: 'test --coverage', ours: () => lemma('test', '--coverage'), opa: opaTest, target: 1500 },
    { name: 'test --coverage --watch', ours: test.change, opa: opaTest, target: 500 },
    { name: 'build', ours: () => lemma('build', '--out', 'out'), opa: opaBuild, target: null },
    { name: 'fmt', ours: () => lemma('fmt'), opa: () => stock('fmt', '--list', 'policies'), target: null },
  ];
}

async function measured(all: readonly Task[], rounds: number): Promise<Row[]> {
  const times = all.map(() => ({ ours: [] as number[], opa: [] as number[] }));
  // The first round warms the machine's caches.
  for (let round = -1; round < rounds; round++) {
    for (const [i, task] of all.entries()) {
      const ours = await timed(task.ours);
      const theirs = await timed(task.opa);
      if (round < 0) continue;
      times[i]?.ours.push(ours);
      times[i]?.opa.push(theirs);
    }
  }
  return all.map(({ name, target }, i) => {
    const { ours = [], opa: theirs = [] } = times[i] ?? {};
    const [a, b] = [median(ours), median(theirs)];
    return { name, ours: a, oursLeast: Math.min(...ours), opa: b, ratio: a / b, target };
  });
}

/** A watch on a folder of its own, so that a change concerns no other one. */
function watching(...args: string[]) {
  const home = join(folder, args.join(' '));
  cpSync(join(ROOT, 'policies'), join(home, 'policies'), { recursive: true });
  const file = join(home, 'policies', 'low', 'decision.rego');
  const text = readFileSync(file, 'utf8');
  const child = spawn(process.execPath, [MAIN, 'policy', ...args, '--watch', '--json'], {
    cwd: home,
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  let changes = 0;
  const good = async () => {
    const { value = '' } = await lines.next();
    if (!value.includes('"ok":true')) throw new Error(`the default policies are not good: ${value}`);
  };
  return {
    ready: good(),
    async change() {
      writeFileSync(join(home, 'next'), `${text}\n# ${++changes}\n`);
      renameSync(join(home, 'next'), file);
      await good();
    },
    /** Of the compiler's process; NaN where the system does not say. */
    peakMb() {
      const peaks = childrenOf(child.pid ?? 0).map(peakMbOf);
      return peaks.length === 0 ? Number.NaN : Math.max(...peaks);
    },
    async end() {
      child.kill('SIGINT');
      await once(child, 'close');
    },
  };
}

function childrenOf(pid: number): string[] {
  if (process.platform !== 'linux') return [];
  return readdirSync('/proc').filter((name) => {
    if (!/^\d+$/.test(name)) return false;
    try {
      return /^PPid:\s+(\d+)$/m.exec(readFileSync(`/proc/${name}/status`, 'utf8'))?.[1] === String(pid);
    } catch {
      return false;
    }
  });
}

function peakMbOf(pid: string): number {
  const kib = /^VmHWM:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1];
  return Number(kib) / 1024;
}

async function timed(work: () => Promise<unknown>): Promise<number> {
  const start = performance.now();
  await work();
  return performance.now() - start;
}

function median(numbers: readonly number[]): number {
  return numbers.toSorted((a, b) => a - b)[Math.floor(numbers.length / 2)] ?? Number.NaN;
}

function print(rows: readonly Row[], peak: number): void {
  console.table(
    Object.fromEntries(
      rows.map((row) => [
        row.name,
        {
          'lemma, ms (least)': `${row.ours.toFixed(0)} (${row.oursLeast.toFixed(0)})`,
          'opa, ms': row.opa.toFixed(0),
          ratio: row.ratio.toFixed(1),
          'target, ms': row.target ?? '',
        },
      ]),
    ),
  );
  console.log(`compiler's process: ${peak.toFixed(0)} MB at its peak (target 220); Node ${process.version}`);
}
