import type { Gate } from '../gate/gate.ts';
import type { LiveRuntime } from '../gate/runtimes.ts';
import { InputError, type Problem } from '../reason.ts';
import type { BootstrapBody } from '../schema/api.ts';
import type { RuntimeEntry } from '../schema/config.ts';
import { StoreConflict } from '../store/errors.ts';
import type { RuntimeState, RuntimeStatus, Tenant } from '../store/model.ts';
import type { Store } from '../store/store.ts';
import { notFound, Refusal } from './refusal.ts';
import { placeOf, type Registered, registrationDifference, registrationOf } from './registration.ts';

export interface RegistrarOptions {
  readonly home: Tenant;
  /** Whose chains may act as a runtime that names nobody else. */
  readonly subject: string;
  readonly store: Pick<Store, 'appendEvent'>;
  readonly gate: Gate;
  readonly clock: () => number;
  /** `Snapshot.unregistered`: what became of runtimes that only the file registers. */
  readonly states: readonly RuntimeState[];
}

export interface Registrar {
  /**
   * Refusal: not_found (not this deployment's org and env), conflict, runtime_killed, revoked (the subject was killed). `by` is
   * kept with the event; `admit` is asked once nothing else can refuse, and what it throws refuses too.
   */
  bootstrap(body: BootstrapBody, by?: string, admit?: () => Promise<void>): Promise<LiveRuntime>;
  /** Whether the file registered it once, and does no more. */
  withdrawn(tenant: Tenant, runtimeId: string): boolean;
  /** Those that the file registers now, with their live state. */
  listed(): LiveRuntime[];
  /** Whole or not at all: InputError names every entry that clashes with a runtime registered by API. */
  registerFromFile(entries: readonly RuntimeEntry[]): void;
}

/** Registers runtimes: by API, durably, for ever the same; by file, where the file is the truth and may change them. */
export function createRegistrar(options: RegistrarOptions): Registrar {
  const { home, subject, store, gate, clock } = options;
  const states = new Map(options.states.map((state) => [placeOf(state, state.runtime_id), state]));
  /** Places that the file registers, or once did: then they are withdrawn, which the gate knows as inactive. */
  const fromFile = new Map<string, { readonly withdrawn: boolean; readonly was?: RuntimeStatus }>();

  const known = (tenant: Tenant, id: string) => gate.runtime(tenant.org, tenant.env, id);

  function born(registered: Registered, at: number): LiveRuntime {
    const state = states.get(placeOf(registered, registered.runtime_id));
    return {
      ...registrationOf({ ...registered, status: 'active', registered_at: at, taint_epoch: 0 }),
      org: registered.org,
      env: registered.env,
      status: fromFile.get(placeOf(registered, registered.runtime_id))?.was ?? state?.status ?? 'active',
      registered_at: at,
      taint_epoch: state?.taint_epoch ?? 0,
      ...(state?.revived === undefined ? {} : { revived: state.revived }),
    };
  }

  async function bootstrap(
    body: BootstrapBody,
    by?: string,
    admit?: () => Promise<void>,
  ): Promise<LiveRuntime> {
    const wanted = wantedOf(body, home, subject);
    if (gate.revoked(wanted.org, wanted.env, wanted.subject))
      throw new Refusal(
        'revoked',
        'the subject was killed, and nothing below it comes back: use another subject',
      );
    const place = placeOf(wanted, wanted.runtime_id);
    const before = known(wanted, wanted.runtime_id);
    if (before !== null && fromFile.get(place)?.withdrawn !== true) {
      const runtime = same(before, wanted);
      await admit?.();
      return runtime;
    }
    await admit?.();
    const at = clock();
    const event = await append(wanted, at, by);
    const meanwhile = known(wanted, wanted.runtime_id);
    // The other of two calls at once was first: its time of registration is the one on disk.
    if (meanwhile !== null && meanwhile !== before) return same(meanwhile, wanted);
    gate.putRuntime(born(wanted, at), event);
    fromFile.delete(place);
    return known(wanted, wanted.runtime_id) ?? born(wanted, at);
  }

  async function append(wanted: Registered, time: number, by: string | undefined) {
    const { org, env, ...about } = wanted;
    const payload = { ...about, ...(by === undefined ? {} : { by }) };
    try {
      return await store.appendEvent({ org, env, type: 'register', payload, time });
    } catch (error) {
      if (!(error instanceof StoreConflict)) throw error;
      throw new Refusal(error.code === 'runtime_killed' ? 'runtime_killed' : 'conflict', error.message);
    }
  }

  function registerFromFile(entries: readonly RuntimeEntry[]): void {
    const problems = entries.flatMap((entry, i) => clash(entry, i, entries));
    if (problems.length > 0) throw new InputError(problems);
    const listed = new Set(entries.map((entry) => placeOf(entry, entry.runtime_id)));
    for (const [place] of fromFile) if (!listed.has(place)) withdraw(place);
    for (const entry of entries) put(entry);
  }

  function clash(entry: RuntimeEntry, i: number, entries: readonly RuntimeEntry[]): Problem[] {
    const place = placeOf(entry, entry.runtime_id);
    const first = entries.findIndex((other) => placeOf(other, other.runtime_id) === place);
    if (first < i)
      return [{ field: `runtimes[${i}].runtime_id`, message: `stands in runtimes[${first}] already` }];
    const runtime = known(entry, entry.runtime_id);
    const difference =
      runtime === null || fromFile.has(place) ? null : registrationDifference(runtime, entry);
    if (difference === null) return [];
    const message = `${entry.runtime_id} is registered by API with another one: make them equal, or use another id`;
    return [{ field: `runtimes[${i}].${difference}`, message }];
  }

  function put(entry: RuntimeEntry): void {
    const place = placeOf(entry, entry.runtime_id);
    const runtime = known(entry, entry.runtime_id);
    if (runtime !== null && !fromFile.has(place)) return;
    const fresh = born(entry, runtime?.registered_at ?? clock());
    const before = fromFile.get(place);
    const status = before?.withdrawn === true ? before.was : runtime?.status;
    // The gate keeps a kill and the higher epoch, whatever is put.
    gate.putRuntime({ ...fresh, status: status ?? fresh.status });
    fromFile.set(place, { withdrawn: false });
  }

  function withdraw(place: string): void {
    const [org = '', env = '', id = ''] = place.split(' ');
    const runtime = gate.runtime(org, env, id);
    if (runtime !== null) gate.putRuntime({ ...runtime, status: 'inactive' });
    // Contained before, it is so when it returns.
    const was = fromFile.get(place)?.was ?? runtime?.status;
    fromFile.set(place, { withdrawn: true, ...(was === undefined ? {} : { was }) });
  }

  const withdrawn = (tenant: Tenant, id: string) => fromFile.get(placeOf(tenant, id))?.withdrawn === true;

  function listed(): LiveRuntime[] {
    return [...fromFile].flatMap(([place, { withdrawn: gone }]) => {
      const [org = '', env = '', id = ''] = place.split(' ');
      return gone ? [] : (gate.runtime(org, env, id) ?? []);
    });
  }

  return { bootstrap, withdrawn, listed, registerFromFile };
}

function wantedOf(body: BootstrapBody, home: Tenant, subject: string): Registered {
  const { org = home.org, env = home.env } = body;
  if (org !== home.org || env !== home.env) throw notFound('organisation');
  return {
    org,
    env,
    runtime_id: body.runtime_id,
    agent_id: body.agent_id,
    workspace_id: body.workspace_id,
    profile: body.profile ?? 'low',
    subject: body.subject ?? subject,
    keys: body.keys ?? null,
  };
}

/** The runtime that is there, where it is the one that is wanted. */
function same(runtime: LiveRuntime, wanted: Registered): LiveRuntime {
  if (runtime.status === 'killed') {
    throw new Refusal(
      'runtime_killed',
      `${runtime.runtime_id} was killed: use a new runtime id, or reactivate it first`,
    );
  }
  const difference = registrationDifference(runtime, wanted);
  if (difference === null) return runtime;
  throw new Refusal(
    'conflict',
    `${runtime.runtime_id} is registered already with another ${difference}: use another id`,
  );
}
