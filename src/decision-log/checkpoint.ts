import { canonicalJson } from '../crypto/jcs.ts';
import type { ChainHead, Checkpoint } from '../store/model.ts';

const DOMAIN = 'lemma/checkpoint/v1\n';

/** Signs bytes with the node's key; base64url. */
export type Signer = (bytes: Uint8Array) => string | Promise<string>;

/** What a checkpoint's signature covers: "lemma/checkpoint/v1\n" + JCS (RFC 8785) of it without `signature`. */
export function checkpointBytes(checkpoint: Omit<Checkpoint, 'signature'>): Uint8Array {
  const { v, node, seq, hash, time, keyid } = checkpoint;
  return Buffer.from(DOMAIN + canonicalJson({ v, node, seq, hash, time, keyid }));
}

/** A signed statement about the head of a chain. `time` in milliseconds. */
export async function signCheckpoint(
  head: ChainHead,
  time: number,
  keyid: string,
  signer: Signer,
): Promise<Checkpoint> {
  const unsigned = { v: 1, node: head.node, seq: head.seq, hash: head.hash, time, keyid } as const;
  return { ...unsigned, signature: await signer(checkpointBytes(unsigned)) };
}
