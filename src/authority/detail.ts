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
  readonly used: number | null;
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

/** Gives the verb that shows one runtime. Refusal: not_found. */
export function createDetail(
  gate: Gate,
  store: Pick<Store, 'eventsAround'>,
  outstanding: OutstandingProofs,
): (tenant: Tenant, runtimeId: string) => Promise<RuntimeDetail> {
  return async ({ org, env }, runtimeId) => {
    const tenant = { org, env };
    if (gate.runtime(org, env, runtimeId) === null) throw notFound('runtime');
    const [events, known] = await Promise.all([
      eventsOf(store, tenant, runtimeId),
      outstanding.of(tenant, runtimeId),
    ]);
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
        used: proof.budget === null ? null : gate.budgetUsed(org, env, proof.lemma_id),
      })),
    };
  };
}
