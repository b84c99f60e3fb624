import { timingSafeEqual } from 'node:crypto';
import { hmacSha256 } from '#runtime';
import { fromBase64url, toBase64url } from '../crypto/base64url.ts';
import { InputError } from '../reason.ts';
import type { Tenant } from '../store/model.ts';

/** Where a page ended, for the caller of one list in one org and env to go on from: opaque, and nothing else is taken. */
export interface Cursors {
  seal(list: string, tenant: Tenant, at: string): string;
  /** Throws InputError (`cursor`) for one that was made by somebody else, or for another list or tenant. */
  open(list: string, tenant: Tenant, cursor: string): string;
}

const MAC = 16;

/** `secret` is shared by the control planes of a deployment. */
export function createCursors(secret: Uint8Array): Cursors {
  const encoder = new TextEncoder();
  const macOf = (list: string, { org, env }: Tenant, at: Uint8Array) =>
    hmacSha256(secret, encoder.encode(`lemma/cursor/v1\n${list}\n${org}\n${env}\n`), at).subarray(0, MAC);
  return {
    seal(list, tenant, at) {
      const bytes = encoder.encode(at);
      return toBase64url(Buffer.concat([macOf(list, tenant, bytes), bytes]));
    },
    open(list, tenant, cursor) {
      const bytes = fromBase64url(cursor) ?? new Uint8Array();
      const at = bytes.subarray(MAC);
      if (bytes.length > MAC && timingSafeEqual(macOf(list, tenant, at), bytes.subarray(0, MAC)))
        return new TextDecoder().decode(at);
      throw new InputError([{ field: 'cursor', message: 'must be the `next_cursor` of the page before' }]);
    },
  };
}
