import { publicKeyOf } from '#runtime';
import { toBase64url } from '../../crypto/base64url.ts';
import { type KeyChange, signKeyChange } from '../../proof/key-change.ts';
import { operatorSeed, subjectOf } from '../../proof/ppid.ts';
import { post } from '../lib/api.ts';
import { challengeHere } from '../lib/session.ts';

export const SITE_KEYS = '/api/wallet/session/keys';

/** As `GET` and `POST` of it answer. */
export interface SiteKeysAnswer {
  readonly subject: string;
  readonly keys: readonly string[];
}

export interface KeyWish {
  /** Numbers of the key that the site knows, and of the one that it is to know: the same where keys only end. */
  readonly from: number;
  readonly to: number;
  /** Public keys that end. */
  readonly ends: readonly string[];
}

/** Both keys sign it: by the wallet, for the site that the browser is at. Throws ApiError. */
export async function changeKeys(root: Uint8Array, { from, to, ends }: KeyWish): Promise<SiteKeysAnswer> {
  const host = location.hostname;
  const given = await challengeHere();
  const { challenge } = given;
  const seeds = [operatorSeed(root, host, from), operatorSeed(root, host, to)] as const;
  const [key, next] = [toBase64url(publicKeyOf(seeds[0])), toBase64url(publicKeyOf(seeds[1]))];
  const change: KeyChange = { ...given, subject: subjectOf(root, host), key, next, ends };
  const [signature, next_signature] = [signKeyChange(change, seeds[0]), signKeyChange(change, seeds[1])];
  for (const seed of seeds) seed.fill(0);
  return post<SiteKeysAnswer>(SITE_KEYS, { key, next, ends, challenge, signature, next_signature });
}
