import { createSeals } from '../authority/cursor.ts';
import { InputError } from '../reason.ts';
import type { Tenant } from '../store/model.ts';

/** What a cursor was given for: it is none for anything else. */
export interface CursorScope extends Tenant {
  readonly kind: 'decisions' | 'export' | 'stream' | 'monitor';
  /** The filters of the query, as they are meant, and its order. */
  readonly asked: Readonly<Record<string, string | number | undefined>>;
}

/** Cursors that are opaque to clients: a place in the log, sealed with what was asked. */
export interface Cursors {
  seal(scope: CursorScope, place: string): string;
  /** The place. Throws InputError under `field` for a cursor that is not ours, or another query's or tenant's. */
  open(scope: CursorScope, cursor: string, field: string): string;
}

export function createCursors(key: Uint8Array): Cursors {
  const seals = createSeals(key);
  return {
    seal: (scope, place) => seals.seal(textOf(scope), place),
    open(scope, cursor, field) {
      const place = seals.open(textOf(scope), cursor);
      if (place !== null) return place;
      const message = 'is not one of this query, with these filters: give back what its last answer said';
      throw new InputError([{ field, message }]);
    },
  };
}

function textOf({ kind, org, env, asked }: CursorScope): string {
  const named = Object.entries(asked).filter(([, value]) => value !== undefined);
  return JSON.stringify([kind, org, env, named.sort(([a], [b]) => (a < b ? -1 : 1))]);
}
