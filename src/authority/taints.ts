import type { StoredEvent, Tenant } from '../store/model.ts';
import type { Store } from '../store/store.ts';

/** Events of a runtime that are shown at once. */
const SHOWN = 100;

/** The latest events about one runtime, oldest first; not those of its whole organisation. */
export async function eventsOf(
  store: Pick<Store, 'eventsAround'>,
  tenant: Tenant,
  runtimeId: string,
): Promise<StoredEvent[]> {
  const events = await store.eventsAround(tenant, runtimeId, Number.MAX_SAFE_INTEGER, SHOWN);
  return events.filter(({ runtime_id }) => runtime_id === runtimeId);
}

/** What raised its taint epoch lately. */
export async function taintsOf(
  store: Pick<Store, 'eventsAround'>,
  tenant: Tenant,
  runtimeId: string,
): Promise<StoredEvent[]> {
  return (await eventsOf(store, tenant, runtimeId)).filter(
    ({ type }) => type === 'taint' || type === 'reactivate',
  );
}
