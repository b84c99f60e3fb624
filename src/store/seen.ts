import { closeSync, constants, fstatSync, openSync, readSync, writeSync } from 'node:fs';
import { messageOf, StoreOpenError } from './errors.ts';

/** How far a database that is elsewhere had come: its event log, and this node's chain of records. */
export interface SeenPlace {
  readonly store_id: string;
  readonly epoch: number;
  readonly seq: number;
  /** `seq` of the node's last record. */
  readonly record: number;
}

/**
 * What this process has seen committed, in a file beside the keys: by it a database that was put back to an older state (a
 * dump, a replica that lagged) is told from the one that was left. Nothing in the database itself could say that.
 */
export interface Seen {
  /** Null: nothing was seen yet, or nobody can read it any more. */
  last(): SeenPlace | null;
  /** Never backwards within one epoch. */
  mark(place: SeenPlace): void;
  close(): void;
}

/** One write of one sector, in place: a process that dies leaves it whole. */
const LENGTH = 128;
const LINE = /^v1 (\S{1,40}) (\d{1,16}) (\d{1,16}) (\d{1,16}) *\n$/;

/** Opens it, or makes it (0600). It is not synced: after a power cut it may say less than was seen, never more. */
export function openSeen(path: string): Seen {
  const file = opened(path);
  let last = read(file);
  return {
    last: () => last,
    mark(place) {
      const next = last !== null && sameLog(last, place) ? latest(last, place) : place;
      if (last !== null && sameLog(last, next) && next.seq === last.seq && next.record === last.record)
        return;
      last = next;
      const { store_id, epoch, seq, record } = next;
      const text = `${`v1 ${store_id} ${epoch} ${seq} ${record}`.padEnd(LENGTH - 1)}\n`;
      writeSync(file, text, 0);
    },
    close: () => closeSync(file),
  };
}

/** Whether `found` is an older state of the database that `seen` was. A newer epoch is another log: it was fenced already. */
export function wentBack(seen: SeenPlace, found: SeenPlace): boolean {
  if (seen.store_id !== found.store_id) return false;
  if (seen.epoch !== found.epoch) return found.epoch < seen.epoch;
  return found.seq < seen.seq || found.record < seen.record;
}

function sameLog(one: SeenPlace, other: SeenPlace): boolean {
  return one.store_id === other.store_id && one.epoch === other.epoch;
}

function latest(one: SeenPlace, other: SeenPlace): SeenPlace {
  return { ...other, seq: Math.max(one.seq, other.seq), record: Math.max(one.record, other.record) };
}

function opened(path: string): number {
  const { O_RDWR, O_CREAT, O_NOFOLLOW = 0 } = constants;
  try {
    const file = openSync(path, O_RDWR | O_CREAT | O_NOFOLLOW, 0o600);
    if (fstatSync(file).isFile()) return file;
    closeSync(file);
    throw new Error('not a file');
  } catch (error) {
    throw new StoreOpenError(
      'unusable',
      `${path}: ${messageOf(error)}; check \`data\` and who owns that folder`,
    );
  }
}

function read(file: number): SeenPlace | null {
  const bytes = Buffer.alloc(LENGTH);
  const text = bytes.toString('latin1', 0, readSync(file, bytes, 0, LENGTH, 0));
  const [, store_id = '', ...numbers] = LINE.exec(text) ?? [];
  const [epoch, seq, record] = numbers.map(Number);
  if (epoch === undefined || seq === undefined || record === undefined) return null;
  return { store_id, epoch, seq, record };
}
