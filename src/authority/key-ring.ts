import { publicKeyOf, signEd25519 } from '#runtime';
import { fromBase64url, toBase64url } from '../crypto/base64url.ts';
import { thumbprint } from '../crypto/thumbprint.ts';
import type { CheckpointKeys, LogKey } from '../decision-log/checkpoint.ts';
import type { FeedKey } from '../feed/statement.ts';
import { KEY_USES, type KeyUse } from '../schema/common.ts';
import { StoreConflict } from '../store/errors.ts';
import type { KeyChange, SigningKey, Tenant } from '../store/model.ts';
import type { Store } from '../store/store.ts';
import { endorse, endorsedKeys } from './endorse.ts';
import { handOver } from './handover.ts';
import { draftKey, dropDraft, installDraft, type Keys, keyInFile, leftDraft } from './keys.ts';
import { notFound, Refusal } from './refusal.ts';
import { KeyFileError } from './secret-file.ts';

/** Who asked for a change of keys, and why; kept with the event. */
export interface KeyWhy {
  readonly reason?: string | undefined;
  readonly by?: string | undefined;
}

/**
 * The keys that sign for this deployment, and the public halves of those that did. A rotated key goes on being trusted
 * (`previous`) until it is retired: chains of an earlier issuer key stay valid so long. Checkpoints are verified by every
 * key there ever was: the log is older than any key.
 */
export interface KeyRing {
  /** Signs roots. A seed of Ed25519. */
  issuer(): Uint8Array;
  /** Signs what nodes are told: the authority's own key, which they pin. */
  feedKey(): FeedKey;
  /** Signs checkpoints of the decision log. */
  logKey(): LogKey;
  checkpointKeys(): CheckpointKeys;
  /** Of the key that signs bundles now. */
  bundleSeed(): Uint8Array;
  /** Public keys of a use that count now, the one that signs first. */
  trusted(use: 'authority' | 'bundle'): readonly SigningKey[];
  list(): readonly SigningKey[];
  /** A new key signs from now on. Durable before it signs anything. */
  rotate(use: KeyUse, why?: KeyWhy): Promise<SigningKey>;
  /** Takes the trust from a key that no longer signs. Refusal: not_found, conflict (it still signs). */
  retire(kid: string, why?: KeyWhy): Promise<SigningKey>;
}

export interface KeyRingOptions {
  readonly folder: string;
  readonly keys: Pick<Keys, 'issuer' | 'checkpoint' | 'bundle'>;
  /** What the store knows (`Snapshot.signing_keys`). */
  readonly known: readonly SigningKey[];
  readonly store: Pick<Store, 'appendEvent'>;
  readonly home: Tenant;
  readonly clock: () => number;
  /** What is trusted has changed. */
  readonly onChange: () => void;
  readonly onError: (error: unknown, doing: string) => void;
}

/**
 * Opens the ring: ends a rotation that was broken off, and holds what the store knows against the key files. A key that
 * the one in the file did not endorse does not count: the database alone makes nobody trusted. So it is also where a file
 * was put there by hand, or the store is an older one: nobody here can say any more what became of the keys of before.
 *
 * Throws KeyFileError for a file that holds a retired key.
 */
export async function openKeyRing(options: KeyRingOptions): Promise<KeyRing> {
  const { folder, store, home, clock, onChange, onError } = options;
  const seeds: Record<KeyUse, Uint8Array> = {
    authority: options.keys.issuer,
    checkpoint: options.keys.checkpoint,
    bundle: options.keys.bundle,
  };
  let ring = [...options.known];
  let queue: Promise<unknown> = Promise.resolve();

  const current = (use: KeyUse) => ring.find((key) => key.use === use && key.status === 'current');

  async function change(use: KeyUse, { kid, x, to }: Step, action: string, why: KeyWhy, seed: Uint8Array) {
    const time = clock();
    const others = after(use, { kid, x, to }, time).filter(
      (key) => key.use === use && key.status !== 'current',
    );
    // Nodes that know only the key of before learn from it which one comes after.
    const handover = seeds[use] === seed ? {} : { handover: handOver(use, { kid, x }, seeds[use]) };
    const changed = { use, kid, x, to, endorse: others.map((key) => endorse(key, seed)), ...handover };
    const payload = { change: changed, action, ...why };
    await store.appendEvent({ ...home, type: 'key', payload, time });
    ring = endorsed(after(use, { kid, x, to }, time), changed.endorse);
  }

  /** The ring after a change, as the store makes it (src/store/keys.ts). */
  function after(use: KeyUse, { kid, x, to }: Step, time: number): SigningKey[] {
    const before = ring.find((key) => key.use === use && key.kid === kid);
    const others = ring
      .filter((key) => key !== before)
      .map((key) =>
        to === 'current' && key.use === use && key.status === 'current'
          ? ({ ...key, status: 'previous', until: time } as const)
          : key,
      );
    const until = to === 'retired' ? time : null;
    const since = before?.since ?? time;
    return [...others, { use, kid, x, status: to, since, until, endorsement: null }];
  }

  async function adopt(use: KeyUse): Promise<void> {
    const known = current(use);
    const draft = leftDraft(folder, use);
    if (draft !== null) {
      if (known !== undefined && halfOf(draft).kid === known.kid) {
        installDraft(folder, use);
        seeds[use] = draft;
      } else dropDraft(folder, use);
    }
    const own = halfOf(seeds[use]);
    const believed = endorsedKeys(ring, use, publicKeyOf(seeds[use]));
    const strangers = ring.filter((key) => key.use === use && key.kid !== own.kid && !believed.includes(key));
    if (strangers.length > 0) {
      const kids = strangers.map(({ kid }) => kid).join(', ');
      onError(
        new Error(`the ${use} key in ${folder} says nothing of ${kids}`),
        `${use} keys that only the store names do not count`,
      );
      ring = ring.filter((key) => !strangers.includes(key));
    }
    // The file says what the key is, whatever the store has under its name.
    ring = ring.map((key) => (key.use === use && key.kid === own.kid ? { ...key, x: own.x } : key));
    if (known?.kid !== own.kid) {
      await keep(use, { ...own, to: 'current' }, known === undefined ? 'found' : 'replaced');
    }
  }

  /** A change that the key files have made already: it holds here, also where the store cannot take it. */
  async function keep(use: KeyUse, key: Step, action: string): Promise<void> {
    try {
      await change(use, key, action, {}, seeds[use]);
    } catch (error) {
      if (error instanceof StoreConflict) {
        throw new KeyFileError(
          folder,
          `holds the ${use} key ${key.kid}, which was retired: put the one back that came after it, or move it away to get a new one`,
        );
      }
      ring = after(use, key, clock());
      onError(error, `the store's history of keys does not know yet that ${key.kid} is ${key.to}`);
    }
  }

  async function rotate(use: KeyUse, why: KeyWhy): Promise<SigningKey> {
    const seed = draftKey(folder, use);
    const key = halfOf(seed);
    // From here on a crash leaves a draft that the store knows as the key: `adopt` installs it.
    await change(use, { ...key, to: 'current' }, 'rotated', why, seed);
    seeds[use] = seed;
    try {
      installDraft(folder, use);
    } catch (error) {
      onError(error, `the new ${use} key is in its draft file until the next start`);
    }
    onChange();
    return need(key.kid);
  }

  async function retire(kid: string, why: KeyWhy): Promise<SigningKey> {
    const { use, x, status } = need(kid);
    if (status === 'current')
      throw new Refusal('conflict', `${kid} signs now: rotate the ${use} key first, then retire it`);
    if (status !== 'retired') await change(use, { kid, x, to: 'retired' }, 'retired', why, seeds[use]);
    onChange();
    return need(kid);
  }

  function need(kid: string): SigningKey {
    const found = ring.find((key) => key.kid === kid);
    if (found === undefined) throw notFound('key');
    return found;
  }

  function trusted(use: 'authority' | 'bundle'): SigningKey[] {
    const own = ring.filter((key) => key.use === use && key.status !== 'retired');
    return own.sort((a, b) => Number(b.status === 'current') - Number(a.status === 'current'));
  }

  /** One change at a time: the draft file is one. */
  function inTurn<T>(run: () => Promise<T>): Promise<T> {
    const turn = queue.then(run);
    queue = turn.catch(() => undefined);
    return turn;
  }

  for (const use of KEY_USES) await adopt(use);
  return {
    issuer: () => seeds.authority,
    feedKey() {
      const seed = seeds.authority;
      return { keyid: halfOf(seed).kid, sign: (bytes) => toBase64url(signEd25519(bytes, seed)) };
    },
    logKey() {
      const seed = seeds.checkpoint;
      return { keyid: halfOf(seed).kid, sign: (bytes) => toBase64url(signEd25519(bytes, seed)) };
    },
    checkpointKeys: () => publicKeysOf(ring, 'checkpoint'),
    bundleSeed: () => seeds.bundle,
    trusted,
    list: () => [...ring].sort(byUse),
    rotate: (use, why = {}) => inTurn(() => rotate(use, why)),
    retire: (kid, why = {}) => inTurn(() => retire(kid, why)),
  };
}

type Step = Pick<KeyChange, 'kid' | 'x' | 'to'>;

function endorsed(keys: readonly SigningKey[], by: NonNullable<KeyChange['endorse']>): SigningKey[] {
  const said = new Map(by.map(({ kid, signature }) => [kid, signature]));
  return keys.map((key) => ({ ...key, endorsement: said.get(key.kid) ?? key.endorsement }));
}

/** Keys that checkpoints are checked with, and whether it is the key of the folder that says so. */
export interface KnownKeys {
  readonly keys: CheckpointKeys;
  /** False: the folder has no key, and the database itself names them. */
  readonly endorsed: boolean;
}

/** What a folder at rest knows of its checkpoint keys, given what its database names. Throws KeyFileError. */
export function knownCheckpointKeys(folder: string, named: readonly SigningKey[]): KnownKeys {
  const current = named.find(({ use, status }) => use === 'checkpoint' && status === 'current');
  // A rotation that was broken off has left its key in the draft.
  const seeds = [leftDraft(folder, 'checkpoint'), keyInFile(folder, 'checkpoint')].filter(
    (seed) => seed !== null,
  );
  const seed = seeds.find((one) => halfOf(one).kid === current?.kid) ?? seeds.at(-1);
  if (seed === undefined) return { keys: publicKeysOf(named, 'checkpoint'), endorsed: false };
  const own = publicKeyOf(seed);
  const keys = publicKeysOf(endorsedKeys(named, 'checkpoint', own), 'checkpoint');
  return { keys: new Map([...keys, [thumbprint(own), own]]), endorsed: true };
}

/** Public keys of one use by their thumbprints, retired ones included. */
export function publicKeysOf(
  keys: readonly Pick<SigningKey, 'use' | 'kid' | 'x'>[],
  use: KeyUse,
): CheckpointKeys {
  const found = new Map<string, Uint8Array>();
  for (const key of keys) {
    const bytes = key.use === use ? fromBase64url(key.x) : null;
    if (bytes !== null) found.set(key.kid, bytes);
  }
  return found;
}

/** As the store lists them. */
function byUse(a: SigningKey, b: SigningKey): number {
  if (a.use !== b.use) return a.use < b.use ? -1 : 1;
  return a.since - b.since || (a.kid < b.kid ? -1 : 1);
}

function halfOf(seed: Uint8Array): { kid: string; x: string } {
  const key = publicKeyOf(seed);
  return { kid: thumbprint(key), x: toBase64url(key) };
}
