import { canonicalJson } from '../../crypto/jcs.ts';
import { isObject } from '../../decision-log/parse-line.ts';
import { printable } from '../../decision-log/record.ts';
import { type Evaluator, evaluateOn, type Outcome } from '../../policy/evaluate.ts';
import { both } from '../../policy/layered.ts';
import { Denial } from '../../reason.ts';
import type { Adapter } from '../../schema/bundle.ts';
import type { Change, ChangeKind, NotComparable, Said } from '../../schema/impact.ts';
import type { PolicyInput } from '../../schema/input.ts';
import type { PolicyResult } from '../../schema/result.ts';
import { type Disclosure, redact } from '../input.ts';
import { failureIn, reproduces, UNREADABLE } from '../recorded.ts';
import type { RecordedDecision } from './line.ts';

export type Judgement =
  | { readonly kind: 'same' | 'reproduced' }
  | { readonly kind: 'not_comparable'; readonly why: NotComparable }
  | { readonly kind: 'differs'; readonly revision: string; readonly why: string }
  | Change;

/** How the input has the CheckRequest's attributes (`opa-envoy.ts`): as an adapter's, under `envoy`, or not at all. */
export type RequestView = Adapter | 'envoy' | null;

/** A policy that evaluates on this thread, and what it is shown of a request. */
export interface Judge extends Disclosure {
  readonly sha256: string;
  readonly view: RequestView;
  readonly evaluator: Evaluator;
  /** The profile's own, asked first where the policy is behind an adapter. */
  readonly base: { readonly sha256: string; readonly evaluator: Evaluator } | null;
}

const SAME: Judgement = { kind: 'same' };
const REPRODUCED: Judgement = { kind: 'reproduced' };
const encoder = new TextEncoder();

/** One recorded input (JSON in UTF-8) by one policy: what it came to, or how it failed. */
export function evaluateRecorded(
  input: Uint8Array,
  { evaluator, base }: Pick<Judge, 'evaluator' | 'base'>,
): Outcome['came'] {
  if (base === null) return evaluatedAlone(input, evaluator);
  const first = evaluatedAlone(input, base.evaluator);
  if (first instanceof Denial || !first.result.allow) return first;
  const second = evaluatedAlone(input, evaluator);
  return second instanceof Denial ? second : both(first, second);
}

function evaluatedAlone(input: Uint8Array, evaluator: Evaluator): Outcome['came'] {
  const { inputBytes } = evaluator.limits;
  if (input.length > inputBytes)
    return new Denial('policy_timeout', `the input has more than ${inputBytes} bytes`);
  return evaluateOn(evaluator, input).came;
}

/** Whether a decision can be evaluated again at all; the bundle that decided it is then not null. */
export function hindrance(recorded: RecordedDecision): NotComparable | null {
  if (recorded.amends) return 'amendment';
  if (recorded.bundle === null || !recorded.hasInput) return 'denied_before_policy';
  return recorded.result === null && failureIn(recorded) === null ? 'not_evaluated' : null;
}

/**
 * What a candidate makes of one decision that has no `hindrance`. Its own bundle must give the recorded result first, byte
 * for byte.
 *
 * @param own the bundle that decided it; null where it is not to be had
 * @param candidate null: none for its profile; undefined: only whether it reproduces
 * @throws Denial `policy_unavailable`: this thread has no memory for an evaluation
 */
export function judge(
  line: string,
  recorded: RecordedDecision,
  own: Judge | null,
  candidate: Judge | null | undefined,
): Judgement {
  const { input: text, result, bundle } = recorded;
  if (candidate === null) return { kind: 'not_comparable', why: 'profile_not_in_candidate' };
  if (own === null || bundle === null) return { kind: 'not_comparable', why: 'revision_missing' };
  const { revision } = bundle;
  if (text === null) return { kind: 'differs', revision, why: UNREADABLE };
  const failure = failureIn(recorded);
  const input = encoder.encode(text.json);
  const again = evaluateRecorded(input, own);
  if (!reproduces(line, text, failure, again))
    return { kind: 'differs', revision, why: `it gives ${described(again)} now` };
  if (candidate === undefined) return REPRODUCED;
  if (recorded.failed !== null && result !== null)
    return { kind: 'not_comparable', why: 'stopped_after_policy' };
  if (candidate.sha256 === own.sha256 && candidate.base?.sha256 === own.base?.sha256) return SAME;
  const shown = asShown(text.json, input, candidate, own);
  if (shown === null) return { kind: 'not_comparable', why: 'input_withheld' };
  const now = evaluateRecorded(shown, candidate);
  if (reproduces(line, text, failure, now)) return SAME;
  const was = saidBy(result, failure);
  const next = now instanceof Denial ? saidBy(null, now.code) : saidBy(now.result, null);
  const members = now instanceof Denial || result === null ? [] : differing(result, now.result);
  const kind = kindOf(was, next, members);
  if (kind === null) return SAME;
  return {
    kind,
    decision_id: recorded.decision_id,
    time: recorded.time,
    org: recorded.org,
    env: recorded.env,
    profile: bundle.name,
    route: recorded.route,
    runtime: recorded.runtime,
    observed: recorded.observed,
    was_by: own.sha256,
    now_by: candidate.sha256,
    was,
    now: next,
    members,
  };
}

function described(came: Outcome['came']): string {
  if (came instanceof Denial) return `${came.code} (${came.message})`;
  return came.result.reason;
}

function saidBy(result: PolicyResult | null, failure: string | null): Said {
  const code = failure ?? 'policy_error';
  if (result === null) return { allow: false, reason: code, reasons: [code], error: code };
  const { allow, reason, reasons } = result;
  return { allow, reason, reasons: [...reasons] as string[], error: null };
}

function kindOf(was: Said, now: Said, members: readonly string[]): ChangeKind | null {
  if (now.error !== null) return now.error === was.error ? null : 'error';
  if (now.allow !== was.allow) return now.allow ? 'newly_allowed' : 'newly_denied';
  if (was.error !== null || members.includes('reason') || members.includes('reasons'))
    return 'reason_changed';
  return members.length === 0 ? null : 'effects_changed';
}

/** Members of two results that are not the same value. */
function differing(was: PolicyResult, now: PolicyResult): string[] {
  const before: Record<string, unknown> = was;
  const after: Record<string, unknown> = now;
  return [...new Set([...Object.keys(before), ...Object.keys(after)])]
    .filter((member) => textOf(before[member]) !== textOf(after[member]))
    .sort();
}

/** Of what has no canonical form (too deep, a number too large): the text that it has. */
function textOf(value: unknown): string | undefined {
  if (value === undefined) return undefined;
  try {
    return canonicalJson(value);
  } catch {
    return JSON.stringify(value);
  }
}

/**
 * The input as the candidate would be shown it. Null where it asks to see what the bundle that decided did not: it may have
 * been there, and was not recorded.
 */
function asShown(json: string, input: Uint8Array, candidate: Judge, own: Judge): Uint8Array | null {
  if (candidate.view !== own.view) return null;
  const names = lowerCase(candidate.headers);
  const before = lowerCase(own.headers);
  const hidden = new Set(candidate.redact);
  const hiddenBefore = new Set(own.redact);
  if ([...names].some((name) => !before.has(name)) || [...hiddenBefore].some((path) => !hidden.has(path)))
    return null;
  if (names.size === before.size && hidden.size === hiddenBefore.size) return input;
  // What it hides stands in the view too, under other names.
  if (own.view !== null) return null;
  const shown: unknown = JSON.parse(json);
  if (!isInput(shown)) return null;
  // Others may stand there: the route lists them, whoever the candidate is.
  for (const name of before) if (!names.has(name)) delete shown.request.headers[name];
  for (const path of hidden) redact(shown, path);
  return encoder.encode(printable(JSON.stringify(shown)));
}

function lowerCase(names: readonly string[]): Set<string> {
  return new Set(names.map((name) => name.toLowerCase()));
}

/** As far as it is looked into here: a file may hold anything. */
function isInput(value: unknown): value is PolicyInput {
  if (!isObject(value) || !isObject(value.request)) return false;
  return isObject(value.request.headers) && isObject(value.request.body);
}
