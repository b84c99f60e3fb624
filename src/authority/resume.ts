import type { Gate } from '../gate/gate.ts';
import type { LiveRuntime } from '../gate/runtimes.ts';
import { StoreConflict } from '../store/errors.ts';
import type { Tenant } from '../store/model.ts';
import type { Store } from '../store/store.ts';
import { notFound, Refusal } from './refusal.ts';
import type { Stops, Why } from './stop.ts';

/** Verbs that give something back: durable first, then in force. Refusal: not_found, and as each says. */
export interface Resumes {
  /** Ends a containment. Active already: nothing changes. runtime_killed, conflict (the file has it no more). */
  resume(runtimeId: string, why: Why, tenant: Tenant): Promise<LiveRuntime>;
  /**
   * A killed runtime is known again, under the next taint epoch; nothing that was bound to it before ever passes. Needs the
   * epoch that was looked at: moved. conflict (it is not killed), revoked (its subject was killed).
   */
  reactivate(runtimeId: string, epoch: number, why: Why, tenant: Tenant): Promise<LiveRuntime>;
}

export function createResumes({
  store,
  gate,
  clock,
  withdrawn,
  stops,
}: {
  readonly store: Pick<Store, 'appendEvent'>;
  readonly gate: Gate;
  readonly clock: () => number;
  /** Whether the configuration registered it once, and does no more. */
  readonly withdrawn: (tenant: Tenant, runtimeId: string) => boolean;
  readonly stops: Pick<Stops, 'stopsAsked' | 'forgetKill'>;
}): Resumes {
  function need({ org, env }: Tenant, id: string): LiveRuntime {
    const runtime = gate.runtime(org, env, id);
    if (runtime === null) throw notFound('runtime');
    return runtime;
  }

  async function resume(id: string, why: Why, { org, env }: Tenant): Promise<LiveRuntime> {
    const tenant = { org, env };
    const runtime = need(tenant, id);
    if (runtime.status === 'killed') throw killed(id);
    if (withdrawn(tenant, id)) throw gone(id);
    if (runtime.status === 'active') return runtime;
    const asked = stops.stopsAsked(id, tenant);
    const payload = { runtime_id: id, status: 'active', ...why } as const;
    const place = await store
      .appendEvent({ org, env, type: 'status', payload, time: clock() })
      .catch((error: unknown) => {
        throw error instanceof StoreConflict ? killed(id) : error;
      });
    // A stop that was asked for while it was written holds.
    if (stops.stopsAsked(id, tenant) !== asked) throw stoppedAgain(id);
    gate.putRuntime({ ...need(tenant, id), status: 'active' }, place);
    return need(tenant, id);
  }

  async function reactivate(id: string, epoch: number, why: Why, { org, env }: Tenant): Promise<LiveRuntime> {
    const tenant = { org, env };
    const runtime = need(tenant, id);
    if (withdrawn(tenant, id)) throw gone(id);
    if (runtime.status !== 'killed')
      throw new Refusal('conflict', `${id} is not killed: issue a proof for it`);
    if (runtime.taint_epoch !== epoch)
      throw new Refusal('moved', `the taint epoch is ${runtime.taint_epoch}, not ${epoch}: look again`);
    if (gate.revoked(org, env, runtime.subject))
      throw new Refusal('revoked', `the subject of ${id} was killed: nothing below it comes back`);
    const at = clock();
    const taint_epoch = epoch + 1;
    const asked = stops.stopsAsked(id, tenant);
    stops.forgetKill(id, tenant);
    const payload = { runtime_id: id, taint_epoch, ...why };
    const place = await store
      .appendEvent({ org, env, type: 'reactivate', payload, time: at })
      .catch((error: unknown) => {
        if (!(error instanceof StoreConflict)) throw error;
        throw new Refusal('conflict', `${id} is not durably killed, or came back already: look again`);
      });
    const again = stops.stopsAsked(id, tenant) !== asked;
    const status = again ? 'killed' : 'active';
    gate.putRuntime({ ...need(tenant, id), status, taint_epoch, revived: { taint_epoch, at } }, place);
    if (again) throw stoppedAgain(id);
    return need(tenant, id);
  }

  return { resume, reactivate };
}

function gone(id: string): Refusal {
  return new Refusal('conflict', `${id} stands in the configuration no more: put it back there`);
}

function stoppedAgain(id: string): Refusal {
  return new Refusal('conflict', `${id} was stopped again meanwhile: look at it again`);
}

function killed(id: string): Refusal {
  return new Refusal('runtime_killed', `${id} was killed: see \`reactivate\``);
}
