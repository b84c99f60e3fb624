import { type Image, type ImageSource, takeImage } from './image.ts';
import { INLINE_DATA_BYTES, inThread } from './thread.ts';

/**
 * Parses a policy's data without stopping the event loop: large ones in a thread of their own.
 *
 * @throws InputError as `takeImage`
 */
export async function loadImage(source: ImageSource): Promise<Image> {
  return source.data.length <= INLINE_DATA_BYTES ? takeImage(source) : inThread('image-worker', source);
}
