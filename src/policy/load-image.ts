import { once } from 'node:events';
import { extname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';
import { InputError } from '../reason.ts';
import { type Image, type ImageSource, takeImage } from './image.ts';
import type { ImageAnswer } from './image-worker.ts';

/** Data that are parsed where the caller is, within some milliseconds; a thread takes longer to start. */
export const INLINE_DATA_BYTES = 64 << 10;

/**
 * Parses a policy's data without stopping the event loop: large ones in a thread of their own.
 *
 * @throws InputError as `takeImage`
 */
export async function loadImage(source: ImageSource): Promise<Image> {
  return source.data.length <= INLINE_DATA_BYTES ? takeImage(source) : imageFromWorker(source);
}

async function imageFromWorker(source: ImageSource): Promise<Image> {
  const file = new URL(`./image-worker${extname(fileURLToPath(import.meta.url))}`, import.meta.url);
  const worker = new Worker(file, { workerData: source, execArgv: [], name: 'lemma-policy-data' });
  try {
    const [answer] = (await once(worker, 'message')) as [ImageAnswer];
    if ('image' in answer) return answer.image;
    throw new InputError(answer.problems);
  } finally {
    await worker.terminate();
  }
}
