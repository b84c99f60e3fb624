import type { Shared } from '../feed/shared.ts';
import type { Gate } from '../gate/gate.ts';
import type { LiveRuntime } from '../gate/runtimes.ts';
import type { StoredEvent, Tenant } from '../store/model.ts';
import type { Store } from '../store/store.ts';
import type { Outstanding, OutstandingProofs } from './outstanding.ts';
import { notFound } from './refusal.ts';
import { eventsOf } from './taints.ts';

export interface ShownProof extends Outstanding {
  /** Current: it names the runtime's taint epoch, and neither it nor a link above it was taken back. */
  readonly state: 'current' | 'stale' | 'revoked';
  /** Null: it has no budget. */
  readonly spent: Spent | null;
}

/** What was used of a budget. `by`: whose requests are in it. `used` null: nobody knows, now or for ever. */
export interface Spent {
  readonly used: number | null;
  readonly by: 'all_nodes' | 'this_process';
}

/** Everything that an operator may want to know before an act. */
export interface RuntimeDetail {
  readonly runtime: LiveRuntime;
  /** Its delegator was killed. */
  readonly subject_revoked: boolean;
  readonly tainted_by: readonly StoredEvent[];
  readonly events: readonly StoredEvent[];
  /** Issued here and not ended, the latest first. */
  readonly proofs: readonly ShownProof[];
}

export interface DetailOptions {
  readonly gate: Gate;
  readonly store: Pick<Store, 'eventsAround'>;
  readonly outstanding: OutstandingProofs;
  /** What counts budgets over all nodes; null: each process counts its own. */
  readonly shared: () => Pick<Shared, 'count'> | null;
  readonly clock: () => number;
}

/** Gives the verb that shows one runtime. Refusal: not_found. */
export function createDetail({
  gate,
  store,
  outstanding,
  shared,
  clock,
}: DetailOptions): (tenant: Tenant, runtimeId: string) => Promise<RuntimeDetail> {
  async function spentOf({ org, env }: Tenant, proofs: readonly Outstanding[]): Promise<Map<string, Spent>> {
    const counting = shared();
    const limited = proofs.filter(({ budget }) => hasBudget(budget));
    if (counting === null) {
      const own = (id: string): Spent => ({ used: gate.budgetUsed(org, env, id), by: 'this_process' });
      return new Map(limited.map(({ lemma_id }) => [lemma_id, own(lemma_id)]));
    }
    if (limited.length === 0) return new Map();
    const lines = limited.map(({ lemma_id, issued_at }) => ({ lemmaId: lemma_id, issued: issued_at }));
    const used = await counting.count({ org, env, lines, now: Math.floor(clock() / 1000) });
    return new Map(
      limited.map(({ lemma_id }, i) => [lemma_id, { used: used?.[i] ?? null, by: 'all_nodes' }]),
    );
  }

  return async ({ org, env }, runtimeId) => {
    const tenant = { org, env };
    if (gate.runtime(org, env, runtimeId) === null) throw notFound('runtime');
    const [events, known] = await Promise.all([
      eventsOf(store, tenant, runtimeId),
      outstanding.of(tenant, runtimeId),
    ]);
    const spent = await spentOf(tenant, known);
    const runtime = gate.runtime(org, env, runtimeId);
    if (runtime === null) throw notFound('runtime');
    const stateOf = ({ links, taint_epoch, issued_at }: Outstanding): ShownProof['state'] => {
      const values = links.flatMap(({ id, issuer, key }) => [id, issuer, key]);
      if (values.some((value) => gate.revoked(org, env, value))) return 'revoked';
      const before = issued_at * 1000 < Math.floor((runtime.revived?.at ?? 0) / 1000) * 1000;
      return before || taint_epoch !== runtime.taint_epoch ? 'stale' : 'current';
    };
    return {
      runtime,
      subject_revoked: gate.revoked(org, env, runtime.subject),
      tainted_by: events.filter(({ type }) => type === 'taint' || type === 'reactivate'),
      events,
      proofs: known.map((proof) => ({
        ...proof,
        state: stateOf(proof),
        spent: spent.get(proof.lemma_id) ?? null,
      })),
    };
  };
}

function hasBudget(budget: Outstanding['budget']): boolean {
  return budget !== null && budget !== undefined;
}
