import { createHmac, timingSafeEqual } from 'node:crypto';
import { InputError } from '../reason.ts';

/** Cursors that only their maker can make, and that hold for one question alone. */
export interface Cursors {
  /** `question`: all that the pages have in common (tenant, filters). */
  seal(question: string, place: string): string;
  /** Throws InputError (`cursor`) for one of another question, or of nobody. */
  open(question: string, cursor: string): string;
}

const TAG_BYTES = 16;

/** `secret`: from it comes a key of their own. Two processes with one secret take each other's. */
export function createCursors(secret: Uint8Array): Cursors {
  const key = createHmac('sha256', secret).update('lemma/cursor/v1').digest();
  const tagOf = (question: string, place: string) =>
    createHmac('sha256', key)
      .update(JSON.stringify([question, place]))
      .digest()
      .subarray(0, TAG_BYTES);
  return {
    seal: (question, place) =>
      Buffer.concat([tagOf(question, place), Buffer.from(place)]).toString('base64url'),
    open(question, cursor) {
      const bytes = Buffer.from(cursor, 'base64url');
      const place = bytes.subarray(TAG_BYTES).toString();
      const tag = bytes.subarray(0, TAG_BYTES);
      if (tag.length === TAG_BYTES && timingSafeEqual(tag, tagOf(question, place))) return place;
      throw new InputError([
        { field: 'cursor', message: 'must be the `next_cursor` of the page before, with the same filters' },
      ]);
    },
  };
}
