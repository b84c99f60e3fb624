import type { Database } from 'better-sqlite3';
import type { RecordIndex, Tenant } from './model.ts';
import { prepared } from './prepared.ts';

/**
 * What a rare filter over a long log is answered by: for each block of records, in the order of commit, the span of their
 * times and a Bloom filter of the values that they are found by. A query scans `records_by_time` over the spans of those
 * blocks alone that may hold what it asks for. It costs at most 8 bytes a record and no page of the database, where an index for
 * each filter would cost every commit a page for every record.
 */

/** Columns that a query may filter by: the only names that ever reach the SQL text. */
export const FILTERS = [
  'runtime_id',
  'agent_id',
  'workspace_id',
  'subject',
  'verdict',
  'reason',
  'route',
] as const;
export type Filter = (typeof FILTERS)[number];

/** Values that records are filtered by; absent ones do not matter. */
export type Filters = { readonly [F in Filter]?: string | undefined };

/** Records of a block. */
export const BLOCK_RECORDS = 512;
/** Bits for each value: a block seems to hold one that it has not in less than 1 of 100 cases. A filter's size is a power of two. */
const BITS_PER_VALUE = 10;
const LEAST_BYTES = 64;
const MOST_BYTES = 16_384;
const HASHES = 4;
const HASHES_KEPT = 20_000;
/** What a denied record is found by together: operators ask what was denied to somebody, and for what reason. */
const PAIRS = (['runtime_id', 'agent_id', 'workspace_id', 'subject', 'route'] as const).flatMap((one) =>
  (['verdict', 'reason'] as const).map((other) => [one, other] as const),
);

/** Milliseconds, both inclusive. */
export interface TimeSpan {
  readonly from: number;
  readonly to: number;
}

/** What a query asks of the blocks. */
export interface Blocks {
  /** The times of records that no block has yet; null where there is none. */
  open(): TimeSpan | null;
  /** The filter of the block that begins at this position. Null: it may hold anything. */
  bits(first: number): Uint8Array | null;
}

export interface BlockWriter extends Blocks {
  add(record: RecordIndex, position: number): void;
  /** Runs one request of a transaction: where it throws, nothing of it was added. */
  whole<T>(request: () => T): T;
  /** The transaction was committed, or undone. */
  keep(): void;
  undo(): void;
}

interface OpenBlock extends TimeSpan {
  readonly first: number;
  readonly last: number;
  readonly count: number;
  /** Hashes. Shared with the block that it was before: one too many is no harm. */
  readonly values: Set<number>;
}

type Indexed = RecordIndex & { readonly position: number };

export function blockWriter(db: Database): BlockWriter {
  const insert = db.prepare(
    'INSERT INTO record_blocks (first, last, min_time, max_time, bits) VALUES (?, ?, ?, ?, ?)',
  );
  const hashes = new Map<string, number>();
  let kept = reopened();
  let draft = kept;

  function hashed(text: string): number {
    const known = hashes.get(text);
    if (known !== undefined) return known;
    if (hashes.size >= HASHES_KEPT) hashes.clear();
    const fresh = hashOf(text);
    hashes.set(text, fresh);
    return fresh;
  }

  function grown(block: OpenBlock | null, record: RecordIndex, position: number): OpenBlock {
    const { time } = record;
    const values = block?.values ?? new Set();
    for (const text of keysOf(record, record)) values.add(hashed(text));
    return {
      first: block?.first ?? position,
      last: position,
      count: (block?.count ?? 0) + 1,
      from: Math.min(block?.from ?? time, time),
      to: Math.max(block?.to ?? time, time),
      values,
    };
  }

  /** After a restart: what came after the last whole block. */
  function reopened(): OpenBlock | null {
    const last = db
      .prepare<unknown[], number>('SELECT coalesce(max(last), 0) FROM record_blocks')
      .pluck()
      .get();
    const rows = db.prepare<unknown[], Indexed>(
      `SELECT position, time, org, env, ${FILTERS.join(', ')} FROM records WHERE position > ? ORDER BY position`,
    );
    let block: OpenBlock | null = null;
    for (const row of rows.iterate(last ?? 0)) block = grown(block, row, row.position);
    return block;
  }

  return {
    add(record, position) {
      const block = grown(draft, record, position);
      draft = block.count < BLOCK_RECORDS ? block : null;
      if (draft === null)
        insert.run(block.first, block.last, block.from, block.to, filterOf(block.values, block.first));
    },
    whole(request) {
      const before = draft;
      try {
        return request();
      } catch (error) {
        draft = before;
        throw error;
      }
    },
    keep() {
      kept = draft;
    },
    undo() {
      draft = kept;
    },
    open: () => kept,
    bits: filterCache(db),
  };
}

/** Filters that are kept in memory: those of 4 million records at least. */
const CACHED_BYTES = 33_554_432;

/** Filters as they are read: a query looks at each of them, and they never change. */
function filterCache(db: Database): Blocks['bits'] {
  const read = db.prepare<unknown[], Buffer | null>('SELECT bits FROM record_blocks WHERE first = ?').pluck();
  const cache = new Map<number, Uint8Array | null>();
  let bytes = 0;
  return (first) => {
    const known = cache.get(first);
    if (known !== undefined) return known;
    const bits = read.get(first) ?? null;
    bytes += bits?.length ?? 0;
    for (const [oldest, gone] of cache) {
      if (bytes <= CACHED_BYTES) break;
      cache.delete(oldest);
      bytes -= gone?.length ?? 0;
    }
    cache.set(first, bits);
    return bits;
  };
}

interface BlockRow {
  readonly first: number;
  readonly last: number;
  readonly min_time: number;
  readonly max_time: number;
}

export interface BlockQuery extends Tenant, Filters {
  readonly order: 'asc' | 'desc';
  /** Positions: after this one, up to that one. */
  readonly after?: number | undefined;
  readonly up_to?: number | undefined;
}

/** Spans of time, in the order of the query, outside of which nothing until `beyond` can match; null: nothing at all. */
export interface Candidates {
  /** `blocks`: how many of them it is the span of. */
  readonly spans: readonly (TimeSpan & { readonly blocks: number })[];
  readonly beyond: number | null;
  /** Records between two times, within what was looked at, at most. */
  records(span: TimeSpan): number;
}

/** Blocks that one step reads the filters of. */
const BLOCKS_AT_ONCE = 1024;

/**
 * Where records that match may stand between two times, `range`, looking from the end that the query's order begins at.
 * Null where too many blocks overlap to say: then every entry must be looked at.
 */
export function candidates(
  db: Database,
  query: BlockQuery,
  range: TimeSpan,
  blocks: Blocks,
): Candidates | null {
  const asc = query.order === 'asc';
  const rows = prepared<BlockRow>(
    db,
    `SELECT first, last, min_time, max_time FROM record_blocks
     WHERE max_time >= @from AND min_time <= @to AND last > @after AND first <= @upTo
     ORDER BY ${asc ? 'min_time' : 'max_time DESC'} LIMIT ${BLOCKS_AT_ONCE + 1}`,
  ).all({ ...range, after: query.after ?? 0, upTo: query.up_to ?? Number.MAX_SAFE_INTEGER });
  const beyond = rows[BLOCKS_AT_ONCE];
  const looked = beyond === undefined ? range : upTo(range, asc, beyond);
  if (looked === null) return null;
  const hashes = keysOf(query, query).map(hashOf);
  const open = blocks.open();
  const spans = rows
    .slice(0, BLOCKS_AT_ONCE)
    .filter(({ first }) => {
      const bits = blocks.bits(first);
      return bits === null || hashes.every((hash) => mayHold(bits, hash, first));
    })
    .map(({ min_time, max_time }) => ({ from: min_time, to: max_time }));
  return {
    spans: merged([...spans, ...(open === null ? [] : [open])], looked, asc),
    beyond: beyond === undefined ? null : asc ? beyond.min_time : beyond.max_time,
    records({ from, to }) {
      const touching = rows.filter(({ min_time, max_time }) => max_time >= from && min_time <= to);
      return touching.reduce((sum, { first, last }) => sum + last - first + 1, BLOCK_RECORDS);
    },
  };
}

/** What the blocks before the first one that was not read say all about. */
function upTo({ from, to }: TimeSpan, asc: boolean, { min_time, max_time }: BlockRow): TimeSpan | null {
  const looked = asc ? { from, to: min_time - 1 } : { from: max_time + 1, to };
  return looked.from > looked.to ? null : looked;
}

function merged(spans: readonly TimeSpan[], within: TimeSpan, asc: boolean): Candidates['spans'] {
  const clipped = spans
    .map(({ from, to }) => ({ from: Math.max(from, within.from), to: Math.min(to, within.to) }))
    .filter(({ from, to }) => from <= to)
    .sort((a, b) => a.from - b.from);
  const apart: Candidates['spans'][number][] = [];
  for (const span of clipped) {
    const last = apart.at(-1);
    if (last !== undefined && span.from <= last.to + 1)
      apart[apart.length - 1] = {
        from: last.from,
        to: Math.max(last.to, span.to),
        blocks: last.blocks + 1,
      };
    else apart.push({ ...span, blocks: 1 });
  }
  return asc ? apart : apart.reverse();
}

/** Takes out blocks whose records are all gone. */
export function removeLeftBlocks(db: Database, limit: number): void {
  db.prepare(
    `DELETE FROM record_blocks WHERE first IN (SELECT first FROM record_blocks
       WHERE last < (SELECT coalesce(min(position), 0) FROM records) ORDER BY first LIMIT ?)`,
  ).run(limit);
}

/** What a record, or a query, is looked for by. */
function keysOf(
  values: { readonly [F in Filter]?: string | null | undefined },
  { org, env }: Tenant,
): string[] {
  const keys: string[] = [];
  const add = (name: string, value: string | null | undefined) => {
    if (typeof value === 'string') keys.push(`${name} ${org} ${env} ${value}`);
  };
  for (const filter of FILTERS) add(filter, values[filter]);
  // Of what is allowed, and of a query that may mean it, there are no pairs.
  const denied = values.verdict === 'deny' || (values.reason ?? 'allowed') !== 'allowed';
  if (!denied) return keys;
  for (const [one, other] of PAIRS) {
    const [a, b] = [values[one], values[other]];
    if (typeof a === 'string' && typeof b === 'string') add(`${one} ${other}`, `${a} ${b}`);
  }
  return keys;
}

/** 52 bits: two FNV-1a hashes of the UTF-16 units. They are in the database: another hash needs a migration. */
function hashOf(text: string): number {
  let a = 0x811c9dc5;
  let b = 0x050c5d1f;
  for (let at = 0; at < text.length; at++) {
    const unit = text.charCodeAt(at);
    a = Math.imul(a ^ unit, 0x01000193);
    b = Math.imul(b ^ (unit + 0x9d), 0x01000193) ^ (b >>> 13);
  }
  return ((a ^ (a >>> 15)) >>> 0) * 0x100000 + ((b ^ (b >>> 16)) & 0xfffff);
}

/** MurmurHash3's last step: each bit of the input changes half of the output's. */
function mixed(hash: number): number {
  let h = hash ^ (hash >>> 16);
  h = Math.imul(h, 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return h ^ (h >>> 16);
}

function filterOf(values: ReadonlySet<number>, first: number): Uint8Array {
  let bytes = LEAST_BYTES;
  while (bytes * 8 < values.size * BITS_PER_VALUE && bytes < MOST_BYTES) bytes *= 2;
  const bits = new Uint8Array(bytes);
  for (const value of values) {
    const [start, step] = placesOf(value, first);
    for (let n = 0; n < HASHES; n++) {
      const bit = bitOf(start, step, n, bytes);
      bits[bit >> 3] = (bits[bit >> 3] ?? 0) | (1 << (bit & 7));
    }
  }
  return bits;
}

function mayHold(bits: Uint8Array, value: number, first: number): boolean {
  const [start, step] = placesOf(value, first);
  for (let n = 0; n < HASHES; n++) {
    const bit = bitOf(start, step, n, bits.length);
    if (((bits[bit >> 3] ?? 0) & (1 << (bit & 7))) === 0) return false;
  }
  return true;
}

/**
 * Where the bits of a value begin in the filter of a block, and how far apart they are. Elsewhere in each block: what stands in most
 * of them (a workspace, a route) would else cover the same few names in most of them, and those seem to be everywhere.
 */
function placesOf(value: number, first: number): readonly [start: number, step: number] {
  const start = mixed(Math.floor(value / 0x100000) ^ Math.imul(first, 0x9e3779b1));
  return [start, mixed(start ^ (value % 0x100000)) | 1];
}

/** Bit `n` in a filter of so many bytes, a power of two. */
function bitOf(start: number, step: number, n: number, bytes: number): number {
  return (start + Math.imul(n, step)) & (bytes * 8 - 1);
}
