import { availableParallelism } from 'node:os';
import { extname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';
import type { Bundle } from '../../policy/bundle.ts';
import { policyImageOf } from '../../policy/engine.ts';
import { sharedImage } from '../../policy/evaluation-thread.ts';
import { InputError } from '../../reason.ts';
import { inBlocks } from './blocks.ts';
import type { FromThread, SentPolicy, ThreadOptions, ToThread } from './protocol.ts';
import { createTally, type Impact, REPORT_LIMITS, type ReportLimits, type Tally } from './report.ts';

export interface ImpactOptions {
  /** Lines of the decision log, or of an export of it, in pieces of any size. */
  readonly lines: AsyncIterable<Uint8Array>;
  /** One a profile at most. */
  readonly candidates: readonly Bundle[];
  /** The bundle that decided, by its digest; null where it is not to be had. */
  readonly bundleOf: (sha256: string) => Promise<Bundle | null>;
  /** Only decisions by bundles with one of these digests or revisions. Default: all. */
  readonly only?: readonly string[] | null;
  /** Default: as many as the machine has cores, 4 at most. */
  readonly threads?: number;
  readonly limits?: ReportLimits;
  readonly signal?: AbortSignal;
  readonly onProgress?: (progress: { readonly records: number }) => void;
}

const THREADS_AT_MOST = 4;
/** Blocks that a thread has before it: one that it works on, one that waits. */
const BLOCKS_AT_ONCE = 2;

/**
 * Evaluates recorded inputs with a candidate, in threads of their own. Each must give its recorded result first, with the
 * bundle that decided it: where one does not, nothing is compared, and the report says which do not.
 *
 * @throws InputError: a line is no record; a bundle does not load
 * @throws the signal's reason, once it is aborted
 */
export async function runImpact(options: ImpactOptions): Promise<Impact> {
  const { lines, candidates, signal, limits = REPORT_LIMITS, onProgress = () => undefined } = options;
  signal?.throwIfAborted();
  const tally = createTally(candidates, limits);
  const threads = options.threads ?? Math.min(availableParallelism(), THREADS_AT_MOST);
  const data: ThreadOptions = {
    candidates: await Promise.all(candidates.map(sentPolicy)),
    only: options.only ?? null,
    broken: new Int32Array(new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT)),
  };
  const policies = lentPolicies(options.bundleOf, tally);
  const pool = openPool(threads, data, policies, (counted) => {
    tally.take(counted);
    onProgress({ records: tally.records });
  });
  const abort = () => pool.fail(signal?.reason);
  signal?.addEventListener('abort', abort, { once: true });
  try {
    for await (const block of inBlocks(lines)) await pool.give(block);
    await pool.settled();
    signal?.throwIfAborted();
  } finally {
    signal?.removeEventListener('abort', abort);
    await pool.close();
  }
  return tally.report();
}

async function sentPolicy(bundle: Bundle): Promise<SentPolicy> {
  const { headers, redact } = bundle.manifest.metadata.lemma;
  const image = await sharedImage(await policyImageOf(bundle));
  return { sha256: bundle.sha256, name: bundle.name, headers, redact, image };
}

type Lent = (sha256: string) => Promise<SentPolicy | null>;

/** Compiled once for all threads. */
function lentPolicies(bundleOf: ImpactOptions['bundleOf'], tally: Tally): Lent {
  const known = new Map<string, Promise<SentPolicy | null>>();
  const made = async (sha256: string) => {
    const bundle = await bundleOf(sha256);
    if (bundle === null) return null;
    tally.knows(bundle);
    return sentPolicy(bundle);
  };
  return (sha256) => {
    const policy = known.get(sha256) ?? made(sha256);
    known.set(sha256, policy);
    return policy;
  };
}

interface Pool {
  /** Resolves when there is room for another one. Rejects once something failed. */
  give(block: Uint8Array<ArrayBuffer>): Promise<void>;
  /** When all that was given is counted. */
  settled(): Promise<void>;
  fail(error: unknown): void;
  close(): Promise<void>;
}

interface Thread {
  readonly worker: Worker;
  blocks: number;
}

function openPool(
  count: number,
  data: ThreadOptions,
  policies: Lent,
  counted: (part: Extract<FromThread, { kind: 'done' }>['counted']) => void,
): Pool {
  const failed = Promise.withResolvers<never>();
  failed.promise.catch(() => undefined);
  let wake = Promise.withResolvers<void>();
  let closing = false;

  function hear(thread: Thread, message: FromThread): void {
    switch (message.kind) {
      case 'needs':
        policies(message.sha256).then(
          (policy) => tell(thread, { kind: 'policy', sha256: message.sha256, policy }),
          failed.reject,
        );
        return;
      case 'done':
        thread.blocks -= 1;
        counted(message.counted);
        wake.resolve();
        return;
      case 'malformed':
        failed.reject(malformed(message.line));
        return;
      case 'fault':
        failed.reject(new Error(message.message));
    }
  }

  const threads = Array.from({ length: count }, () => {
    const thread: Thread = { worker: startWorker(data), blocks: 0 };
    thread.worker.on('message', (message: FromThread) => hear(thread, message));
    thread.worker.on('error', failed.reject);
    thread.worker.on('exit', () => {
      if (!closing) failed.reject(new Error('a thread of the impact ended before its work'));
    });
    return thread;
  });

  /** Waits until it holds. */
  async function until<T>(found: () => T | null): Promise<T> {
    for (;;) {
      const value = found();
      if (value !== null) return value;
      wake = Promise.withResolvers<void>();
      await Promise.race([wake.promise, failed.promise]);
    }
  }

  return {
    async give(block) {
      const least = () => threads.toSorted((a, b) => a.blocks - b.blocks)[0];
      const thread = await until(() => {
        const free = least();
        return free === undefined || free.blocks >= BLOCKS_AT_ONCE ? null : free;
      });
      thread.blocks += 1;
      tell(thread, { kind: 'lines', bytes: block }, [block.buffer]);
    },
    async settled() {
      await until(() => (threads.every(({ blocks }) => blocks === 0) ? true : null));
    },
    fail: failed.reject,
    async close() {
      closing = true;
      await Promise.all(threads.map(({ worker }) => worker.terminate()));
    },
  };
}

function startWorker(data: ThreadOptions): Worker {
  const url = new URL(`./worker${extname(fileURLToPath(import.meta.url))}`, import.meta.url);
  return new Worker(url, { workerData: data, execArgv: [], name: 'lemma-impact' });
}

function tell({ worker }: Thread, message: ToThread, given: ArrayBuffer[] = []): void {
  worker.postMessage(message, given);
}

function malformed(line: string): InputError {
  const message = `a line is no record of the decision log: ${JSON.stringify(line)}; give an export (\`lemma decisions export\`), not CSV or OPA's format`;
  return new InputError([{ field: '', message }]);
}
