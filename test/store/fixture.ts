import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseStoreUrl } from '../../src/config/store-url.ts';
import { type ExportItem, exportItems } from '../../src/decision-log/export.ts';
import type { StoreAddress } from '../../src/schema/config.ts';
import type { NewRecord, Registration, StoreEvent, Tenant } from '../../src/store/model.ts';
import { openPostgres } from '../../src/store/postgres/store.ts';
import { openStore, type Store, type StoreOptions } from '../../src/store/store.ts';
import { needPostgres, type Postgres } from '../support/postgres.ts';

export const TENANT: Tenant = { org: 'acme', env: 'prod' };
export const NOW = 1_790_000_000_000;

/** A folder that is gone, and stores that are closed, when the running test ends. */
export interface Workspace {
  readonly folder: string;
  readonly path: string;
  open(options?: Partial<StoreOptions>): Promise<Store>;
  end(): Promise<void>;
}

export function workspace(): Workspace {
  const folder = mkdtempSync(join(tmpdir(), 'lemma-store-'));
  const path = join(folder, 'data', 'lemma.db');
  const stores: Store[] = [];
  return {
    folder,
    path,
    async open(options = {}) {
      const store = await openStore({ path, clock: () => NOW, ...options });
      stores.push(store);
      return store;
    },
    async end() {
      await Promise.all(stores.map((store) => store.close()));
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

export function addressOf(url: string): StoreAddress {
  const address = parseStoreUrl(url);
  if (typeof address === 'string') throw new Error(address);
  return address;
}

/** The same over a database of its own; `path` is of no use there. */
export function postgresWorkspace(server: Postgres): Workspace {
  const stores: Store[] = [];
  let url: Promise<string> | undefined;
  return {
    folder: '',
    path: '',
    async open({ clock = () => NOW, maxBytes = null } = {}) {
      url ??= server.database();
      const store = await openPostgres({ address: addressOf(await url), node: 'n1', clock, maxBytes });
      stores.push(store);
      return store;
    },
    async end() {
      await Promise.all(stores.map((store) => store.close()));
      if (url !== undefined) await server.drop(await url);
    },
  };
}

/** One suite for each implementation of the store: what it says holds for both. */
export function describeStores(title: string, suite: (workspace: () => Workspace) => void): void {
  describe(`store: ${title}`, () => suite(workspace));
  describe(`store, PostgreSQL: ${title}`, () => {
    let server: Postgres;
    before(async function () {
      server = await needPostgres(this);
    });
    suite(() => postgresWorkspace(server));
  });
}

export const BOT: Registration = {
  runtime_id: 'bot-1',
  agent_id: 'bot',
  workspace_id: 'prod',
  profile: 'high',
  subject: `did:lemma:ppid_${'a'.repeat(64)}`,
  keys: null,
};

type EventOf<T extends StoreEvent['type']> = Extract<StoreEvent, { type: T }>;

export function registered(over: Partial<EventOf<'register'>['payload']> = {}): StoreEvent {
  return { ...TENANT, type: 'register', payload: { ...BOT, ...over }, time: NOW };
}

export function killed(runtime_id = BOT.runtime_id): StoreEvent {
  return { ...TENANT, type: 'kill', payload: { runtime_id }, time: NOW + 1 };
}

export function tainted(taint_epoch: number, runtime_id = BOT.runtime_id): StoreEvent {
  return { ...TENANT, type: 'taint', payload: { runtime_id, taint_epoch }, time: NOW + 2 };
}

export function statusOf(status: 'active' | 'inactive', runtime_id = BOT.runtime_id): StoreEvent {
  return { ...TENANT, type: 'status', payload: { runtime_id, status }, time: NOW + 3 };
}

export function newRecord(decision_id: string, over: Partial<NewRecord> = {}): NewRecord {
  const record = {
    ...TENANT,
    decision_id,
    time: NOW,
    runtime_id: BOT.runtime_id,
    agent_id: BOT.agent_id,
    workspace_id: BOT.workspace_id,
    subject: BOT.subject,
    verdict: 'allow',
    reason: 'allowed',
    route: 'documents.read',
    nonce: null,
    budget: [],
    ...over,
  } as const;
  return { members: `"decision_id":"${decision_id}","node":"n1"`, ...record };
}

/** Commits records with these ids on node `n1`. */
export function commit(store: Store, ...records: NewRecord[]) {
  return store.commitRecords({ node: 'n1', lost: 0, records });
}

export function idsOf(lines: readonly string[]): string[] {
  return lines.map((line) => String((JSON.parse(line) as { decision_id: unknown }).decision_id));
}

/** What an export of the tenant's log gives, after a place that an earlier one gave; null: all of it. */
export async function exported(store: Store, after: string | null = null): Promise<ExportItem[]> {
  const items: ExportItem[] = [];
  for await (const item of exportItems(store, TENANT, {}, after)) items.push(item);
  return items;
}

/** Its lines, in the order of commit. */
export async function linesOf(store: Store): Promise<string[]> {
  return (await exported(store)).flatMap(({ line }) => line ?? []);
}
