import { verifyEd25519 } from '#runtime';
import { fromBase64url } from '../crypto/base64url.ts';
import { FIRST_PREV, hashesOf } from '../store/chain.ts';
import type { Checkpoint } from '../store/model.ts';
import { checkpointBytes } from './checkpoint.ts';
import { type Gaps, newGaps } from './gaps.ts';

export type FaultKind =
  | 'malformed'
  | 'edited'
  | 'dropped'
  | 'reordered'
  | 'repeated'
  | 'cut'
  | 'checkpoint_mismatch'
  | 'checkpoint_invalid'
  | 'checkpoint_untrusted';

/** `seq`: the (first) record that it is about. `line`: counted from 1, null where it is about a line that is not there. */
export interface Fault {
  readonly kind: FaultKind;
  readonly node: string | null;
  readonly seq: number | null;
  readonly line: number | null;
  readonly message: string;
}

export interface ChainSummary {
  readonly node: string;
  readonly first: number;
  readonly last: number;
  readonly hash: string;
  /** Records that were lost before they were written, as the chain itself says. */
  readonly lost: number;
  /** The last record that a good checkpoint vouches for; null where none does. */
  readonly vouched: number | null;
}

export interface ChainReport {
  readonly ok: boolean;
  readonly lines: number;
  readonly chains: readonly ChainSummary[];
  readonly faults: readonly Fault[];
  /** False where no public keys were given: checkpoints were compared, their signatures not checked. */
  readonly signaturesChecked: boolean;
}

/** Public keys (32 bytes) of nodes by their keyid. */
export type CheckpointKeys = ReadonlyMap<string, Uint8Array>;

interface Chain {
  readonly node: string;
  readonly checkpoints: ReadonlyMap<number, Checkpoint>;
  readonly gaps: Gaps;
  first: number;
  last: number;
  /** The hash that the last record states; null where the record itself is at fault. */
  hash: string | null;
  lastHash: string;
  lost: number;
  vouched: number | null;
}

interface Parsed {
  readonly seq: number;
  readonly node: string;
  readonly prev: string;
  readonly lost: number;
}

/**
 * Checks exported lines, of one node or several, against their own chain and against checkpoints, and names every place
 * where a record was edited, dropped, reordered, repeated or cut off the end. A log may begin late (pruned) only just
 * after a checkpoint. Never throws for what the lines say.
 */
export async function verifyChain(
  lines: Iterable<string> | AsyncIterable<string>,
  checkpoints: readonly Checkpoint[],
  publicKeys?: CheckpointKeys,
): Promise<ChainReport> {
  const faults: Fault[] = [];
  const trusted = byNode(checkpoints.filter((checkpoint) => isGood(checkpoint, publicKeys, faults)));
  const chains = new Map<string, Chain>();
  let line = 0;
  for await (const text of lines) {
    line += 1;
    checkLine(text, line, chains, trusted, faults);
  }
  for (const chain of chains.values()) checkEnd(chain, faults);
  for (const [node, own] of trusted) {
    if (!chains.has(node)) faults.push(cutFault(node, 1, highest(own)));
  }
  return {
    ok: faults.length === 0,
    lines: line,
    chains: [...chains.values()].map(summaryOf),
    faults,
    signaturesChecked: publicKeys !== undefined,
  };
}

function isGood(checkpoint: Checkpoint, keys: CheckpointKeys | undefined, faults: Fault[]): boolean {
  if (keys === undefined) return true;
  const key = keys.get(checkpoint.keyid);
  const { node, seq } = checkpoint;
  if (key === undefined) {
    faults.push({
      kind: 'checkpoint_untrusted',
      node,
      seq,
      line: null,
      message: `The checkpoint at record ${seq} is signed with a key that is not among those given: ${checkpoint.keyid}`,
    });
    return false;
  }
  if (signatureHolds(checkpoint, key)) return true;
  faults.push({
    kind: 'checkpoint_invalid',
    node,
    seq,
    line: null,
    message: `The checkpoint at record ${seq} has a signature that does not hold`,
  });
  return false;
}

function signatureHolds(checkpoint: Checkpoint, key: Uint8Array): boolean {
  const signature = fromBase64url(checkpoint.signature);
  return signature !== null && verifyEd25519(signature, checkpointBytes(checkpoint), key);
}

function byNode(checkpoints: readonly Checkpoint[]): Map<string, Map<number, Checkpoint>> {
  const nodes = new Map<string, Map<number, Checkpoint>>();
  for (const checkpoint of checkpoints) {
    const own = nodes.get(checkpoint.node) ?? new Map<number, Checkpoint>();
    nodes.set(checkpoint.node, own.set(checkpoint.seq, checkpoint));
  }
  return nodes;
}

function checkLine(
  text: string,
  line: number,
  chains: Map<string, Chain>,
  trusted: ReadonlyMap<string, ReadonlyMap<number, Checkpoint>>,
  faults: Fault[],
): void {
  const hashes = hashesOf(text);
  const record = parse(text);
  if (hashes === null || record === null) {
    const message = `Line ${line} is not a whole record (torn, or not from a decision log)`;
    faults.push({ kind: 'malformed', node: null, seq: null, line, message });
    return;
  }
  const { node } = record;
  const found = chains.get(node);
  const chain = found ?? newChain(record, trusted.get(node) ?? new Map());
  chains.set(node, chain);
  const whole = hashes.actual === hashes.stated;
  // Of an edited line even the number may be false: it counts as the record that is due here.
  const seq = whole || record.seq === chain.last + 1 ? record.seq : chain.last + 1;
  const fault = (kind: FaultKind, message: string, at = seq): void => {
    faults.push({ kind, node, seq: at, line, message });
  };
  if (!whole) fault('edited', `Record ${seq} was edited: its bytes do not have the hash that it states`);
  if (seq <= chain.last) {
    misplaced(chain, seq, fault);
    return;
  }
  if (seq > chain.last + 1) chain.gaps.open(chain.last + 1, seq - 1, line);
  else if (whole && chain.hash !== null && record.prev !== chain.hash) {
    const before = seq - 1;
    if (before === 0) fault('edited', 'Record 1 does not begin the chain: its prev is not the empty one');
    else
      fault(
        'edited',
        `Record ${before} was rewritten: its hash is not the one that record ${seq} follows`,
        before,
      );
  }
  const checkpoint = chain.checkpoints.get(seq);
  if (checkpoint !== undefined) vouch(chain, checkpoint, hashes.stated, fault);
  chain.last = seq;
  chain.hash = whole ? hashes.stated : null;
  chain.lastHash = hashes.stated;
  chain.lost += record.lost;
}

type Report = (kind: FaultKind, message: string, at?: number) => void;

function misplaced(chain: Chain, seq: number, fault: Report): void {
  if (chain.gaps.fill(seq)) fault('reordered', `Record ${seq} comes after record ${chain.last}`);
  else fault('repeated', `Record ${seq} is here a second time`);
}

function vouch(chain: Chain, checkpoint: Checkpoint, stated: string, fault: Report): void {
  const { seq } = checkpoint;
  if (checkpoint.hash === stated) chain.vouched = seq;
  else
    fault(
      'checkpoint_mismatch',
      `Record ${seq} or one before it was rewritten: the checkpoint there has another hash`,
    );
}

/** A chain begins at record 1, or, pruned, right after a checkpoint. */
function newChain(record: Parsed, checkpoints: ReadonlyMap<number, Checkpoint>): Chain {
  const pruned = checkpoints.get(record.seq - 1);
  const begins = pruned !== undefined && pruned.hash === record.prev ? pruned : { seq: 0, hash: FIRST_PREV };
  return {
    node: record.node,
    checkpoints,
    gaps: newGaps(),
    first: begins.seq + 1,
    last: begins.seq,
    hash: begins.hash,
    lastHash: begins.hash,
    lost: 0,
    vouched: null,
  };
}

function checkEnd(chain: Chain, faults: Fault[]): void {
  for (const { first, last, line } of chain.gaps.left()) {
    const message = `${recordsOf(first, last)} dropped before line ${line}`;
    faults.push({ kind: 'dropped', node: chain.node, seq: first, line, message });
  }
  const claimed = highest(chain.checkpoints);
  if (claimed > chain.last) faults.push(cutFault(chain.node, chain.last + 1, claimed));
}

function highest(checkpoints: ReadonlyMap<number, Checkpoint>): number {
  let seq = 0;
  for (const key of checkpoints.keys()) seq = Math.max(seq, key);
  return seq;
}

function cutFault(node: string, first: number, last: number): Fault {
  const message = `${recordsOf(first, last)} cut off the end: a checkpoint vouches for record ${last}`;
  return { kind: 'cut', node, seq: first, line: null, message };
}

function recordsOf(first: number, last: number): string {
  return first === last ? `Record ${first} was` : `Records ${first} to ${last} were`;
}

function summaryOf({ node, first, last, lastHash, lost, vouched }: Chain): ChainSummary {
  return { node, first, last, hash: lastHash, lost, vouched };
}

function parse(text: string): Parsed | null {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return null;
  }
  if (typeof value !== 'object' || value === null) return null;
  const { v, seq, node, prev, lost = 0 } = value as Record<string, unknown>;
  if (v !== 1 || typeof seq !== 'number' || !Number.isSafeInteger(seq) || seq < 1) return null;
  if (typeof node !== 'string' || typeof prev !== 'string' || typeof lost !== 'number') return null;
  return { seq, node, prev, lost };
}
