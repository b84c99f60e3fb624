import type { Facts, Reason, ReasonCode } from '../reason.ts';
import type { Actor } from './actor.ts';
import type { Profile } from './common.ts';
import type { PolicyInput } from './input.ts';
import type { PolicyResult } from './result.ts';

export type { Actor } from './actor.ts';

export type Verdict = 'allow' | 'deny';
/** How far a request came before its verdict. `answer` is the last look at kill and revocation. */
export type Stage = 'request' | 'proof' | 'gate' | 'policy' | 'log' | 'answer';

/** `base`: the digest of the profile's own policy, which is asked before one behind an adapter; absent for any other. */
export interface BundleRef {
  readonly name: string;
  readonly revision: string;
  readonly sha256: string;
  readonly base?: string;
}

/** A spent nonce: kept until `expires` (seconds), with the record in one commit. */
export interface SpentNonce {
  readonly keyid: string;
  readonly nonce: string;
  readonly created: number;
}

/** What `decide` answers. The record that was kept of it is `DecisionRecord`. */
export interface Decision {
  readonly decision_id: string;
  readonly verdict: Verdict;
  readonly reason: Reason;
  readonly reasons: readonly Reason[];
  readonly stage: Stage;
  readonly actor: Actor | null;
  /** Effects that the policy asked for; null where a hard stop came first. */
  readonly result: PolicyResult | null;
  /** Header names to take off before the upstream, and those to set instead (rewritten Signature fields). */
  readonly strip: readonly string[];
  readonly rewrite: readonly (readonly [string, string])[];
  /** Set when the route is in `mode: observe` and the true verdict is a denial. */
  readonly observed: boolean;
  readonly taintOnResponse: boolean;
  /**
   * For what outlives the answer (streams and tunnels through the firewall): what would deny it by now, or null. Absent
   * on denials, and at other borders.
   */
  readonly stopped?: () => ReasonCode | null;
}

/** Facts of one link, for explain: never the signature. */
export interface LinkFacts {
  readonly type: string;
  readonly id: string;
  readonly issuer: string;
  readonly scope: readonly string[];
  readonly audience: readonly string[];
  readonly issued_at: number;
  readonly not_before: number;
  readonly expires_at: number;
}

export interface AskedFor {
  readonly method: string;
  readonly host: string;
  readonly path: string;
  /** It asked for another protocol (RFC 9110, section 7.8); absent where it did not. A route may refuse that. */
  readonly upgrade?: true;
}

/**
 * One line of the decision log, before the writer adds `seq`, `prev` and `hash` (contracts.md, "Decision record").
 * Members in this order. `failed` is the check that stopped it: its message and facts, for operators.
 */
export interface RecordBody {
  readonly decision_id: string;
  /** Milliseconds since 1970. */
  readonly time: number;
  readonly node: string;
  readonly org: string;
  readonly env: string;
  readonly profile: Profile | null;
  readonly bundle: BundleRef | null;
  readonly route: { readonly id: string; readonly revision: string } | null;
  readonly config_revision: string;
  readonly verdict: Verdict;
  readonly reason: Reason;
  readonly reasons: readonly Reason[];
  readonly stage: Stage;
  readonly observed: boolean;
  /** True on a second record of one decision: a late kill turned its allow into a denial. */
  readonly amends: boolean;
  readonly border: string;
  /** Who asked, by its client certificate or API key; absent where it showed none. */
  readonly enforcement_point?: string;
  /** How many requests this one stands for: they were shed within a second. Absent for one alone. */
  readonly requests?: number;
  /** The legacy token that was presented, or, at the border `exchange`, is issued; absent without one. Seconds. */
  readonly token?: { readonly id: string; readonly issued_at: number; readonly expires_at: number };
  readonly actor: Actor | null;
  readonly request: AskedFor | null;
  readonly failed: { readonly check: Reason; readonly message: string; readonly facts: Facts } | null;
  readonly links: readonly LinkFacts[] | null;
  readonly nonce: SpentNonce | null;
  readonly input: PolicyInput | null;
  readonly result: PolicyResult | null;
  readonly took_us: {
    readonly request: number;
    readonly proof: number;
    readonly gate: number;
    readonly policy: number;
    readonly log: number;
  };
  readonly trace_id: string | null;
}

/** The stored line: `v` and `seq` first, `prev` and `hash` last. */
export interface DecisionRecord extends RecordBody {
  readonly v: 1;
  readonly seq: number;
  /** Records of this node that were lost just before this one (behind-the-answer queue full). Absent when none. */
  readonly lost?: number;
  readonly prev: string;
  readonly hash: string;
}
