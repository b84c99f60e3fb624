import type { FeedSnapshot } from '../feed/snapshot.ts';
import type { Gate } from '../gate/gate.ts';
import type { PolicyRegistry } from '../policy/registry.ts';
import type { EventPlace, Tenant } from '../store/model.ts';
import type { KeyRing } from './key-ring.ts';

export interface FeedSnapshotSources {
  readonly home: Tenant;
  readonly gate: Pick<Gate, 'runtimes' | 'revocations' | 'fencedAt'>;
  readonly ring: Pick<KeyRing, 'trusted'>;
  readonly policies: Pick<PolicyRegistry, 'marks'>;
  readonly known: boolean;
  readonly position: EventPlace;
  readonly clock: () => number;
}

/** What the gate holds may be ahead of `position`: a stop holds here before it is durable, and harms no node early. */
export function feedSnapshot({
  home,
  gate,
  ring,
  policies,
  known,
  position: { epoch, seq },
  clock,
}: FeedSnapshotSources): FeedSnapshot {
  return {
    v: 1,
    epoch,
    seq,
    time: clock(),
    known,
    org: home.org,
    env: home.env,
    runtimes: [...gate.runtimes()],
    revocations: [...gate.revocations()],
    keys: ring.trusted('authority').map(({ kid, x }) => ({ kid, x })),
    bundles: [...policies.marks()].map(([name, { sha256 }]) => ({ name, sha256 })),
    fenced_at: gate.fencedAt,
  };
}
