import { tightestOf } from '../gate/budget.ts';
import type { Gate } from '../gate/gate.ts';
import type { RecordBody } from '../schema/decision.ts';
import type { AuthzRequest } from '../schema/request.ts';
import { decide, type Pdp } from './decide.ts';

/**
 * What `decide` would say, and record, with nothing of it left behind: no record, no nonce or budget spent, no taint, no trace.
 * A nonce that was spent does not count against it: it is the same request again. The state is that of now.
 *
 * @param at milliseconds: the time that proofs and PoPs are judged at; default: now
 */
export async function rehearse(request: AuthzRequest, pdp: Pdp, at = pdp.clock()): Promise<RecordBody> {
  let kept: RecordBody | null = null;
  const { gate, log, clock } = pdp;
  await decide(request, {
    ...pdp,
    clock: () => at,
    gate: spending(gate, clock),
    log: {
      ...log,
      append(record) {
        kept = record;
        return undefined;
      },
    },
    shared: undefined,
    follow: undefined,
    taint: async () => undefined,
  });
  // It is written inside of a call: TypeScript sees the null alone.
  const record = kept as RecordBody | null;
  if (record === null) throw new Error('a decision without a record');
  return record;
}

/** The gate as it is, with all that it would count only looked at. Its own clock stays: it knows when that goes back. */
function spending(gate: Gate, clock: () => number): Gate {
  return {
    ...gate,
    admit: (chain) => gate.admit(chain, clock()),
    spend: () => undefined,
    reserve(lines) {
      const counted = lines.map(({ org, env, lemmaId, limit }) => ({
        limit,
        used: gate.budgetUsed(org, env, lemmaId) + 1,
      }));
      const tightest = tightestOf(counted);
      return tightest === undefined ? null : { ...tightest, lines: [], release: () => undefined };
    },
  };
}
