import { timingSafeEqual } from 'node:crypto';
import { hmacSha256, randomBytes } from '#runtime';
import { fromBase64url, toBase64url } from '../crypto/base64url.ts';
import type { Tenant } from '../store/model.ts';
import type { Store } from '../store/store.ts';
import { isMoved } from './changing.ts';
import { Refusal } from './refusal.ts';
import { digestOf } from './token.ts';

export interface Challenge {
  readonly challenge: string;
  /** Whole seconds since 1970. */
  readonly expires_at: number;
}

export interface Challenges {
  issue(origin: string): Challenge;
  /** When it expires, in seconds. Refusal: auth_required: not made here for this origin, or expired. */
  check(challenge: string, origin: string): number;
  /** Refusal: auth_required: it was spent, here or at another control plane of this store. */
  spend(challenge: string, expiresAt: number): Promise<void>;
}

export interface ChallengesOptions {
  readonly home: Tenant;
  /** Shared by the control planes of a deployment. */
  readonly secret: Uint8Array;
  readonly store: Pick<Store, 'putDocument'>;
  readonly clock: () => number;
}

const LIFE_S = 120;
const RANDOM = 16;
const MAC = 32;
const LENGTH = RANDOM + 8 + MAC;

/**
 * A challenge carries its expiry and our MAC, so that asking for one writes nothing: a flood of them costs no store. Only
 * one that was answered rightly is written down, and so passes once over all control planes.
 */
export function createChallenges({ home, secret, store, clock }: ChallengesOptions): Challenges {
  const macOf = (origin: string, told: Uint8Array) =>
    hmacSha256(secret, new TextEncoder().encode(`lemma/challenge/v1\n${origin}\n`), told);

  return {
    issue(origin) {
      const expires_at = Math.floor(clock() / 1000) + LIFE_S;
      const told = new Uint8Array(RANDOM + 8);
      told.set(randomBytes(RANDOM));
      new DataView(told.buffer).setBigUint64(RANDOM, BigInt(expires_at));
      return { challenge: toBase64url(Buffer.concat([told, macOf(origin, told)])), expires_at };
    },

    check(challenge, origin) {
      const bytes = fromBase64url(challenge);
      if (bytes?.length !== LENGTH) throw unusable();
      const told = bytes.subarray(0, RANDOM + 8);
      if (!timingSafeEqual(macOf(origin, told), bytes.subarray(RANDOM + 8))) throw unusable();
      const expiresAt = Number(new DataView(told.buffer, told.byteOffset).getBigUint64(RANDOM));
      if (clock() >= expiresAt * 1000) throw unusable();
      return expiresAt;
    },

    async spend(challenge, expiresAt) {
      try {
        const { org, env } = home;
        const id = digestOf(challenge);
        const expires_at = expiresAt * 1000;
        await store.putDocument({ kind: 'challenge', id, org, env, version: 0, expires_at, body: null });
      } catch (error) {
        throw isMoved(error) ? unusable() : error;
      }
    },
  };
}

function unusable(): Refusal {
  return new Refusal(
    'auth_required',
    'the challenge is not of this site, was used, or has expired: ask for another',
  );
}
