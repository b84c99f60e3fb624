import { type Me, signInByOneOf } from '../lib/session.ts';
import { keepNumber } from './keep-number.ts';
import { numberAt } from './key-number.ts';
import { walletSigner } from './site.ts';

/** The first keys of a site that are tried beside the one in use, and so many after it. Few: each refusal counts at the site. */
export const KEYS_TRIED = 5;

/**
 * Signs in at this site by the key in use or, where the site refuses it, by the first that it knows of the wallet's others: after a
 * restore by words, or a change in another browser. That one is in use from then on.
 */
export async function signInHere(root: Uint8Array): Promise<Me> {
  const host = location.hostname;
  const used = numberAt(host);
  const few = Array.from({ length: KEYS_TRIED }, (_, n) => n);
  const numbers = [...new Set([...few.map((n) => used + n), ...few])];
  const signers = numbers.map((n) => walletSigner(root, host, n));
  const { me, by } = await signInByOneOf(signers);
  const n = numbers[signers.indexOf(by)] ?? used;
  if (n !== used) await keepNumber(host, n);
  return me;
}
