import { verifyEd25519 } from '#runtime';
import { fromBase64url } from '../crypto/base64url.ts';
import { type KeyChange, keyChangeBytes } from '../proof/key-change.ts';
import { InputError } from '../reason.ts';
import { SITE_KEYS_AT_MOST } from '../schema/api-access.ts';
import type { Challenges } from './challenge.ts';
import { type Operator, OWNER_ID } from './operators.ts';
import { Refusal } from './refusal.ts';
import type { Member, Roster } from './roster.ts';

/** What is asked, without what the site knows by itself. */
export type AskedKeyChange = Pick<KeyChange, 'origin' | 'key' | 'next' | 'ends' | 'challenge'>;

/** By `key`, and by `next`: whoever cannot sign with it would lock himself out, or bring another's key. */
export interface KeyChangeSignatures {
  readonly signature: string;
  readonly next_signature: string;
}

export interface SiteKeys {
  /** The caller's, the one that came last first. */
  of(caller: Operator): Promise<Pick<Member, 'subject' | 'keys'>>;
  /**
   * An operator's own keys, changed by himself: he needs no permission, but a key that he has now, once by each challenge. A session
   * alone is not enough: who stole one would stay. Sessions that an ended key opened end with it.
   *
   * Refusal: auth_required, conflict (the deployment's owner; another's key; too many). InputError: a key that is none.
   */
  change(
    caller: Operator,
    asked: AskedKeyChange,
    signatures: KeyChangeSignatures,
  ): Promise<Pick<Member, 'subject' | 'keys'>>;
}

export function createSiteKeys({
  roster,
  challenges,
}: {
  readonly roster: Pick<Roster, 'find' | 'setOwnKeys'>;
  readonly challenges: Challenges;
}): SiteKeys {
  async function memberOf(caller: Operator): Promise<Member> {
    const member = await roster.find(caller, caller.id);
    if (member !== null) return member;
    throw new Refusal('auth_required', 'you are no operator here any more');
  }

  return {
    async of(caller) {
      const { subject, keys } = await memberOf(caller);
      return { subject, keys };
    },
    async change(caller, asked, { signature, next_signature }) {
      if (caller.id === OWNER_ID)
        throw new Refusal(
          'conflict',
          "the deployment's owner has the key that operator-root.key in its data folder gives, with which it binds runtimes: make an operator with a wallet of his own, and use that",
        );
      const { key, next, ends } = asked;
      if (ends.includes(next))
        throw new InputError([{ field: 'ends', message: 'must not name next: it stays' }]);
      const expires_at = challenges.check(asked.challenge, asked.origin);
      const { subject, keys } = await memberOf(caller);
      const { org, env } = caller;
      const bytes = keyChangeBytes({ ...asked, org, env, subject, expires_at });
      const signed = (by: string, text: string) => verifyEd25519(bytesOf(text), bytes, bytesOf(by));
      if (!keys.includes(key) || !signed(key, signature) || !signed(next, next_signature))
        throw new Refusal(
          'auth_required',
          'both keys must sign this change, and key be one of yours here: org, env, subject, keys or statement differ',
        );
      await challenges.spend(asked.challenge, expires_at);
      const changed = await roster.setOwnKeys(caller, (before) => {
        if (!before.includes(key))
          throw new Refusal('conflict', 'your keys were changed meanwhile: look again');
        const after = [next, ...before.filter((one) => one !== next && !ends.includes(one))];
        if (after.length <= SITE_KEYS_AT_MOST) return after;
        throw new Refusal('conflict', `there are ${SITE_KEYS_AT_MOST} keys: end one of them`);
      });
      return { subject: changed.subject, keys: changed.keys };
    },
  };
}

function bytesOf(text: string): Uint8Array {
  return fromBase64url(text) ?? new Uint8Array();
}
