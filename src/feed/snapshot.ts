import { FeedError, type FeedKeys, type Signed, verifyStatement } from './statement.ts';

/** A runtime with its live state, as the authority knows it at `seq`. */
export interface FedRuntime {
  readonly org: string;
  readonly env: string;
  readonly runtime_id: string;
  readonly agent_id: string;
  readonly workspace_id: string;
  readonly profile: 'low' | 'high' | 'critical';
  readonly subject: string;
  readonly keys: readonly string[] | null;
  readonly status: 'active' | 'inactive' | 'killed';
  readonly registered_at: number;
  readonly taint_epoch: number;
  /** A killed runtime that lives again: what was bound to it before does not. */
  readonly revived?: { readonly taint_epoch: number; readonly at: number };
}

/** Everything that a node needs to decide like the authority: the state at `seq`, from which it follows the events. */
export interface FeedSnapshot {
  readonly v: 1;
  readonly epoch: number;
  readonly seq: number;
  readonly time: number;
  /** Whether a node of this name held a lease within the last day: one without a memory has lost it. */
  readonly known: boolean;
  readonly org: string;
  readonly env: string;
  readonly runtimes: readonly FedRuntime[];
  readonly revocations: readonly {
    readonly org: string;
    readonly env: string;
    readonly kind: 'lemma' | 'key' | 'subject';
    readonly value: string;
  }[];
  /** Public keys (base64url) that roots are believed by, the one that signs now first. */
  readonly keys: readonly { readonly kid: string; readonly x: string }[];
  /** Digests of the active bundles, by profile. */
  readonly bundles: readonly { readonly name: string; readonly sha256: string }[];
  /** Seconds; what was issued until then does not count. Null: the state is no restored one. */
  readonly fenced_at: number | null;
}

/** The signature vouches for the members: only what this authority's own code made is signed. */
export function readSnapshot(value: unknown, keys: FeedKeys): Signed<FeedSnapshot> {
  if (typeof value !== 'object' || value === null || !('keyid' in value) || !('signature' in value))
    throw new FeedError('malformed', 'a snapshot that is none');
  const signed = value as Signed<FeedSnapshot>;
  verifyStatement('snapshot', signed, keys);
  if (signed.v !== 1) throw new FeedError('malformed', `a snapshot of version ${String(signed.v)}`);
  return signed;
}
