import { keyProblem } from '#runtime';
import { fromBase64url } from '../crypto/base64url.ts';
import { thumbprint } from '../crypto/thumbprint.ts';
import type { Gate } from '../gate/gate.ts';
import type { LiveRuntime } from '../gate/runtimes.ts';
import type { EventPlace, Revocation, StoredEvent, StoreEvent, Tenant } from '../store/model.ts';
import type { Store } from '../store/store.ts';
import { alone, type Spread } from './enforcement.ts';
import { notFound, Refusal } from './refusal.ts';
import { placeOf } from './registration.ts';

/**
 * A stop that holds in this process from now on. `durable`: it also survives a restart, as the event at `epoch`, `seq`;
 * where it is not, asking again tries to write it again. `at` in milliseconds.
 */
export type Enforced = Spread & {
  readonly durable: boolean;
  readonly epoch: number | null;
  readonly seq: number | null;
  readonly at: number;
};

export interface Why {
  /** For people; kept with the event. */
  readonly reason?: string | undefined;
  /** Who asked. */
  readonly by?: string | undefined;
}

export interface StopsOptions {
  readonly home: Tenant;
  readonly store: Pick<Store, 'appendEvent' | 'eventsAround'>;
  readonly gate: Gate;
  /** Waits until other nodes have applied the event, or says when their leases end. Absent: there are none. */
  readonly spread?: ((place: EventPlace) => Promise<Spread>) | undefined;
  /** No node will hear of a stop that is not durable: none is vouched for until `release` names it again. */
  readonly hold?: ((stop: string) => Spread) | undefined;
  readonly release?: ((stop: string) => void) | undefined;
  readonly clock: () => number;
  /** Told why a stop could not be made durable. */
  readonly onError: (error: unknown, doing: string) => void;
}

/** Each holds locally before its promise is even returned. Unknown runtimes are a Refusal, `not_found`. */
export interface Stops {
  /** For ever. A second kill gives the first one's answer, and no new event. */
  kill(runtimeId: string, why?: Why, tenant?: Tenant): Promise<Enforced>;
  /** A lemma's id, or a key: its thumbprint, or the public key itself. */
  revoke(target: Pick<Revocation, 'kind' | 'value'>, why?: Why, tenant?: Tenant): Promise<Enforced>;
  /** Raises the runtime's taint epoch by one: proofs of the epoch before are stale. */
  taint(
    runtimeId: string,
    why: string,
    tenant?: Tenant,
    by?: string,
  ): Promise<Enforced & { readonly taint_epoch: number }>;
  /** Until it is resumed. Refusal `runtime_killed`: that is more. */
  contain(runtimeId: string, why?: Why, tenant?: Tenant): Promise<Enforced>;
  /** How often a kill or containment was asked for here: what gives back undoes none that came meanwhile. */
  stopsAsked(runtimeId: string, tenant: Tenant): number;
  /** It is about to come back: the next kill is a new one. */
  forgetKill(runtimeId: string, tenant: Tenant): void;
}

/** Events around a time that a search for a kill reads at once. */
const PAGE = 500;

/**
 * The verbs that take something away. They take effect in this process first and are then made durable: a disk that
 * stalls or is full must not keep a killed runtime alive.
 */
export function createStops({
  home,
  store,
  gate,
  clock,
  onError,
  spread,
  hold,
  release,
}: StopsOptions): Stops {
  const kills = new Map<string, Promise<Enforced>>();
  const asks = new Map<string, number>();

  function need(tenant: Tenant, id: string): LiveRuntime {
    const runtime = gate.runtime(tenant.org, tenant.env, id);
    if (runtime === null) throw notFound('runtime');
    return runtime;
  }

  async function keep(event: StoreEvent, applied: (place: EventPlace) => void): Promise<Enforced> {
    const at = event.time;
    try {
      const place = await store.appendEvent(event);
      applied(place);
      release?.(nameOf(event));
      return { ...((await spread?.(place)) ?? alone), durable: true, ...place, at };
    } catch (error) {
      onError(error, `${event.type} of ${event.org}/${event.env} holds until a restart only`);
      return { ...(hold?.(nameOf(event)) ?? alone), durable: false, epoch: null, seq: null, at };
    }
  }

  async function killAnew(tenant: Tenant, runtimeId: string, why: Why): Promise<Enforced> {
    const { org, env } = tenant;
    const put = (place?: EventPlace) =>
      gate.putRuntime({ ...need(tenant, runtimeId), status: 'killed' }, place);
    const wasKilled = need(tenant, runtimeId).status === 'killed';
    put();
    const before = wasKilled ? await findKill(tenant, runtimeId) : null;
    if (before !== null) {
      const { epoch, seq, time } = before;
      return { ...((await spread?.(before)) ?? alone), durable: true, epoch, seq, at: time };
    }
    const payload = { runtime_id: runtimeId, ...noted(why) };
    return keep({ org, env, type: 'kill', payload, time: clock() }, put);
  }

  /** The kill of a runtime that nothing undid, in the event log from now backwards; null where none is found. */
  async function findKill(tenant: Tenant, runtimeId: string): Promise<StoredEvent | null> {
    let until = Number.MAX_SAFE_INTEGER;
    try {
      for (;;) {
        const events = await store.eventsAround(tenant, runtimeId, until, PAGE);
        const own = events.filter((event) => event.runtime_id === runtimeId);
        const found = own.findLast(({ type }) => type === 'kill' || type === 'reactivate');
        if (found !== undefined) return found.type === 'kill' ? found : null;
        const oldest = events[0]?.time ?? until;
        if (oldest >= until) return null;
        until = oldest;
      }
    } catch (error) {
      onError(error, `the kill of ${runtimeId} cannot be looked up`);
      return null;
    }
  }

  async function kill(runtimeId: string, why: Why = {}, tenant: Tenant = home): Promise<Enforced> {
    need(tenant, runtimeId);
    const place = asked(tenant, runtimeId);
    const before = kills.get(place);
    if (before !== undefined) return before;
    const killing = killAnew(tenant, runtimeId, why);
    kills.set(place, killing);
    const enforced = await killing;
    if (!enforced.durable || !enforced.enforced) kills.delete(place);
    return enforced;
  }

  async function revoke(target: Pick<Revocation, 'kind' | 'value'>, why: Why = {}, tenant: Tenant = home) {
    const { org, env } = tenant;
    const { kind } = target;
    const time = clock();
    const values = kind === 'key' ? keyForms(target.value) : [target.value];
    for (const value of values) gate.revoke({ org, env, kind, value });
    const kept = await Promise.all(
      values.map((value) =>
        keep({ org, env, type: 'revoke', payload: { kind, value, ...noted(why) }, time }, (place) =>
          gate.revoke({ org, env, kind, value }, place),
        ),
      ),
    );
    return (
      kept.find(({ durable }) => !durable) ?? kept.find((one) => !one.enforced) ?? (kept.at(-1) as Enforced)
    );
  }

  async function taint(runtimeId: string, why: string, tenant: Tenant = home, by?: string) {
    const { org, env } = tenant;
    const taint_epoch = need(tenant, runtimeId).taint_epoch + 1;
    const put = (place?: EventPlace) => gate.putRuntime({ ...need(tenant, runtimeId), taint_epoch }, place);
    put();
    const payload = { runtime_id: runtimeId, taint_epoch, ...noted({ reason: why, by }) };
    return { ...(await keep({ org, env, type: 'taint', payload, time: clock() }, put)), taint_epoch };
  }

  async function contain(runtimeId: string, why: Why = {}, tenant: Tenant = home): Promise<Enforced> {
    const { org, env } = tenant;
    if (need(tenant, runtimeId).status === 'killed')
      throw new Refusal('runtime_killed', `${runtimeId} was killed, which is more`);
    asked(tenant, runtimeId);
    const put = (place?: EventPlace) =>
      gate.putRuntime({ ...need(tenant, runtimeId), status: 'inactive' }, place);
    put();
    const payload = { runtime_id: runtimeId, status: 'inactive', ...noted(why) } as const;
    return keep({ org, env, type: 'status', payload, time: clock() }, put);
  }

  function asked(tenant: Tenant, runtimeId: string): string {
    const place = placeOf(tenant, runtimeId);
    asks.set(place, (asks.get(place) ?? 0) + 1);
    return place;
  }

  const stopsAsked = (runtimeId: string, tenant: Tenant) => asks.get(placeOf(tenant, runtimeId)) ?? 0;
  const forgetKill = (runtimeId: string, tenant: Tenant) => void kills.delete(placeOf(tenant, runtimeId));

  return { kill, revoke, taint, contain, stopsAsked, forgetKill };
}

function nameOf({ org, env, type, payload }: StoreEvent): string {
  const about = 'runtime_id' in payload ? payload.runtime_id : 'value' in payload ? payload.value : null;
  return JSON.stringify([org, env, type, about]);
}

function noted({ reason, by }: Why): { reason?: string; by?: string } {
  return { ...(reason === undefined ? {} : { reason }), ...(by === undefined ? {} : { by }) };
}

/**
 * A thumbprint and a public key look alike. A revocation that missed its key would be silent, so where the value can
 * be a key, the thumbprint of it is revoked too; that one more value is revoked harms nobody.
 */
function keyForms(value: string): string[] {
  const bytes = fromBase64url(value);
  return bytes === null || keyProblem(bytes) !== null ? [value] : [value, thumbprint(bytes)];
}
