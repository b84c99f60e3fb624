import { verifyEd25519 } from '#runtime';
import { fromBase64url } from '../crypto/base64url.ts';
import type { FeedEvent } from './feed.ts';
import { type FeedKeys, statementBytes } from './statement.ts';

/** What the key that signed until now says of the next: "lemma/handover/v1\n" + JCS of {use, kid, x}. */
export function handoverBytes({ use, kid, x }: { use: string; kid: string; x: string }): Uint8Array {
  return statementBytes('handover', { use, kid, x });
}

/** The authority's next key that an event brings, where one that is trusted already says so. Null: it brings none. */
export function nextKey({ type, payload }: Pick<FeedEvent, 'type' | 'payload'>, keys: FeedKeys) {
  if (type !== 'key' || typeof payload.change !== 'object' || payload.change === null) return null;
  const { use, kid, x, handover } = payload.change as Readonly<Record<string, unknown>>;
  if (use !== 'authority' || typeof kid !== 'string' || typeof x !== 'string') return null;
  const bytes = fromBase64url(x);
  const signature = typeof handover === 'string' ? fromBase64url(handover) : null;
  if (bytes === null || signature === null) return null;
  const said = handoverBytes({ use, kid, x });
  return [...keys.values()].some((key) => verifyEd25519(signature, said, key)) ? { kid, key: bytes } : null;
}
