import { createHmac, timingSafeEqual } from 'node:crypto';
import { fromBase64url, toBase64url } from '../crypto/base64url.ts';
import { InputError } from '../reason.ts';

/** Texts that only their maker can make, each for one question alone: HMAC-SHA-256, cut to 128 bits. */
export interface Seals {
  /** `question`: all that the answers have in common (tenant, filters). */
  seal(question: string, place: string): string;
  /** The place; null for what belongs to another question, or to nobody. */
  open(question: string, sealed: string): string | null;
}

const TAG_BYTES = 16;

export function createSeals(key: Uint8Array): Seals {
  const tagOf = (question: string, place: string) =>
    createHmac('sha256', key)
      .update(JSON.stringify([question, place]))
      .digest()
      .subarray(0, TAG_BYTES);
  return {
    seal: (question, place) => toBase64url(Buffer.concat([tagOf(question, place), Buffer.from(place)])),
    open(question, sealed) {
      const bytes = fromBase64url(sealed);
      if (bytes === null || bytes.length <= TAG_BYTES) return null;
      const place = Buffer.from(bytes.subarray(TAG_BYTES)).toString();
      return timingSafeEqual(bytes.subarray(0, TAG_BYTES), tagOf(question, place)) ? place : null;
    },
  };
}

/** Cursors of lists. */
export interface Cursors extends Pick<Seals, 'seal'> {
  /** Throws InputError (`cursor`) for one of another question, or of nobody. */
  open(question: string, cursor: string): string;
}

/** `secret`: from it comes a key of their own. Two processes with one secret take each other's. */
export function createCursors(secret: Uint8Array): Cursors {
  const seals = createSeals(createHmac('sha256', secret).update('lemma/cursor/v1').digest());
  return {
    seal: seals.seal,
    open(question, cursor) {
      const place = seals.open(question, cursor);
      if (place !== null) return place;
      throw new InputError([
        { field: 'cursor', message: 'must be the `next_cursor` of the page before, with the same filters' },
      ]);
    },
  };
}
