import type { Reason } from '../reason.ts';
import type { TRACE_MODES, TracedRule } from './api-explain.ts';
import type { BundleRef, DecisionRecord, LinkFacts } from './decision.ts';
import type { PolicyResult } from './result.ts';

/** How OPA's own evaluator comes to it, with the Rego and data of that revision. */
export interface Trace {
  readonly mode: (typeof TRACE_MODES)[number];
  /** `OPA 1.22.2`; null where nothing was evaluated. */
  readonly evaluator: string | null;
  /** The rule that was asked for, `data.lemma.low.decision`; null where nothing was evaluated. */
  readonly decision: string | null;
  /** As `opa eval --explain` prints them. */
  readonly lines: readonly string[];
  /** What decided first; null in another mode than `rules`, and where there is no trace. */
  readonly rules: readonly TracedRule[] | null;
  /** There were more lines, or rules. */
  readonly cut: boolean;
  /** Whether OPA's result is the recorded one; null where one of them is missing. */
  readonly equal: boolean | null;
  /** `different` also where OPA has no answer at all; null where there is no trace, or no recorded result. */
  readonly traced: 'equal' | 'different' | null;
  /** One sentence, where there is no trace. */
  readonly error: string | null;
}

/** The recorded input, evaluated once more. */
export interface EvaluatedAgain {
  readonly result: PolicyResult | null;
  /** Whether it is the recorded result, byte for byte. */
  readonly equal: boolean;
  readonly error: string | null;
}

/** What the active revision says to the input of then: the policy alone, with no check and no state of today. */
export interface PolicyToday extends EvaluatedAgain {
  /** Null where none is active. */
  readonly bundle: BundleRef | null;
}

/** The rule behind a code, in the Rego of that revision. */
export interface DecidingRule {
  readonly code: Reason;
  readonly file: string;
  readonly line: number;
  readonly rego: string;
}

/** Of the event log, as far as an explanation tells of it. */
export interface ExplainedEvent {
  readonly epoch: number;
  readonly seq: number;
  /** Milliseconds since 1970. */
  readonly time: number;
  readonly type: string;
  /** Null where the event is not about one runtime. */
  readonly runtime_id: string | null;
  readonly payload: Readonly<Record<string, unknown>>;
}

/** Why a decision came out as it did. */
export interface Explanation {
  readonly decision_id: string;
  readonly verdict: DecisionRecord['verdict'];
  readonly reason: Reason;
  readonly stage: DecisionRecord['stage'];
  /** One sentence for a person. */
  readonly summary: string;
  /** The check that stopped it, with its facts; null where the policy decided. */
  readonly failed: DecisionRecord['failed'];
  /** Why the policy denied, rule by rule. Empty where it allowed or was not asked. */
  readonly rules: readonly DecidingRule[];
  /** Null where no policy was asked: a check came before it, or there was no room. */
  readonly evaluated_again: EvaluatedAgain | null;
  /** Null where no policy was asked then. */
  readonly policy_today: PolicyToday | null;
  /** Null where it was not asked for. */
  readonly trace: Trace | null;
  /** Root first; `failed` marks the link that a check named. */
  readonly chain: readonly (LinkFacts & { readonly failed: boolean })[];
  /** The bundle as it was then, with its Rego by file; `rego` is null where this node never had that revision. */
  readonly bundle: (BundleRef & { readonly rego: Readonly<Record<string, string>> | null }) | null;
  /** Kills, revocations, taints and the like around it, with their sequence numbers. */
  readonly events: readonly ExplainedEvent[];
  /** The record that holds. */
  readonly record: DecisionRecord;
  /** Records that it amended: an allow that a late kill turned. */
  readonly amended: readonly DecisionRecord[];
}
