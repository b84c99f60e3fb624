import { isObject, jsonOf } from '../../decision-log/parse-line.ts';
import type { BundleRef, DecisionRecord } from '../../schema/decision.ts';
import { type InputText, inputIn } from '../recorded.ts';

/** What a policy's impact is told by, of a stored line. */
export interface RecordedDecision
  extends Pick<DecisionRecord, 'decision_id' | 'time' | 'org' | 'env' | 'observed' | 'amends' | 'result'> {
  /** Null: no policy was asked, or the text cannot be found again. */
  readonly input: InputText | null;
  readonly hasInput: boolean;
  readonly profile: string | null;
  readonly bundle: BundleRef | null;
  readonly route: string | null;
  readonly runtime: string | null;
  /** The check that stopped it. */
  readonly failed: DecisionRecord['failed'];
}

/** Lines of an export beside the records: what proves it, and where it goes on. */
const STATEMENT = /^\{"(?:checkpoint|pruned|end|next_cursor)":/;
const WITHHELD = /^\{"withheld":/;
/** No text in a record holds a quote that is not escaped, and members before the input have no object of that name. */
const BEFORE_INPUT = ',"input":{';
const AFTER_INPUT = ',"result":';
const ID = /^[A-Za-z0-9_-]{1,64}$/;
const DIGEST = /^[0-9a-f]{64}$/;

/**
 * A line of the decision log or of an export. It may come from anybody's file: only what has the shape of a record is one.
 * Null: none of these.
 */
export function readLine(line: string): RecordedDecision | 'statement' | 'withheld' | null {
  if (line === '' || STATEMENT.test(line)) return 'statement';
  if (WITHHELD.test(line)) return 'withheld';
  const cut = inputCut(line);
  const value = jsonOf(cut === null ? line : cut.rest);
  if (!isObject(value) || value.v !== 1) return null;
  if (cut !== null && value.input !== null) return null;
  const { decision_id, time, profile, result, bundle, failed } = value;
  const input = cut === null && isObject(value.input) ? inputIn(line, value.input) : (cut?.input ?? null);
  if (typeof decision_id !== 'string' || !ID.test(decision_id) || typeof time !== 'number') return null;
  if (!isNullOr(result, isResult)) return null;
  if (!isNullOr(bundle, isBundleRef) || !isNullOr(failed, isFailed)) return null;
  if (!isNullOr(profile, isText)) return null;
  return {
    decision_id,
    time,
    org: textIn(value, 'org') ?? '',
    env: textIn(value, 'env') ?? '',
    observed: value.observed === true,
    amends: value.amends === true,
    input,
    hasInput: cut !== null || isObject(value.input),
    result,
    profile,
    bundle,
    route: textIn(value.route, 'id'),
    runtime: textIn(value.actor, 'runtime_id'),
    failed,
  };
}

/**
 * The input's text, and the line without it: parsing it, and writing it again, is most of what a line costs. Null where it
 * is not plain where it ends: another member is named like the one that follows it.
 */
function inputCut(line: string): { readonly input: InputText; readonly rest: string } | null {
  const at = line.indexOf(BEFORE_INPUT);
  if (at === -1) return null;
  const from = at + BEFORE_INPUT.length - 1;
  const end = line.indexOf(AFTER_INPUT, from);
  if (end === -1 || line.indexOf(AFTER_INPUT, end + 1) !== -1) return null;
  const input = { json: line.slice(from, end), end };
  return { input, rest: `${line.slice(0, from)}null${line.slice(end)}` };
}

function isResult(value: unknown): value is NonNullable<DecisionRecord['result']> {
  return (
    isObject(value) &&
    typeof value.allow === 'boolean' &&
    isText(value.reason) &&
    Array.isArray(value.reasons) &&
    value.reasons.every(isText)
  );
}

function isBundleRef(value: unknown): value is BundleRef {
  if (!isObject(value) || !isText(value.name) || !isText(value.revision)) return false;
  const digests = value.base === undefined ? [value.sha256] : [value.sha256, value.base];
  return digests.every((digest) => isText(digest) && DIGEST.test(digest));
}

function isFailed(value: unknown): value is NonNullable<DecisionRecord['failed']> {
  return isObject(value) && isText(value.check) && isText(value.message);
}

function isNullOr<T>(value: unknown, is: (value: unknown) => value is T): value is T | null {
  return value === null || is(value);
}

function isText(value: unknown): value is string {
  return typeof value === 'string';
}

function textIn(value: unknown, name: string): string | null {
  const found = isObject(value) ? value[name] : null;
  return typeof found === 'string' ? found : null;
}
