import { setImmediate as turn } from 'node:timers/promises';
import type { Gate } from '../gate/gate.ts';
import type { Revocation, Tenant } from '../store/model.ts';
import type { Enforced, Stops, Why } from './stop.ts';

/** A delegator (`did:lemma:ppid_…`), a delegation by its lemma id, or the key that signs below it. At least one. */
export interface Delegator {
  readonly subject?: string | undefined;
  readonly lemma_id?: string | undefined;
  readonly key?: string | undefined;
}

/** `epoch`, `seq`: the last of its events. `durable`: all of them. */
export type EnforcedBelow = Enforced & {
  /** Runtimes that were registered for the subject, by id. */
  readonly runtimes: readonly string[];
};

/** Kills within one turn of the event loop: some 20 ms. */
const AT_ONCE = 250;

/**
 * Gives the verb that stops everything below a delegator: what is named counts no more in any chain, and each runtime that is
 * registered for the subject is killed. It holds here before its promise is returned; asked again, it changes nothing. A
 * subject stays killed: a runtime that is registered for it later is refused (`revoked`), and so is every chain of its.
 */
export function createKillBelow(
  gate: Pick<Gate, 'runtimes'>,
  stops: Pick<Stops, 'kill' | 'revoke'>,
): (delegator: Delegator, why: Why, tenant: Tenant) => Promise<EnforcedBelow> {
  return async ({ subject, lemma_id, key }, why, tenant) => {
    const targets = [
      ['subject', subject],
      ['lemma', lemma_id],
      ['key', key],
    ] as const satisfies readonly (readonly [Revocation['kind'], string | undefined])[];
    const { org, env } = tenant;
    const revoking = targets.flatMap(([kind, value]) =>
      value === undefined ? [] : [stops.revoke({ kind, value }, why, { org, env })],
    );
    const runtimes = [...gate.runtimes()]
      .filter((runtime) => runtime.org === org && runtime.env === env && runtime.subject === subject)
      .map(({ runtime_id }) => runtime_id)
      .sort();
    const killing: Promise<Enforced>[] = [];
    for (let i = 0; i < runtimes.length; i += AT_ONCE) {
      // What is named counts no more already: nothing passes meanwhile, and others are decided about.
      if (i > 0) await turn();
      killing.push(...runtimes.slice(i, i + AT_ONCE).map((id) => stops.kill(id, why, { org, env })));
    }
    const done = await Promise.all([...revoking, ...killing]);
    return { ...lastOf(done), runtimes };
  };
}

function lastOf(done: readonly Enforced[]): Enforced {
  const failed = done.find(({ durable }) => !durable);
  const last = [...done].sort((a, b) => (a.seq ?? 0) - (b.seq ?? 0)).at(-1);
  if (last === undefined) throw new RangeError('a delegator: a subject, a lemma id or a key');
  // Of what is not in force everywhere yet, that which takes longest.
  const pending = done.filter((one) => !one.enforced).sort((a, b) => a.enforced_by - b.enforced_by);
  return failed ?? pending.at(-1) ?? last;
}
