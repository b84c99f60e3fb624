import { parseArgs } from 'node:util';
import { Worker } from 'node:worker_threads';
import { keepFinding, writeCorpus } from './corpus.ts';
import type { Target } from './target.ts';
import { TARGETS } from './targets.ts';
import { HEAD, type Report, type Task } from './worker.ts';

/**
 * `npm run fuzz -- [target …] [--seconds 30] [--seed 1] [--jobs 2] [--grow]`: fuzzes each parser for so long, guided by V8's
 * block coverage. Exit code 1 where an invariant broke or an input hung. `--grow` keeps what ran something new.
 */
const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    seconds: { type: 'string', default: '30' },
    seed: { type: 'string' },
    jobs: { type: 'string', default: '2' },
    grow: { type: 'boolean', default: false },
  },
});
const seconds = Number(values.seconds);
const seed = values.seed === undefined ? Date.now() % 2 ** 31 : Number(values.seed);

/** An input over this is a hang, milliseconds; all of them are small. */
const LONGEST = 5_000;

interface Outcome {
  readonly report: Report | null;
  readonly broken: { readonly input: Uint8Array; readonly error: string } | null;
}

function fuzz({ name, maxBytes }: Target): Promise<Outcome> {
  const now = new SharedArrayBuffer(HEAD + 4 * maxBytes);
  const task: Task = { target: name, seconds, seed, now };
  const worker = new Worker(new URL('./worker.ts', import.meta.url), { workerData: task });
  const counter = new Int32Array(now, 0, 2);
  return new Promise((resolve, reject) => {
    let last = 0;
    let since = Date.now();
    const watch = setInterval(() => {
      const run = Atomics.load(counter, 0);
      if (run !== last || run === 0) {
        last = run;
        since = Date.now();
      } else if (Date.now() - since > LONGEST) {
        const input = new Uint8Array(now.slice(HEAD, HEAD + Atomics.load(counter, 1)));
        settle({ report: null, broken: { input, error: `no end within ${LONGEST} ms` } });
      }
    }, 500);
    const settle = (outcome: Outcome) => {
      clearInterval(watch);
      void worker.terminate();
      resolve(outcome);
    };
    worker.once('message', (report: Report) => settle({ report, broken: report.finding }));
    worker.once('error', (error) => {
      clearInterval(watch);
      reject(error);
    });
  });
}

let failed = false;

function tell(name: string, { report, broken }: Outcome): void {
  if (report !== null) {
    const { runs, kept, slowestMs } = report;
    console.log(
      `${name}: ${runs} inputs, ${kept.length} that each ran something new, the slowest ${slowestMs.toFixed(0)} ms`,
    );
    if (values.grow && broken === null)
      writeCorpus(
        name,
        kept.slice().sort((a, b) => a.length - b.length),
      );
  }
  if (broken === null) return;
  failed = true;
  console.error(
    `${name}: BROKEN by ${keepFinding(name, broken.input)}\n${JSON.stringify(Buffer.from(broken.input).toString('latin1'))}\n${broken.error}`,
  );
}

const unknown = positionals.filter((name) => !TARGETS.some((target) => target.name === name));
if (unknown.length > 0 || !(seconds > 0)) {
  console.error(`targets: ${TARGETS.map(({ name }) => name).join(', ')}; --seconds must be over 0`);
  process.exit(2);
}
const queue = TARGETS.filter(({ name }) => positionals.length === 0 || positionals.includes(name));
console.log(`${queue.length} parsers, ${seconds} s each, seed ${seed}`);
await Promise.all(
  Array.from({ length: Number(values.jobs) }, async () => {
    for (let target = queue.shift(); target !== undefined; target = queue.shift())
      tell(target.name, await fuzz(target));
  }),
);
process.exitCode = failed ? 1 : 0;
