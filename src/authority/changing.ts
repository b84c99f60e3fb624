import { StoreConflict } from '../store/errors.ts';
import { Refusal } from './refusal.ts';

const TRIES = 8;

/** Reads and writes documents anew while somebody else changes them in between. Refusal: conflict, after the last try. */
export async function retrying<T>(attempt: () => Promise<T>): Promise<T> {
  for (let tries = 1; ; tries += 1) {
    try {
      return await attempt();
    } catch (error) {
      if (!isMoved(error)) throw error;
      if (tries >= TRIES) throw new Refusal('conflict', 'somebody else goes on changing this: try again');
    }
  }
}

/** Somebody else changed, made or removed the document meanwhile. */
export function isMoved(error: unknown): boolean {
  return error instanceof StoreConflict && error.code === 'document_moved';
}
