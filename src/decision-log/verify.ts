import { FIRST_PREV, hashesOf } from '../store/chain.ts';
import type { ChainHead, Checkpoint, Pruning } from '../store/model.ts';
import { type CheckpointKeys, checkpointBytes, pruningBytes, signatureHolds } from './checkpoint.ts';
import { type Fault, type FaultKind, type Faults, newFaults } from './faults.ts';
import { type Gaps, newGaps } from './gaps.ts';
import { type ParsedRecord, parseLine } from './parse-line.ts';

export type { CheckpointKeys } from './checkpoint.ts';
export type { Fault, FaultKind } from './faults.ts';

export interface ChainSummary {
  readonly node: string;
  readonly first: number;
  readonly last: number;
  readonly hash: string;
  /** Records that were lost before they were written, as the chain itself says. */
  readonly lost: number;
  /** The last record that a good checkpoint vouches for; null where none does. */
  readonly vouched: number | null;
  /** Records up to this one were pruned, by a signed statement; null where none were. */
  readonly pruned: number | null;
  /** Records of other tenants, whose content is not here to be checked. */
  readonly withheld: number;
}

export interface ChainReport {
  readonly ok: boolean;
  readonly lines: number;
  readonly chains: readonly ChainSummary[];
  /** The first of them; `faultCount` is how many there are. */
  readonly faults: readonly Fault[];
  readonly faultCount: number;
  /** False where no public keys were given: checkpoints were compared, their signatures not checked. */
  readonly signaturesChecked: boolean;
}

export interface VerifyOptions {
  /**
   * True for an export that was kept: it must end as `provenLines` ends it, with a checkpoint at each head, or what was cut
   * off its end would not show.
   */
  readonly complete?: boolean;
}

interface Chain {
  readonly node: string;
  readonly gaps: Gaps;
  readonly pruned: Pruning | null;
  first: number;
  last: number;
  /** The hash that the last record states; null where the record itself is at fault. */
  hash: string | null;
  lastHash: string;
  lost: number;
  vouched: number | null;
  withheld: number;
}

interface State {
  readonly keys: CheckpointKeys | undefined;
  readonly faults: Faults;
  readonly chains: Map<string, Chain>;
  /** Good checkpoints whose record has not come yet, by node and record. */
  readonly ahead: Map<string, Map<number, Checkpoint>>;
  readonly prunings: Map<string, Pruning>;
  heads: readonly ChainHead[] | null;
  line: number;
}

/**
 * Checks lines, of one node or several, against their own chain and against checkpoints, and names every place where a
 * record was edited, dropped, reordered, repeated or cut off the end. Checkpoints are given beside the lines, or stand
 * among them (`provenLines`). A log may begin late only where a signed statement says that it was pruned up to there.
 * What it remembers does not grow with the log. Never throws for what the lines say.
 */
export async function verifyChain(
  lines: Iterable<string> | AsyncIterable<string>,
  checkpoints: readonly Checkpoint[] = [],
  publicKeys?: CheckpointKeys,
  { complete = false }: VerifyOptions = {},
): Promise<ChainReport> {
  const state: State = {
    keys: publicKeys,
    faults: newFaults(),
    chains: new Map(),
    ahead: new Map(),
    prunings: new Map(),
    heads: null,
    line: 0,
  };
  for (const checkpoint of checkpoints) expect(checkpoint, null, state);
  for await (const text of lines) {
    state.line += 1;
    checkLine(text, state);
  }
  checkEnds(state, complete);
  return {
    ok: state.faults.count === 0,
    lines: state.line,
    chains: [...state.chains.values()].map(summaryOf),
    faults: state.faults.kept,
    faultCount: state.faults.count,
    signaturesChecked: publicKeys !== undefined,
  };
}

function checkLine(text: string, state: State): void {
  const { line, faults } = state;
  const parsed = parseLine(text);
  if (state.heads !== null) {
    const message = `Line ${line} comes after the end of the export`;
    faults.add({ kind: 'malformed', node: null, seq: null, line, message });
    return;
  }
  switch (parsed?.kind) {
    case 'checkpoint':
      expect(parsed.checkpoint, line, state);
      return;
    case 'pruned':
      takePruning(parsed.pruned, state);
      return;
    case 'end':
      state.heads = parsed.heads;
      return;
    case 'withheld': {
      const { node, seq, prev, hash } = parsed.withheld;
      const record = { node, seq, prev, lost: 0, decision_id: null };
      const chain = checkRecord(record, { stated: hash, actual: hash }, state);
      chain.withheld += 1;
      return;
    }
    case 'record': {
      const hashes = hashesOf(text);
      if (hashes !== null) {
        checkRecord(parsed.record, hashes, state);
        return;
      }
    }
  }
  const message = `Line ${line} is not a whole record (torn, or not from a decision log)`;
  faults.add({ kind: 'malformed', node: null, seq: null, line, message });
}

/** A checkpoint, before its record or right after it. */
function expect(checkpoint: Checkpoint, line: number | null, state: State): void {
  const { node, seq } = checkpoint;
  if (!isGood(checkpoint, checkpointBytes(checkpoint), `checkpoint at record ${seq}`, state)) return;
  const chain = state.chains.get(node);
  if (chain !== undefined && seq === chain.last) {
    const report: Report = (kind, message) => state.faults.add({ kind, node, seq, line, message });
    vouch(chain, checkpoint, report);
    return;
  }
  // What was pruned left them behind: one stays at the cut, others go after the records.
  if (seq <= (state.prunings.get(node)?.seq ?? 0)) return;
  if (chain !== undefined && seq < chain.last) {
    const message = `The checkpoint at record ${seq} comes after record ${chain.last}`;
    state.faults.add({ kind: 'reordered', node, seq, line, message });
    return;
  }
  const own = state.ahead.get(node) ?? new Map<number, Checkpoint>();
  state.ahead.set(node, own.set(seq, checkpoint));
}

function takePruning(pruned: Pruning, state: State): void {
  const { node, seq } = pruned;
  if (!isGood(pruned, pruningBytes(pruned), `statement that records up to ${seq} were pruned`, state)) return;
  state.prunings.set(node, pruned);
}

function isGood(statement: Checkpoint, bytes: Uint8Array, what: string, state: State): boolean {
  if (state.keys === undefined) return true;
  const key = state.keys.get(statement.keyid);
  const { node, seq } = statement;
  const at = { node, seq, line: null };
  if (key === undefined) {
    const message = `The ${what} is signed with a key that is not among those given: ${statement.keyid}`;
    state.faults.add({ kind: 'checkpoint_untrusted', ...at, message });
    return false;
  }
  if (signatureHolds(statement, bytes, key)) return true;
  const message = `The ${what} has a signature that does not hold`;
  state.faults.add({ kind: 'checkpoint_invalid', ...at, message });
  return false;
}

type Report = (kind: FaultKind, message: string, at?: number) => void;

function checkRecord(
  record: ParsedRecord,
  hashes: { readonly stated: string; readonly actual: string },
  state: State,
): Chain {
  const { node, decision_id } = record;
  const chain = state.chains.get(node) ?? newChain(record, state.prunings.get(node) ?? null);
  state.chains.set(node, chain);
  const whole = hashes.actual === hashes.stated;
  // Of an edited line even the number may be false: it counts as the record that is due here.
  const seq = whole || record.seq === chain.last + 1 ? record.seq : chain.last + 1;
  const { line } = state;
  const fault: Report = (kind, message, at = seq) =>
    state.faults.add({ kind, node, seq: at, decision_id: at === seq ? decision_id : null, line, message });
  if (!whole) fault('edited', `Record ${seq} was edited: its bytes do not have the hash that it states`);
  if (seq <= chain.last) {
    misplaced(chain, seq, fault);
    return chain;
  }
  if (seq > chain.last + 1) chain.gaps.open(chain.last + 1, seq - 1, line);
  else if (whole && chain.hash !== null && record.prev !== chain.hash) follows(seq, fault);
  chain.last = seq;
  chain.hash = whole ? hashes.stated : null;
  chain.lastHash = hashes.stated;
  chain.lost += record.lost;
  const ahead = state.ahead.get(node);
  const checkpoint = ahead?.get(seq);
  if (checkpoint !== undefined) {
    ahead?.delete(seq);
    vouch(chain, checkpoint, fault);
  }
  if (seq === chain.pruned?.seq && chain.pruned.hash !== hashes.stated) {
    fault('checkpoint_mismatch', `Record ${seq} is not the one up to which the log says it was pruned`);
  }
  return chain;
}

function follows(seq: number, fault: Report): void {
  const before = seq - 1;
  if (before === 0) fault('edited', 'Record 1 does not begin the chain: its prev is not the empty one');
  else {
    const message = `Record ${before} was rewritten: its hash is not the one that record ${seq} follows`;
    fault('edited', message, before);
  }
}

function misplaced(chain: Chain, seq: number, fault: Report): void {
  if (chain.gaps.fill(seq)) fault('reordered', `Record ${seq} comes after record ${chain.last}`);
  else fault('repeated', `Record ${seq} is here a second time`);
}

function vouch(chain: Chain, { seq, hash }: Checkpoint, fault: Report): void {
  if (hash === chain.lastHash) chain.vouched = seq;
  else
    fault(
      'checkpoint_mismatch',
      `Record ${seq} or one before it was rewritten: the checkpoint there has another hash`,
    );
}

/** A chain begins at record 1, or, pruned, right after the cut. What a pruning has yet to take out may still be there. */
function newChain({ node, seq }: ParsedRecord, pruned: Pruning | null): Chain {
  const begins =
    pruned === null || seq > pruned.seq + 1
      ? { seq: pruned?.seq ?? 0, hash: pruned?.hash ?? FIRST_PREV }
      : { seq: seq - 1, hash: hashBefore(seq, pruned) };
  return {
    node,
    gaps: newGaps(),
    pruned,
    first: begins.seq + 1,
    last: begins.seq,
    hash: begins.hash,
    lastHash: begins.hash ?? '',
    lost: 0,
    vouched: null,
    withheld: 0,
  };
}

function hashBefore(seq: number, pruned: Pruning): string | null {
  if (seq === 1) return FIRST_PREV;
  return seq === pruned.seq + 1 ? pruned.hash : null;
}

function checkEnds(state: State, complete: boolean): void {
  const { chains, faults } = state;
  const at = { seq: null, line: null };
  for (const chain of chains.values()) {
    for (const { first, last, line } of chain.gaps.left()) {
      const message = `${recordsOf(first, last)} dropped before line ${line}`;
      faults.add({ kind: 'dropped', node: chain.node, seq: first, line, message });
    }
  }
  for (const [node, { seq, why }] of claims(state)) {
    const chain = chains.get(node);
    const last = chain?.last ?? state.prunings.get(node)?.seq ?? 0;
    if (seq > last) faults.add(cutFault(node, last + 1, seq, why));
  }
  for (const head of state.heads ?? []) {
    const chain = chains.get(head.node);
    if (chain?.last !== head.seq || chain.lastHash === head.hash) continue;
    const message = `Record ${head.seq} is not the head of its chain: the log ended with another hash`;
    faults.add({ kind: 'edited', node: head.node, seq: head.seq, line: null, message });
  }
  if (!complete) return;
  if (state.heads === null) {
    const message = 'The export has no end: it broke off, was cut, or was made without what proves it';
    faults.add({ kind: 'cut', node: null, ...at, message });
  }
  for (const { node, last, vouched } of chains.values()) {
    if (vouched === last) continue;
    const first = (vouched ?? 0) + 1;
    const message = `No checkpoint vouches for the end of the chain (${rangeOf(first, last)}): what was cut there would not show`;
    faults.add({ kind: 'unvouched', node, seq: first, line: null, message });
  }
}

interface Claim {
  readonly seq: number;
  readonly why: string;
}

/** The last record of each node that something says there is, whether or not it is there. */
function claims(state: State): Map<string, Claim> {
  const found = new Map<string, Claim>();
  const claim = (node: string, seq: number, why: string) => {
    if (seq > (found.get(node)?.seq ?? 0)) found.set(node, { seq, why });
  };
  for (const [node, own] of state.ahead) {
    for (const seq of own.keys()) claim(node, seq, `a checkpoint vouches for record ${seq}`);
  }
  for (const { node, seq } of state.heads ?? []) claim(node, seq, `the chain ended with record ${seq}`);
  // The newest record is never pruned.
  for (const [node, { seq }] of state.prunings) {
    if (!state.chains.has(node))
      claim(node, seq + 1, `records up to ${seq} were pruned, and never the last one`);
  }
  return found;
}

function cutFault(node: string, first: number, last: number, why: string): Omit<Fault, 'decision_id'> {
  return {
    kind: 'cut',
    node,
    seq: first,
    line: null,
    message: `${recordsOf(first, last)} cut off the end: ${why}`,
  };
}

function recordsOf(first: number, last: number): string {
  return first === last ? `Record ${first} was` : `Records ${first} to ${last} were`;
}

function rangeOf(first: number, last: number): string {
  return first === last ? `record ${first}` : `records ${first} to ${last}`;
}

function summaryOf(chain: Chain): ChainSummary {
  const { node, first, last, lastHash, lost, vouched, pruned, withheld } = chain;
  return { node, first, last, hash: lastHash, lost, vouched, pruned: pruned?.seq ?? null, withheld };
}
