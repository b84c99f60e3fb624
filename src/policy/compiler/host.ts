import { readFile } from 'node:fs/promises';
import { extname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { Worker } from 'node:worker_threads';
import { zstdDecompress } from 'node:zlib';
import { boundAnswer } from './bound-answer.ts';
import type { HostCall, HostReply, RawAnswer, RawRequest, WorkerReply } from './protocol.ts';
import { nextLook, type Overrun } from './time-limit.ts';

/**
 * The process in which OPA's module runs, apart from the service: V8's flags count for a whole process. A thread within
 * it does the work, so that this one can end it, and has a stack for deeply nested policies.
 */
const STACK_MB = 16;
/** The module at once: piecewise takes twice as long. */
const CHUNK_BYTES = 48 << 20;
const WORKER = new URL(`./worker${extname(fileURLToPath(import.meta.url))}`, import.meta.url);

const unpack = promisify(zstdDecompress);
const [artefact = ''] = process.argv.slice(2);
let worker = startWorker();
const compiled = compile(artefact);
compiled.then(
  (module) => worker.postMessage({ module }),
  (cause: unknown) => {
    console.error(`${artefact} cannot be loaded: ${String(cause)}`);
    process.exit(1);
  },
);

process.on('disconnect', () => process.exit());
// Ctrl-C at a terminal reaches this process too; the one that asks decides what it means.
process.on('SIGINT', () => undefined);
process.on('message', (call: HostCall) => {
  void answer(call).then((reply) => process.send?.(reply));
});

async function compile(path: string): Promise<WebAssembly.Module> {
  const packed = await readFile(path);
  return WebAssembly.compile(await unpack(packed, { chunkSize: CHUNK_BYTES }));
}

function startWorker(): Worker {
  return new Worker(WORKER, { execArgv: [], resourceLimits: { stackSizeMb: STACK_MB } });
}

/** A thread that did not come to an end in time, or broke, is replaced; the module stays. */
async function answer({ id, request, timeLimitMs, bounds }: HostCall): Promise<HostReply> {
  const module = await compiled;
  const outcome = await outcomeOf(request, timeLimitMs);
  if ('answer' in outcome) {
    if (bounds === undefined) return { id, ...outcome };
    const { op } = JSON.parse(request) as RawRequest;
    const bounded = boundAnswer(JSON.parse(outcome.answer) as RawAnswer, op, bounds);
    return { id, answer: JSON.stringify(bounded) };
  }
  await worker.terminate();
  worker = startWorker();
  worker.postMessage({ module });
  return { id, ...outcome };
}

type Outcome = WorkerReply | { timedOut: Overrun };

/** Of this process all that runs is the call: its processor time is the call's, and V8's for it. */
function outcomeOf(request: string, timeLimitMs: number): Promise<Outcome> {
  return new Promise((resolve) => {
    const settle = (outcome: Outcome) => {
      clearTimeout(timer);
      worker.off('message', settle);
      worker.off('error', onError);
      resolve(outcome);
    };
    const onError = (cause: Error) => settle({ problem: cause.message });
    const begun = { cpu: process.cpuUsage(), at: performance.now() };
    const look = () => {
      const { user, system } = process.cpuUsage(begun.cpu);
      const waited = performance.now() - begun.at;
      // V8's own threads, which optimise the module meanwhile, count too: no call takes more than has passed.
      const next = nextLook(timeLimitMs, Math.min((user + system) / 1000, waited), waited);
      if (typeof next === 'string') settle({ timedOut: next });
      else timer = setTimeout(look, next);
    };
    let timer = setTimeout(look, timeLimitMs);
    worker.on('message', settle);
    worker.on('error', onError);
    worker.postMessage(request);
  });
}
