import { extname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';
import type { Bundle } from '../../policy/bundle.ts';
import { embeddedFor } from '../../policy/embedded.ts';
import { policyImageOf } from '../../policy/engine.ts';
import { sharedImage } from '../../policy/evaluation-thread.ts';
import { InputError } from '../../reason.ts';
import type { Counted, FromThread, SentPolicy, ThreadOptions, ToThread } from './protocol.ts';

/** Blocks that a thread has before it: one that it works on, one that waits. */
const BLOCKS_AT_ONCE = 2;
/** Compiled bundles that stay, the least used ones go: a long log may have been decided by hundreds. */
const LENT_AT_MOST = 24;

/** A candidate as threads take it: as it would be in force. Throws InputError. */
export async function sentCandidate(bundle: Bundle): Promise<SentPolicy> {
  const { adapter } = bundle.manifest.metadata.lemma;
  return sentPolicy(bundle, adapter === undefined ? null : await embeddedFor(bundle.name));
}

async function sentPolicy(bundle: Bundle, base: Bundle | null): Promise<SentPolicy> {
  const { headers, redact, envoy, adapter } = bundle.manifest.metadata.lemma;
  const view = adapter ?? (envoy ? 'envoy' : null);
  const image = await sharedImage(await policyImageOf(bundle));
  const below =
    base === null ? null : { sha256: base.sha256, image: await sharedImage(await policyImageOf(base)) };
  return { sha256: bundle.sha256, name: bundle.name, headers, redact, view, image, base: below };
}

/** By `keyOf`. */
export type Lent = (key: string) => Promise<SentPolicy | null>;

/** Compiled once for all threads. `found`: hears of each bundle. */
export function lentPolicies(
  bundleOf: (sha256: string) => Promise<Bundle | null>,
  found: (bundle: Bundle) => void,
): Lent {
  const known = new Map<string, Promise<SentPolicy | null>>();
  const made = async (key: string) => {
    const bundles: Bundle[] = [];
    for (const sha256 of key.split(' ')) {
      const bundle = await bundleOf(sha256);
      if (bundle === null) return null;
      found(bundle);
      bundles.push(bundle);
    }
    const [own, base = null] = bundles;
    return own === undefined ? null : sentPolicy(own, base);
  };
  return (key) => {
    const policy = known.get(key) ?? made(key);
    known.delete(key);
    known.set(key, policy);
    const [oldest] = known.keys();
    if (known.size > LENT_AT_MOST && oldest !== undefined) known.delete(oldest);
    return policy;
  };
}

/** Threads that judge lines. */
export interface Pool {
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

export function openPool(
  count: number,
  data: ThreadOptions,
  policies: Lent,
  counted: (part: Counted) => void,
): Pool {
  let failure: { readonly error: unknown } | null = null;
  let wake = Promise.withResolvers<void>();
  let closing = false;

  /** The first counts. */
  function fail(error: unknown): void {
    failure ??= { error };
    lookAgain();
  }

  function lookAgain(): void {
    wake.resolve();
    wake = Promise.withResolvers<void>();
  }

  function hear(thread: Thread, message: FromThread): void {
    switch (message.kind) {
      case 'needs':
        policies(message.key).then(
          (policy) => tell(thread, { kind: 'policy', key: message.key, policy }),
          fail,
        );
        return;
      case 'done':
        thread.blocks -= 1;
        counted(message.counted);
        lookAgain();
        return;
      case 'malformed':
        fail(malformed(message.line));
        return;
      case 'fault':
        fail(new Error(message.message));
    }
  }

  const threads = Array.from({ length: count }, () => {
    const thread: Thread = { worker: startWorker(data), blocks: 0 };
    thread.worker.on('message', (message: FromThread) => hear(thread, message));
    thread.worker.on('error', fail);
    thread.worker.on('exit', () => {
      if (!closing) fail(new Error('a thread of the impact ended before its work'));
    });
    return thread;
  });

  /**
   * Waits until it holds, or something failed. (Not by a race with the failure: what never settles keeps each race that it
   * was in, and a shadow's pool stays for weeks.)
   */
  async function until<T>(found: () => T | null): Promise<T> {
    for (;;) {
      if (failure !== null) throw failure.error;
      const value = found();
      if (value !== null) return value;
      await wake.promise;
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
    fail,
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
