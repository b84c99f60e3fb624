import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { publicKeyOf, randomBytes } from '#runtime';
import { type Authority, createAuthority } from '../../src/authority/authority.ts';
import { type Keys, loadKeys, publicJwk } from '../../src/authority/keys.ts';
import { toBase64url } from '../../src/crypto/base64url.ts';
import { createGate, type Gate } from '../../src/gate/gate.ts';
import { createTrust, type TrustSet } from '../../src/proof/trust.ts';
import type { Route } from '../../src/schema/request.ts';
import { openStore, type Store } from '../../src/store/store.ts';
import { route } from '../support/route.ts';

export const HOME = { org: 'acme', env: 'prod' } as const;
export const NOW = 1_790_000_000_000;

export const RUNTIME = { runtime_id: 'bot-1', agent_id: 'bot', workspace_id: 'main' } as const;

/** A new Ed25519 public key, base64url. */
export function newKey(): string {
  return toBase64url(publicKeyOf(randomBytes(32)));
}

export function tempFolder(): { path: string; remove(): void } {
  const path = mkdtempSync(join(tmpdir(), 'lemma-'));
  return { path, remove: () => rmSync(path, { recursive: true, force: true }) };
}

/** A real authority over a real store in a folder of its own. */
export interface World {
  readonly folder: string;
  readonly authority: Authority;
  readonly store: Store;
  readonly gate: Gate;
  readonly keys: Keys;
  readonly trust: TrustSet;
  readonly errors: unknown[];
  now: number;
  routes: readonly Route[];
  /** The same folder in a new process, as far as memory goes. */
  restart(): Promise<World>;
  close(): Promise<void>;
}

/** `clock`: what the store's documents expire by. */
export async function openWorld(clock: () => number = () => NOW): Promise<World> {
  const folder = tempFolder();
  return worldIn(folder.path, folder.remove, clock);
}

async function worldIn(path: string, remove: () => void, clock: () => number): Promise<World> {
  const keys = loadKeys(path);
  const store = await openStore({ path: join(path, 'lemma.db'), clock });
  const gate = createGate();
  const snapshot = await store.load();
  const errors: unknown[] = [];
  gate.load({
    runtimes: snapshot.runtimes,
    revocations: snapshot.revocations,
    nonces: snapshot.nonces,
    budgets: snapshot.budgets,
    position: snapshot.last,
    memoryLostAt: null,
    latestRecord: 0,
  });
  const authority = createAuthority({
    home: HOME,
    host: 'localhost',
    keys,
    issuer: () => keys.issuer,
    store,
    gate,
    clock: () => world.now,
    routes: () => world.routes,
    states: snapshot.unregistered,
    onError: (error) => errors.push(error),
  });
  const world: World = {
    folder: path,
    authority,
    store,
    gate,
    keys,
    trust: createTrust([{ ...HOME, keys: [publicJwk(keys.issuer)] }]),
    errors,
    now: NOW,
    routes: [route()],
    restart: async () => {
      await store.close();
      return worldIn(path, remove, clock);
    },
    close: async () => {
      await store.close();
      remove();
    },
  };
  return world;
}
