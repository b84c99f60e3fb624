import { hash } from 'node:crypto';
import { canonicalJson } from '../crypto/jcs.ts';
import type { Gate } from '../gate/gate.ts';
import type { LiveRuntime } from '../gate/runtimes.ts';
import type { StoredDocument, Tenant } from '../store/model.ts';
import type { Store } from '../store/store.ts';
import { placeOf, registrationOf } from './registration.ts';

/** How nodes hear of the runtimes that stand in the control plane's own configuration: a snapshot has them, and then events. */
export interface Configured {
  /** Before a snapshot leaves: what it has of the configuration is remembered, once. Rejects where the store cannot. */
  remember(): Promise<void>;
  /** The configuration was read: what differs from what nodes know becomes events. Never rejects, and goes on until it is written. */
  tell(): Promise<void>;
  close(): void;
}

export interface ConfiguredOptions {
  readonly home: Tenant;
  readonly store: Pick<Store, 'appendEvent' | 'putDocument' | 'getDocument'>;
  readonly gate: Pick<Gate, 'runtime'>;
  /** Runtimes that the file registers now. */
  readonly listed: () => readonly LiveRuntime[];
  /** Whether the file registered it once, and does no more. */
  readonly withdrawn: (tenant: Tenant, runtimeId: string) => boolean;
  readonly clock: () => number;
  readonly onError: (error: unknown, doing: string) => void;
}

const DOCUMENT = 'configured_runtimes';
const ID = 'told';
/** Runtimes of one event. */
const AT_ONCE = 100;
const RETRY_MS = 2000;

interface Change {
  readonly tenant: Tenant;
  /** Null: it stands there no more. */
  readonly runtime: LiveRuntime | null;
  readonly id: string;
}

/** Where no node ever took a snapshot, nothing is written: nobody would read it. */
export function createConfigured(options: ConfiguredOptions): Configured {
  const { home, store, gate, listed, withdrawn, clock, onError } = options;
  let last: Promise<unknown> = Promise.resolve();
  let remembered = false;
  let again: NodeJS.Timeout | undefined;
  let closed = false;

  /** One after the other: each starts from what the one before has left. */
  function inTurn<T>(act: () => Promise<T>): Promise<T> {
    const turn = last.then(act);
    last = turn.catch(() => undefined);
    return turn;
  }

  const put = (version: number, told: ReadonlyMap<string, string>) =>
    store.putDocument({
      ...{ ...home, kind: DOCUMENT, id: ID, version, expires_at: null },
      body: Object.fromEntries(told),
    });

  async function write(): Promise<void> {
    const before = await store.getDocument(DOCUMENT, ID);
    if (before === null) return;
    const told = toldIn(before);
    const now = listedNow();
    const changes = changesOf(told, now);
    if (changes.length === 0) return;
    for (const { org, env, runtimes, gone } of batches(changes))
      await store.appendEvent({
        org,
        env,
        type: 'configured',
        payload: { runtimes, withdrawn: gone },
        time: clock(),
      });
    await put(before.version, new Map([...now].map(([place, runtime]) => [place, digestOf(runtime)])));
  }

  function listedNow(): Map<string, LiveRuntime> {
    return new Map(listed().map((runtime) => [placeOf(runtime, runtime.runtime_id), runtime]));
  }

  function changesOf(told: ReadonlyMap<string, string>, now: ReadonlyMap<string, LiveRuntime>): Change[] {
    const changed = [...now]
      .filter(([place, runtime]) => told.get(place) !== digestOf(runtime))
      .map(([, runtime]): Change => ({ tenant: runtime, runtime, id: runtime.runtime_id }));
    const gone = [...told.keys()].flatMap((place): Change[] => {
      const [org = '', env = '', id = ''] = place.split(' ');
      const tenant = { org, env };
      // What the API has registered since is no business of the file's.
      const free = gate.runtime(org, env, id) === null || withdrawn(tenant, id);
      return now.has(place) || !free ? [] : [{ tenant, runtime: null, id }];
    });
    return [...changed, ...gone];
  }

  async function tell(): Promise<void> {
    clearTimeout(again);
    try {
      await inTurn(write);
    } catch (error) {
      onError(error, 'nodes have not heard yet of changed runtimes of the configuration');
      if (!closed) again = setTimeout(() => void tell(), RETRY_MS).unref();
    }
  }

  return {
    remember: () =>
      inTurn(async () => {
        if (remembered) return;
        if ((await store.getDocument(DOCUMENT, ID)) === null)
          await put(0, new Map([...listedNow()].map(([place, runtime]) => [place, digestOf(runtime)])));
        remembered = true;
      }),
    tell,
    close() {
      closed = true;
      clearTimeout(again);
    },
  };
}

function digestOf(runtime: LiveRuntime): string {
  return hash('sha256', canonicalJson(registrationOf(runtime)), 'base64url');
}

function toldIn({ body }: StoredDocument): Map<string, string> {
  return new Map(
    Object.entries(typeof body === 'object' && body !== null ? body : {}).map(([place, digest]) => [
      place,
      String(digest),
    ]),
  );
}

interface Batch extends Tenant {
  readonly runtimes: Omit<LiveRuntime, 'org' | 'env'>[];
  readonly gone: string[];
}

/** An event is one tenant's. */
function batches(changes: readonly Change[]): Batch[] {
  const found: Batch[] = [];
  const open = new Map<string, Batch>();
  for (const { tenant, runtime, id } of changes) {
    const name = `${tenant.org} ${tenant.env}`;
    let batch = open.get(name);
    if (batch === undefined || batch.runtimes.length + batch.gone.length >= AT_ONCE) {
      batch = { org: tenant.org, env: tenant.env, runtimes: [], gone: [] };
      open.set(name, batch);
      found.push(batch);
    }
    if (runtime === null) batch.gone.push(id);
    else batch.runtimes.push(withoutTenant(runtime));
  }
  return found;
}

function withoutTenant({ org: _org, env: _env, ...runtime }: LiveRuntime): Omit<LiveRuntime, 'org' | 'env'> {
  return runtime;
}
