import { verifyEd25519 } from '#runtime';
import { fromBase64url } from '../crypto/base64url.ts';
import { canonicalJson } from '../crypto/jcs.ts';
import type { ChainHead, Checkpoint, Pruning } from '../store/model.ts';

/** Signs bytes with the node's key; base64url. */
export type Signer = (bytes: Uint8Array) => string | Promise<string>;

/** The key that signs for the log now, with the id that its public half is found by. */
export interface LogKey {
  readonly keyid: string;
  readonly sign: Signer;
}

/** Public keys (32 bytes) of nodes by their keyid. */
export type CheckpointKeys = ReadonlyMap<string, Uint8Array>;

type Unsigned = Omit<Checkpoint, 'signature'>;

/** What a checkpoint's signature covers: "lemma/checkpoint/v1\n" + JCS (RFC 8785) of it without `signature`. */
export function checkpointBytes(checkpoint: Unsigned): Uint8Array {
  return bytesOf('lemma/checkpoint/v1\n', checkpoint);
}

/** The same for a cut: "lemma/pruning/v1\n" + JCS of it without `signature`. */
export function pruningBytes(pruning: Unsigned): Uint8Array {
  return bytesOf('lemma/pruning/v1\n', pruning);
}

function bytesOf(domain: string, { v, node, seq, hash, time, keyid }: Unsigned): Uint8Array {
  return Buffer.from(domain + canonicalJson({ v, node, seq, hash, time, keyid }));
}

/** A signed statement about the head of a chain. `time` in milliseconds. */
export function signCheckpoint(
  head: ChainHead,
  time: number,
  keyid: string,
  signer: Signer,
): Promise<Checkpoint> {
  return signed(head, time, { keyid, sign: signer }, checkpointBytes);
}

/** A signed statement that what stands up to this record was pruned. `time` in milliseconds. */
export function signPruning(cut: ChainHead, time: number, key: LogKey): Promise<Pruning> {
  return signed(cut, time, key, pruningBytes);
}

async function signed(
  { node, seq, hash }: ChainHead,
  time: number,
  { keyid, sign }: LogKey,
  bytes: (unsigned: Unsigned) => Uint8Array,
): Promise<Checkpoint> {
  const unsigned = { v: 1, node, seq, hash, time, keyid } as const;
  return { ...unsigned, signature: await sign(bytes(unsigned)) };
}

/** Whether a checkpoint, or with its own bytes a pruning, carries a signature of this key. */
export function signatureHolds(statement: Checkpoint, bytes: Uint8Array, key: Uint8Array): boolean {
  const signature = fromBase64url(statement.signature);
  return signature !== null && verifyEd25519(signature, bytes, key);
}
