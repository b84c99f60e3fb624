import type { Permission, Role } from '../../schema/access.ts';
import type { Profile } from '../../schema/common.ts';
import type { BundleRef } from '../../schema/decision.ts';
import type { Change, Impact, ShadowCounts } from '../../schema/impact.ts';
import type { Route as LoadedRoute } from '../../schema/request.ts';
import type { RevisionTests } from '../../schema/revision-tests.ts';

/** What the REST API answers, as far as pages use it (its schemas are at /openapi.json). Times are RFC 3339 unless said. */

export interface Paged {
  readonly next_cursor: string | null;
}

export interface Both {
  readonly allow: number;
  readonly deny: number;
}

export interface Activity {
  readonly at: string;
  readonly counted_since: string;
  readonly decisions: {
    readonly this_minute: Both;
    readonly last_minute: Both;
    readonly last_hour: Both;
    readonly per_minute: readonly (Both & { readonly minute: string })[];
  };
  readonly top_reasons: readonly { readonly reason: string; readonly count: number }[];
  readonly runtimes_active: number;
}

export interface Alert {
  readonly kind: string;
  readonly severity: 'info' | 'warning' | 'critical';
  readonly since: string;
  readonly message: string;
  readonly facts: Readonly<Record<string, string | number | null>>;
  /** Of the decision feed. */
  readonly query: string;
}

export interface AlertSummary {
  readonly at: string;
  readonly alerts: readonly Alert[];
  readonly revocation_lag: {
    readonly count: number;
    readonly p50_ms: number | null;
    readonly p99_ms: number | null;
    readonly max_ms: number | null;
    readonly target: { readonly p50_ms: number; readonly p99_ms: number };
    readonly met: boolean;
  };
  readonly baseline_minutes: number;
}

export interface Node {
  readonly node: string;
  readonly instance: string;
  readonly duplicate: boolean;
  readonly epoch: number | null;
  readonly seq: number | null;
  readonly lag: number | null;
  readonly lease_age_ms: number | null;
  readonly leased_for_ms: number;
  readonly left: boolean;
  readonly version: string | null;
  readonly bundles: readonly string[] | null;
}

export type Route = Pick<
  LoadedRoute,
  'id' | 'methods' | 'host' | 'path' | 'scope' | 'audience' | 'risk' | 'public' | 'mode'
>;

export interface Runtime {
  readonly org: string;
  readonly env: string;
  readonly runtime_id: string;
  readonly agent_id: string;
  readonly workspace_id: string;
  readonly profile: Profile;
  readonly subject: string;
  readonly status: 'active' | 'inactive' | 'killed';
  readonly registered_at: string;
  readonly taint_epoch: number;
  readonly reactivated_at?: string;
}

export interface ControlEvent {
  readonly epoch: number;
  readonly seq: number;
  readonly type: string;
  readonly at: string;
  readonly action?: string;
  readonly taint_epoch?: number;
  readonly status?: string;
  readonly by?: string;
  readonly reason?: string;
}

export interface ShownProof {
  readonly lemma_id: string;
  readonly kid: string;
  readonly state: 'current' | 'stale' | 'revoked';
  readonly profile: Profile;
  readonly taint_epoch: number;
  readonly scope: readonly string[];
  readonly audience: readonly string[];
  readonly issued_at: string;
  readonly expires_at: string;
  readonly renewable_until: string;
  readonly budget: ProofBudget | null;
  readonly intent: string | null;
  readonly by: string;
}

/** `used` and `remaining` null: nobody knows. */
export interface ProofBudget {
  readonly operations: number;
  readonly used: number | null;
  readonly remaining: number | null;
  readonly counted_by: 'all_nodes' | 'this_process';
}

export interface Delegation {
  readonly type: string;
  readonly id: string;
  readonly scope?: readonly string[];
  readonly expires_at: string;
  readonly below: readonly Delegation[];
}

export interface RuntimeDetail {
  readonly runtime: Runtime;
  readonly subject_revoked: boolean;
  readonly tainted_by: readonly ControlEvent[];
  readonly events: readonly ControlEvent[];
  readonly proofs: readonly ShownProof[];
  readonly delegations: { readonly subject: string; readonly below: readonly Delegation[] };
}

export interface Stopped {
  readonly enforced: boolean;
  readonly durable: boolean;
  readonly epoch: number | null;
  readonly seq: number | null;
  readonly at: string;
  readonly nodes: readonly { readonly node: string; readonly instance: string; readonly lag_ms: number }[];
  readonly enforced_by?: string;
  readonly waiting?: readonly { readonly node: string; readonly instance: string }[];
}

export interface PolicyBundle {
  readonly name: Profile;
  readonly revision: string;
  readonly serial: number;
  readonly sha256: string;
  readonly activated_at: string | null;
  readonly active: boolean;
  /** Who brought it; `author`: as the commit says. Null: not known. */
  readonly published: {
    readonly by: string;
    readonly author: string | null;
    readonly commit: string | null;
    readonly reason: string | null;
    readonly at: string;
  } | null;
  /** Null: not known. */
  readonly tests: TestsSummary | null;
}

/** Who had them run, and when. */
interface TestsRun {
  readonly at: string;
  readonly by: string;
  readonly commit: string | null;
  readonly tests_sha256: string;
}

export type TestsSummary = TestsRun &
  Pick<RevisionTests, 'passed' | 'failed' | 'skipped'> & { readonly coverage: { readonly percent: number } };

/** What the latest run of a revision's tests came to. */
export type PolicyTests = TestsRun & RevisionTests;

/** Of `GET …/policies/<sha256>/tests`. */
export interface TestedPolicy {
  readonly bundle: Pick<PolicyBundle, 'name' | 'revision' | 'serial' | 'sha256'>;
  readonly tests: PolicyTests | null;
  readonly rego: Readonly<Record<string, string>>;
}

export interface PolicyAct {
  readonly act: 'activate' | 'rollback';
  readonly sha256: string;
  readonly revision: string;
  readonly serial: number;
  readonly by: string | null;
  readonly reason: string | null;
  readonly at: string;
}

export interface PolicyHistory {
  readonly bundles: readonly PolicyBundle[];
  readonly acts: Readonly<Record<string, readonly PolicyAct[]>>;
  /** The repository that policies come from; null: they come from none. */
  readonly source: PolicySource | null;
}

/** A commit that was looked at. */
export interface Looked {
  readonly commit: string;
  readonly author: string;
  readonly subject: string;
  readonly at: string;
}

export interface PolicySource {
  readonly source: string;
  readonly accepted: (Looked & { readonly bundles: readonly string[] }) | null;
  /** The branch is at a commit that was rejected: the first of them. */
  readonly behind: boolean;
  readonly failing: { readonly since: string; readonly message: string } | null;
  readonly rejected: readonly (Looked & { readonly code: string; readonly message: string })[];
}

/** A decision that a candidate would have made otherwise. */
export type PolicyChange = Omit<Change, 'time'> & { readonly time: string };

export type ImpactReport = Omit<Impact, 'changes'> & { readonly changes: readonly PolicyChange[] };

export interface ImpactJob {
  readonly sha256: string;
  readonly revision: string;
  readonly state: 'running' | 'done' | 'failed' | 'cancelled';
  readonly by: string;
  readonly started_at: string;
  readonly ended_at: string | null;
  readonly last: number;
  /** Evaluated so far. */
  readonly records: number;
  readonly error: string | null;
  readonly report: ImpactReport | null;
}

export interface PolicyShadow {
  readonly bundles: readonly (BundleRef & { readonly since: string; readonly by: string })[];
  readonly counts: ShadowCounts;
  /** The latest first. */
  readonly changes: readonly PolicyChange[];
}

export interface FileDiff {
  readonly path: string;
  readonly change: 'added' | 'removed' | 'changed';
  readonly lines: readonly string[] | null;
}

export interface PolicyDiff {
  readonly from: string;
  readonly to: string;
  readonly rego: readonly FileDiff[];
  readonly data: readonly FileDiff[];
  readonly capabilities: readonly { readonly member: string; readonly from: unknown; readonly to: unknown }[];
  readonly module_equal: boolean;
}

export interface OperatorItem {
  readonly id: string;
  readonly name: string;
  readonly subject: string;
  readonly keys: readonly string[];
  readonly role: Role;
  readonly platform: boolean;
  readonly permissions: readonly Permission[];
  readonly added_at: string;
  readonly added_by: string;
}

export interface ApiKeyItem {
  readonly id: string;
  readonly kind: 'api_key' | 'device';
  readonly name: string;
  readonly prefix: string;
  readonly operator_id: string;
  readonly permissions: readonly Permission[];
  readonly created_at: string;
  readonly last_used_at: string | null;
  readonly expires_at: string;
}

export interface SessionItem {
  readonly id: string;
  readonly operator_id: string;
  readonly client: { readonly address: string; readonly agent: string };
  readonly created_at: string;
  readonly seen_at: string;
  readonly expires_at: string;
}

export interface AuditEntry {
  readonly id: string;
  readonly who: {
    readonly operator_id: string;
    readonly by: { readonly kind: string; readonly id: string | null };
  };
  readonly what: string;
  readonly target: string | null;
  readonly time: string;
  readonly request_id: string;
  readonly outcome: string;
}
