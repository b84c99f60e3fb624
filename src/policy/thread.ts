import { once } from 'node:events';
import { extname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parentPort, Worker, type WorkerOptions, workerData } from 'node:worker_threads';
import { InputError, type Problem } from '../reason.ts';

/** What a thread says before it ends. */
type Answer<T> = { readonly value: T } | { readonly problems: readonly Problem[] };

/** Beyond this size data are looked at in a thread of their own; below, a thread would take longer to start. */
export const INLINE_DATA_BYTES = 64 << 10;

/**
 * Runs a file of this folder in a thread of its own, so that the event loop goes on.
 *
 * @param given moves to the thread: buffers in it are empty here afterwards
 * @throws InputError as the thread's work does
 */
export async function inThread<T>(
  file: 'bundle-worker' | 'image-worker',
  data: unknown,
  given: ArrayBuffer[] = [],
): Promise<T> {
  const worker = startThread(file, { workerData: data, transferList: given });
  try {
    const [answer] = (await once(worker, 'message')) as [Answer<T>];
    if ('value' in answer) return answer.value;
    throw new InputError(answer.problems);
  } finally {
    await worker.terminate();
  }
}

/** Starts a file of this folder, as TypeScript or as what is published. */
export function startThread(
  file: 'bundle-worker' | 'image-worker' | 'evaluation-worker',
  options: WorkerOptions = {},
): Worker {
  const url = new URL(`./${file}${extname(fileURLToPath(import.meta.url))}`, import.meta.url);
  return new Worker(url, { ...options, execArgv: [], name: `lemma-${file}` });
}

/** The other end: what such a file does. */
export function answer<D, T>(work: (data: D) => T, buffersOf: (value: T) => ArrayBuffer[]): void {
  const told = attempt(() => work(workerData as D));
  parentPort?.postMessage(told, 'value' in told ? buffersOf(told.value) : []);
}

function attempt<T>(work: () => T): Answer<T> {
  try {
    return { value: work() };
  } catch (cause) {
    if (cause instanceof InputError) return { problems: cause.problems };
    throw cause;
  }
}

/** Buffers of bytes that fill them, each once: what can be given to another thread. */
export function buffersOf(parts: Iterable<Uint8Array>): ArrayBuffer[] {
  return [...new Set([...parts].map(({ buffer }) => buffer as ArrayBuffer))];
}
