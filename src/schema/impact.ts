import type { BundleRef } from './decision.ts';

/** What a policy would change about recorded decisions. */

/** Why a decision says nothing about a candidate. */
export const NOT_COMPARABLE = [
  'denied_before_policy',
  'not_evaluated',
  'stopped_after_policy',
  'amendment',
  'withheld',
  'input_withheld',
  'revision_missing',
  'profile_not_in_candidate',
] as const;
export type NotComparable = (typeof NOT_COMPARABLE)[number];

export const CHANGE_KINDS = [
  'newly_allowed',
  'newly_denied',
  'reason_changed',
  'effects_changed',
  'error',
] as const;
export type ChangeKind = (typeof CHANGE_KINDS)[number];

/** What a policy said: its result's verdict and codes; or, where the evaluation failed, its code, which denies. */
export interface Said {
  readonly allow: boolean;
  readonly reason: string;
  readonly reasons: readonly string[];
  /** How the evaluation failed; null where it did not. */
  readonly error: string | null;
}

/** A decision that would come out otherwise. */
export interface Change {
  readonly kind: ChangeKind;
  readonly decision_id: string;
  /** Milliseconds since 1970. */
  readonly time: number;
  readonly org: string;
  readonly env: string;
  readonly profile: string;
  readonly route: string | null;
  readonly runtime: string | null;
  /** The route only observes: nobody was stopped by the verdict. */
  readonly observed: boolean;
  /** Digests of the bundles. */
  readonly was_by: string;
  readonly now_by: string;
  readonly was: Said;
  readonly now: Said;
  /** Members of the result that differ. */
  readonly members: readonly string[];
}

/** Changes with the same route, runtime or rule. */
export interface ImpactGroup {
  /** Null: of none. */
  readonly name: string | null;
  readonly counts: Readonly<Record<ChangeKind, number>>;
  /** Some of them. */
  readonly decision_ids: readonly string[];
}

export interface NotReproduced {
  readonly decision_id: string;
  readonly revision: string;
  readonly why: string;
}

/** What a candidate would change about recorded decisions. */
export interface Impact {
  readonly candidates: readonly BundleRef[];
  readonly records: number;
  /** Whether every decision whose revision is there gave its recorded result first. Nothing is compared where not. */
  readonly reproduced: {
    readonly equal: number;
    readonly not_equal: number;
    /** The first thousand. */
    readonly differing: readonly NotReproduced[];
  };
  readonly counts: Readonly<Record<ChangeKind | 'same' | 'not_comparable', number>>;
  readonly not_comparable: readonly {
    readonly why: NotComparable;
    readonly count: number;
    /** Some of them. */
    readonly decision_ids: readonly string[];
  }[];
  /** The groups with the most changes first. */
  readonly groups: Readonly<Record<'route' | 'runtime' | 'rule', readonly ImpactGroup[]>>;
  readonly changes: readonly Change[];
  /** Changes beyond those that are listed. */
  readonly not_listed: number;
}

/** What a shadow counted since its candidates were named, or the service started. */
export interface ShadowCounts extends Readonly<Record<ChangeKind | 'same' | 'not_comparable', number>> {
  /** That do not give their recorded result with their own bundle: nothing is said of them. */
  readonly not_reproduced: number;
  /** That were passed over, as they came faster than they were evaluated. */
  readonly dropped: number;
}
