import { setImmediate as turn } from 'node:timers/promises';
import type { DecisionRecord } from '../schema/decision.ts';
import type { AuthzRequest } from '../schema/request.ts';
import type { Tenant } from '../store/model.ts';
import { sameTenant } from '../store/tenant.ts';
import type { Pdp } from './decide.ts';
import { reconsider } from './reconsider.ts';
import { rehearse } from './rehearse.ts';
import { type Again, outcomeOf } from './replay.ts';

/** A request that was made at some time, milliseconds; null: now. */
export interface Captured {
  readonly request: AuthzRequest;
  readonly at: number | null;
}

/** What would be decided now, about what was there before. Nothing of it is forwarded, spent, counted or recorded. */
export interface Replays {
  /** Of `within` alone. Null where the record is another's. */
  record(record: DecisionRecord, within: Tenant): Promise<Again>;
  request(captured: Captured, within: Tenant): Promise<Again & { readonly route: string | null }>;
}

const ELSEWHERE = 'it is of another org or env';

export function createReplays(pdp: Pdp): Replays {
  return {
    async record(record, within) {
      await turn(); // decisions have theirs between
      if (!sameTenant(record, within)) return { now: null, why: ELSEWHERE };
      return reconsider(record, pdp);
    },
    async request({ request, at }, within) {
      await turn();
      const record = await rehearse(request, pdp, at ?? undefined);
      // What it would be told there is not for others to know.
      if (!sameTenant(record, within)) return { now: null, why: ELSEWHERE, route: null };
      const { failed, route } = record;
      return { now: outcomeOf(record), why: failed?.message ?? null, route: route?.id ?? null };
    },
  };
}
