import { hmacSha256, randomBytes } from '#runtime';
import { toBase64url } from '../crypto/base64url.ts';
import { InputError } from '../reason.ts';
import type { Permission } from '../schema/access.ts';
import type { StoredDocument, Tenant } from '../store/model.ts';
import type { Store } from '../store/store.ts';
import { type ApiKeys, type NewKey, requireHeld } from './api-keys.ts';
import { isMoved, retrying } from './changing.ts';
import { type Operator, tenantOf } from './operators.ts';
import { notFound, Refusal } from './refusal.ts';
import { operatorOf, type Roster } from './roster.ts';
import { digestOf, sameText, TOKEN_LENGTH, type Tokens } from './token.ts';

/** The program that asks: what it calls itself, and the address that it asked from. */
export interface DeviceClient {
  readonly name: string;
  readonly address: string;
}

interface Approval extends Tenant {
  readonly id: string;
  readonly permissions: readonly Permission[];
  readonly life_ms: number;
}

interface Kept {
  readonly client: DeviceClient;
  /** Empty: it leaves that to whoever approves. */
  readonly asked: readonly Permission[];
  /** Digest of the device code's secret half. */
  readonly secret: string;
  readonly state: 'pending' | 'denied' | Approval;
}

/** Durations in seconds. */
export interface DeviceCodes {
  readonly device_code: string;
  readonly user_code: string;
  readonly expires_in: number;
  readonly interval: number;
}

/** What the operator is shown before he says yes. `expires_at` in milliseconds. */
export interface DeviceRequest extends Pick<Kept, 'client' | 'asked'> {
  readonly expires_at: number;
}

export interface Granted extends NewKey {
  readonly operator: Operator;
}

/** RFC 8628: a program gets a bearer of its own after a signed-in operator has compared a code and said yes. */
export interface Devices {
  start(client: DeviceClient, asked: readonly Permission[]): Promise<DeviceCodes>;
  /** Refusal: authorization_pending, slow_down, access_denied, expired_token, invalid_grant (another client's). */
  poll(deviceCode: string, clientName: string): Promise<Granted>;
  /** Refusal: not_found. */
  show(userCode: string): Promise<DeviceRequest>;
  /**
   * `permissions`: some of what was asked for; default: all of it. InputError where nobody says any. Refusal: not_found,
   * forbidden (the operator lacks one of them, or the program did not ask for it).
   */
  approve(
    operator: Operator,
    userCode: string,
    terms: { readonly permissions?: readonly Permission[] | undefined; readonly life_ms: number },
  ): Promise<Approval>;
  /** Refusal: not_found. */
  deny(userCode: string): Promise<void>;
}

export interface DevicesOptions {
  readonly home: Tenant;
  /** Shared by the control planes of a deployment. */
  readonly secret: Uint8Array;
  readonly store: Pick<Store, 'getDocument' | 'putDocument' | 'removeDocument'>;
  readonly apiKeys: Pick<ApiKeys, 'mint'>;
  readonly roster: Roster;
  readonly tokens: Tokens;
  readonly clock: () => number;
}

const KIND = 'device';
const LIFE_MS = 600_000;
const INTERVAL_S = 5;
/** RFC 8628, section 3.5: added for good each time. */
const SLOWER_S = 5;
/** A poll that the network hurried on is no early one. */
const LEEWAY_MS = 500;
const POLLED_AT_MOST = 10_000;

/** RFC 8628, section 6.1: no vowels, so no words. */
const BASE20 = 'BCDFGHJKLMNPQRSTVWXZ';
const USER_CODE = 8;
const DEVICE_CODE = new RegExp(`^lm_dc_([A-Za-z0-9_-]{43})([A-Za-z0-9_-]{${TOKEN_LENGTH}})$`);

export function createDevices(options: DevicesOptions): Devices {
  const { home, secret, store, apiKeys, roster, tokens, clock } = options;
  const polled = new Map<string, { readonly at: number; readonly interval: number }>();

  /** A code of 34 bits could be found from its plain digest. */
  function idOf(userCode: string): string {
    return toBase64url(hmacSha256(secret, new TextEncoder().encode(`lemma/device/v1\n${userCode}`)));
  }

  async function pending(
    userCode: string,
  ): Promise<{ readonly document: StoredDocument; readonly kept: Kept }> {
    const document = await store.getDocument(KIND, idOf(normalCode(userCode)));
    const kept = document?.body as Kept | undefined;
    if (document === null || kept?.state !== 'pending') throw notFound('code: it may have expired');
    return { document, kept };
  }

  function requirePatience(id: string): void {
    const now = clock();
    const before = polled.get(id);
    const interval = before?.interval ?? INTERVAL_S;
    const early = before !== undefined && now - before.at < interval * 1000 - LEEWAY_MS;
    polled.delete(id);
    polled.set(id, { at: now, interval: early ? interval + SLOWER_S : interval });
    const [oldest] = polled.keys();
    if (polled.size > POLLED_AT_MOST && oldest !== undefined) polled.delete(oldest);
    if (early) throw new Refusal('slow_down', `ask every ${interval + SLOWER_S} seconds`);
  }

  /** One of those who ask at once gets it. */
  async function take(document: StoredDocument): Promise<void> {
    polled.delete(document.id);
    try {
      await store.removeDocument(document);
    } catch (error) {
      throw isMoved(error) ? gone() : error;
    }
  }

  return {
    start: (client, asked) =>
      retrying(async () => {
        const user_code = newUserCode();
        const half = tokens.make('');
        const id = idOf(user_code);
        const body: Kept = { client, asked, secret: digestOf(half), state: 'pending' };
        const expires_at = clock() + LIFE_MS;
        await store.putDocument({ kind: KIND, id, ...home, version: 0, expires_at, body });
        return {
          device_code: `lm_dc_${id}${half}`,
          user_code: shownCode(user_code),
          expires_in: LIFE_MS / 1000,
          interval: INTERVAL_S,
        };
      }),

    async poll(deviceCode, clientName) {
      const [, id = '', half = ''] = DEVICE_CODE.exec(deviceCode) ?? [];
      const document = tokens.genuine(half) ? await store.getDocument(KIND, id) : null;
      const kept = document?.body as Kept | undefined;
      if (document === null || kept === undefined || !sameText(kept.secret, digestOf(half))) throw gone();
      if (kept.client.name !== clientName)
        throw new Refusal('invalid_grant', 'client_id: the code was given to another client');
      requirePatience(id);
      const { state } = kept;
      if (state === 'pending') throw new Refusal('authorization_pending', 'nobody has approved it yet');
      await take(document);
      if (state === 'denied') throw new Refusal('access_denied', 'the operator said no');
      const member = await roster.find(state, state.id);
      if (member === null) throw new Refusal('access_denied', 'the operator who said yes is no longer one');
      const { permissions, life_ms } = state;
      const made = await apiKeys.mint(state, { kind: 'device', name: clientName, permissions, life_ms });
      const by = { kind: 'device', id: made.key.id } as const;
      return { ...made, operator: operatorOf(member, tenantOf(state), by, permissions) };
    },

    async show(userCode) {
      const { document, kept } = await pending(userCode);
      return { client: kept.client, asked: kept.asked, expires_at: document.expires_at ?? 0 };
    },

    approve: (operator, userCode, { permissions, life_ms }) =>
      retrying(async () => {
        const { document, kept } = await pending(userCode);
        const granted = permissions ?? kept.asked;
        if (granted.length === 0)
          throw new InputError([
            { field: 'permissions', message: 'the program asked for none: name those that it gets' },
          ]);
        const unasked = granted.filter((one) => kept.asked.length > 0 && !kept.asked.includes(one));
        if (unasked.length > 0)
          throw new Refusal('forbidden', `permissions: the program did not ask for ${unasked.join(', ')}`);
        requireHeld(operator, granted);
        const approval: Approval = { id: operator.id, ...tenantOf(operator), permissions: granted, life_ms };
        await store.putDocument({ ...document, body: { ...kept, state: approval } });
        return approval;
      }),

    deny: (userCode) =>
      retrying(async () => {
        const { document, kept } = await pending(userCode);
        await store.putDocument({ ...document, body: { ...kept, state: 'denied' } });
      }),
  };
}

/** As a person may type it: in small letters, with or without the dash. */
function normalCode(text: string): string {
  return text.toUpperCase().replaceAll(/[^A-Z]/g, '');
}

function shownCode(code: string): string {
  return `${code.slice(0, USER_CODE / 2)}-${code.slice(USER_CODE / 2)}`;
}

/** Each of the 20^8 alike: a byte over the last whole round is thrown again. */
function newUserCode(): string {
  let code = '';
  while (code.length < USER_CODE) {
    for (const byte of randomBytes(USER_CODE)) {
      if (byte < 240 && code.length < USER_CODE) code += BASE20[byte % BASE20.length];
    }
  }
  return code;
}

/** One answer for all: who guesses learns nothing. */
function gone(): Refusal {
  return new Refusal('expired_token', 'this device code has expired, was used, or never was: begin again');
}
