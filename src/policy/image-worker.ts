import { parentPort, workerData } from 'node:worker_threads';
import { InputError, type Problem } from '../reason.ts';
import { type Image, type ImageSource, takeImage } from './image.ts';
import { Instance } from './instance.ts';
import { warmUp } from './warm-up.ts';

/** What the thread says before it ends. */
export type ImageAnswer = { readonly image: Image } | { readonly problems: readonly Problem[] };

const answer = answerTo(workerData as ImageSource);
parentPort?.postMessage(answer, 'image' in answer ? [answer.image.bytes.buffer as ArrayBuffer] : []);

function answerTo(source: ImageSource): ImageAnswer {
  try {
    const image = takeImage(source);
    warmUp(new Instance({ ...source, image }), source.profile);
    return { image };
  } catch (cause) {
    if (cause instanceof InputError) return { problems: cause.problems };
    throw cause;
  }
}
