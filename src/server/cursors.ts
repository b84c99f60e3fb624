import { timingSafeEqual } from 'node:crypto';
import { hmacSha256 } from '#runtime';
import { fromBase64url, toBase64url } from '../crypto/base64url.ts';
import { InputError } from '../reason.ts';
import type { Tenant } from '../store/model.ts';

/** What a cursor was given for: it is none for anything else. */
export interface CursorScope extends Tenant {
  readonly kind: 'decisions' | 'export' | 'stream' | 'monitor';
  /** The filters of the query, as they are meant, and its order. */
  readonly asked: Readonly<Record<string, string | number | undefined>>;
}

/** Cursors that are opaque to clients: a place in the log and an HMAC-SHA-256 (128 bits) over it and what was asked. */
export interface Cursors {
  seal(scope: CursorScope, place: string): string;
  /** The place. Throws InputError under `field` for a cursor that is not ours, or another query's or tenant's. */
  open(scope: CursorScope, cursor: string, field: string): string;
}

const MAC_BYTES = 16;

export function createCursors(key: Uint8Array): Cursors {
  const mac = (scope: CursorScope, place: string) =>
    hmacSha256(key, utf8(`${textOf(scope)}\n${place}`)).subarray(0, MAC_BYTES);
  return {
    seal: (scope, place) => toBase64url(Buffer.concat([mac(scope, place), utf8(place)])),
    open(scope, cursor, field) {
      const bytes = fromBase64url(cursor);
      const place = Buffer.from(bytes?.subarray(MAC_BYTES) ?? []).toString('latin1');
      if (
        bytes !== null &&
        bytes.length > MAC_BYTES &&
        timingSafeEqual(bytes.subarray(0, MAC_BYTES), mac(scope, place))
      )
        return place;
      const message = 'is not one of this query, with these filters: give back what its last answer said';
      throw new InputError([{ field, message }]);
    },
  };
}

function textOf({ kind, org, env, asked }: CursorScope): string {
  const named = Object.entries(asked).filter(([, value]) => value !== undefined);
  return JSON.stringify([kind, org, env, named.sort(([a], [b]) => (a < b ? -1 : 1))]);
}

function utf8(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}
