import { one, type Sql } from './sql.ts';

/** What a record takes beside its line, bytes: columns and indices. Measured: 810 where they are new; they grow loose. */
const BESIDE = 1000;

/**
 * Bytes in use. Files keep the room of rows that went, for those that come: what records there are counts, not the size
 * of their files, where that is more.
 */
export async function usedBytes(sql: Sql): Promise<number> {
  const row = await one<{ all_files: number; record_files: number; records: number; bytes: number }>(
    sql,
    `SELECT coalesce(sum(pg_total_relation_size(c.oid)), 0) AS all_files,
       pg_total_relation_size('records') AS record_files,
       (SELECT coalesce(sum(records), 0) FROM chains) AS records, (SELECT coalesce(sum(bytes), 0) FROM chains) AS bytes
     FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = current_schema() AND c.relkind = 'r'`,
  );
  if (row === null) return 0;
  const { all_files, record_files, records, bytes } = row;
  return all_files - record_files + Math.min(record_files, bytesOf(records, bytes));
}

export function bytesOf(records: number, bytes: number): number {
  return records * BESIDE + bytes;
}

export interface Quota {
  /** Changes the limit; null: none. */
  set(limit: number | null): void;
  limit(): number | null;
  /** More was written since the size was measured. */
  grew(records: number, bytes: number): void;
  /** Whether records may be written no more. */
  full(sql: Sql): Promise<boolean>;
}

const MEASURED_FOR_MS = 1000;

/** Measures now and then, and adds up what is written meanwhile. */
export function createQuota(initial: number | null): Quota {
  let limit = initial;
  let used = 0;
  let measured = Number.NEGATIVE_INFINITY;
  return {
    set(next) {
      limit = next;
    },
    limit: () => limit,
    grew(records, bytes) {
      used += bytesOf(records, bytes);
    },
    async full(sql) {
      if (limit === null) return false;
      if (performance.now() - measured > MEASURED_FOR_MS) {
        used = await usedBytes(sql);
        measured = performance.now();
      }
      return used >= limit;
    },
  };
}
