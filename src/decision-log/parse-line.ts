import type { ChainHead, Checkpoint, Pruning } from '../store/model.ts';
import type { Withheld } from '../store/withheld.ts';

/** A line of an export, as far as its verification looks at it. Null: none of these. */
export type ParsedLine =
  | { readonly kind: 'record'; readonly record: ParsedRecord }
  | { readonly kind: 'withheld'; readonly withheld: Withheld }
  | { readonly kind: 'checkpoint'; readonly checkpoint: Checkpoint }
  | { readonly kind: 'pruned'; readonly pruned: Pruning }
  | { readonly kind: 'end'; readonly heads: readonly ChainHead[] }
  | null;

export interface ParsedRecord {
  readonly seq: number;
  readonly node: string;
  readonly prev: string;
  readonly lost: number;
  readonly decision_id: string | null;
}

type Json = Readonly<Record<string, unknown>>;

export function parseLine(text: string): ParsedLine {
  const value = jsonOf(text);
  if (!isObject(value)) return null;
  const { checkpoint, pruned, withheld, end } = value;
  if (value.v === 1) return recordOf(value);
  if (isStatement(checkpoint)) return { kind: 'checkpoint', checkpoint };
  if (isStatement(pruned)) return { kind: 'pruned', pruned };
  if (isHead(withheld) && typeof withheld.prev === 'string') {
    return { kind: 'withheld', withheld: { ...withheld, prev: withheld.prev } };
  }
  if (isObject(end) && Array.isArray(end.heads) && end.heads.every(isHead)) {
    return { kind: 'end', heads: end.heads };
  }
  return null;
}

function recordOf({ seq, node, prev, lost = 0, decision_id }: Json): ParsedLine {
  if (!isSeq(seq) || typeof node !== 'string' || typeof prev !== 'string' || typeof lost !== 'number') {
    return null;
  }
  const id = typeof decision_id === 'string' ? decision_id : null;
  return { kind: 'record', record: { seq, node, prev, lost, decision_id: id } };
}

function isStatement(value: unknown): value is Checkpoint {
  if (!isHead(value) || !isObject(value)) return false;
  return (
    value.v === 1 &&
    typeof value.time === 'number' &&
    Number.isFinite(value.time) &&
    typeof value.keyid === 'string' &&
    typeof value.signature === 'string'
  );
}

function isHead(value: unknown): value is ChainHead & Json {
  return (
    isObject(value) && isSeq(value.seq) && typeof value.node === 'string' && typeof value.hash === 'string'
  );
}

function isSeq(value: unknown): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 1;
}

export function isObject(value: unknown): value is Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Null for what is none. */
export function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}
