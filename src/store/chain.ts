import { hash } from 'node:crypto';

/** `prev` of a node's first record: 32 zero bytes. */
export const FIRST_PREV = 'A'.repeat(43);

const DOMAIN = 'lemma/decision/v1\n';
const DOMAIN_BYTES = Buffer.byteLength(DOMAIN);
/** `,"hash":"` + 43 characters + `"}`. */
const HASH_SUFFIX = /,"hash":"([A-Za-z0-9_-]{43})"\}$/;
const SUFFIX_LENGTH = 54;

export interface Sealed {
  readonly line: Buffer;
  readonly hash: string;
}

/**
 * A record's stored line: `{"v":1,"seq":…,["lost":…,]<members>,"prev":…,"hash":…}`. `hash` is base64url of
 * SHA-256("lemma/decision/v1\n" ‖ the bytes of the line before `hash` is appended) (contracts.md, "Decision record").
 */
export function sealLine(seq: number, lost: number, members: string, prev: string): Sealed {
  const lostMember = lost > 0 ? `"lost":${lost},` : '';
  const bytes = Buffer.from(`${DOMAIN}{"v":1,"seq":${seq},${lostMember}${members},"prev":"${prev}"}`);
  const digest = hash('sha256', bytes, 'base64url');
  const line = Buffer.allocUnsafe(bytes.length - DOMAIN_BYTES - 1 + SUFFIX_LENGTH);
  bytes.copy(line, 0, DOMAIN_BYTES, bytes.length - 1);
  line.write(`,"hash":"${digest}"}`, line.length - SUFFIX_LENGTH, 'latin1');
  return { line, hash: digest };
}

/** The hash that a stored line states and the one that its bytes have; null where it does not end in a hash. */
export function hashesOf(line: string): { readonly stated: string; readonly actual: string } | null {
  const stated = HASH_SUFFIX.exec(line)?.[1];
  if (stated === undefined) return null;
  return { stated, actual: hash('sha256', `${DOMAIN}${line.slice(0, -SUFFIX_LENGTH)}}`, 'base64url') };
}
