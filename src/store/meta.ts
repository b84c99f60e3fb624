import type { Database } from 'better-sqlite3';

export interface Meta {
  readonly store_id: string;
  readonly birth: number;
  /** Of the event log. The birth time, so that a store made anew is always ahead of the one that was lost. */
  readonly epoch: number;
  /** Milliseconds: when this state was restored from a backup; null where it never was. */
  readonly fenced_at: number | null;
}

export function metaOf(db: Database): Meta {
  const read = db.prepare<unknown[], string>('SELECT value FROM meta WHERE key = ?').pluck();
  const birth = Number(read.get('birth'));
  const fenced = read.get('fenced_at');
  return {
    store_id: String(read.get('store_id')),
    birth,
    epoch: birth,
    fenced_at: fenced === undefined ? null : Number(fenced),
  };
}
