import type { Database } from 'better-sqlite3';
import { removeLeftBlocks } from './blocks.ts';
import type { Checkpoint, LogEnd, Pruning, StoreSize } from './model.ts';

/** Records of one cut at most: one cut is one signature, and is looked through in one step. */
const SPAN_AT_MOST = 2000;

/** What may go next of a node's log, should the operator's time for it be over. */
export interface Prunable {
  readonly checkpoint: Checkpoint;
  /** The hash that the record there states. Null: it is not there. */
  readonly hash: string | null;
}

/** The log at this moment: nothing is written while it is read. */
export function logEnd(db: Database): LogEnd {
  const chains = db
    .prepare<unknown[], { node: string; seq: number; hash: string; checkpoint: number | null }>(
      `SELECT n.node, coalesce(c.seq, 0) AS seq, coalesce(c.hash, '') AS hash,
         (SELECT max(seq) FROM checkpoints p WHERE p.node = n.node) AS checkpoint
       FROM (SELECT node FROM chains UNION SELECT node FROM checkpoints UNION SELECT node FROM prunings) n
       LEFT JOIN chains c USING (node) ORDER BY n.node`,
    )
    .all();
  const position = Number(db.prepare('SELECT coalesce(max(position), 0) FROM records').pluck().get());
  return { position, chains, prunings: prunings(db) };
}

function prunings(db: Database): Pruning[] {
  return db
    .prepare<unknown[], string>('SELECT document FROM prunings ORDER BY node')
    .pluck()
    .all()
    .map((document) => JSON.parse(document) as Pruning);
}

/**
 * The next span of a node's oldest records, up to a checkpoint, all of it from before `before` (ms; null: whatever its
 * age). The newest record never goes: the clock is held against it. Null: nothing to prune.
 */
export function prunable(db: Database, node: string, before: number | null): Prunable | null {
  const from = db.prepare('SELECT seq FROM prunings WHERE node = ?').pluck().get(node);
  const head = db.prepare('SELECT seq FROM chains WHERE node = ?').pluck().get(node);
  const after = typeof from === 'number' ? from : 0;
  const newest = typeof head === 'number' ? head : 0;
  const candidates = db
    .prepare<unknown[], string>(
      'SELECT document FROM checkpoints WHERE node = ? AND seq > ? AND seq < ? ORDER BY seq LIMIT 100',
    )
    .pluck()
    .all(node, after, newest)
    .map((document) => JSON.parse(document) as Checkpoint);
  const due = dueOf(candidates, after, before);
  const young = before === null ? null : firstYoung(db, node, after, due.at(-1)?.seq ?? after, before);
  const checkpoint = cutOf(due, young, before);
  if (checkpoint === undefined) return null;
  return { checkpoint, hash: hashAt(db, node, checkpoint.seq) };
}

/** Of the checkpoints after the last cut, those that one cut may reach. */
export function dueOf(candidates: readonly Checkpoint[], after: number, before: number | null): Checkpoint[] {
  // For want of room no more goes than must.
  const most = before === null ? after : after + SPAN_AT_MOST;
  return candidates.filter(({ seq }, index) => index === 0 || seq <= most);
}

/** The last of them that closes nothing young. `young`: the first record that is not from before `before`. */
export function cutOf(
  due: readonly Checkpoint[],
  young: number | null,
  before: number | null,
): Checkpoint | undefined {
  return due.findLast(
    ({ seq, time }) => (young === null || seq < young) && (before === null || time < before),
  );
}

/** The hash that the end of a stored line states. */
export function statedHash(end: string): string | null {
  return /"hash":"([A-Za-z0-9_-]{43})"\}$/.exec(end)?.[1] ?? null;
}

/** A clock that was set back leaves older checkpoints over younger records: each record's own time counts. */
function firstYoung(db: Database, node: string, after: number, upTo: number, before: number): number | null {
  const found = db
    .prepare('SELECT min(seq) FROM records WHERE node = ? AND seq > ? AND seq <= ? AND time >= ?')
    .pluck()
    .get(node, after, upTo, before);
  return typeof found === 'number' ? found : null;
}

function hashAt(db: Database, node: string, seq: number): string | null {
  const end = db
    .prepare('SELECT CAST(substr(line, -54) AS TEXT) FROM records WHERE node = ? AND seq = ?')
    .pluck()
    .get(node, seq);
  return typeof end === 'string' ? statedHash(end) : null;
}

/** Remembers a cut, durably, before anything of it goes. */
export function putPruning(db: Database, pruning: Pruning): void {
  db.prepare(
    `INSERT INTO prunings (node, seq, document) VALUES (?, ?, ?)
     ON CONFLICT DO UPDATE SET seq = excluded.seq, document = excluded.document WHERE excluded.seq > seq`,
  ).run(pruning.node, pruning.seq, JSON.stringify(pruning));
}

/** Takes out up to `limit` of the records, then of the checkpoints, below the node's cut; how many went. */
export function removePruned(db: Database, node: string, limit: number): number {
  const records = db
    .prepare(
      `DELETE FROM records WHERE position IN (SELECT position FROM records
         WHERE node = @node AND seq <= (SELECT seq FROM prunings WHERE node = @node) ORDER BY seq LIMIT @limit)`,
    )
    .run({ node, limit }).changes;
  removeLeftBlocks(db, limit);
  if (records > 0) return records;
  // The checkpoint at the cut itself stays: it says, signed then, what the chain goes on from.
  return db
    .prepare(
      `DELETE FROM checkpoints WHERE node = @node AND seq IN (SELECT seq FROM checkpoints
         WHERE node = @node AND seq < (SELECT seq FROM prunings WHERE node = @node) ORDER BY seq LIMIT @limit)`,
    )
    .run({ node, limit }).changes;
}

/** Pages that hold something, and how many there may be. */
export function sizeOf(db: Database, maxBytes: number | null): StoreSize {
  const pragma = (name: string) => Number(db.pragma(name, { simple: true }));
  return {
    used: (pragma('page_count') - pragma('freelist_count')) * pragma('page_size'),
    limit: maxBytes,
  };
}
