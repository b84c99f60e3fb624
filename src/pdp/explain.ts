import { canonicalJson } from '../crypto/jcs.ts';
import { findDecision } from '../decision-log/query.ts';
import type { BundleArchive, PolicyRegistry } from '../policy/registry.ts';
import { type Traced, type Tracer, untraced } from '../policy/tracer.ts';
import { Denial, type Reason } from '../reason.ts';
import { PROFILES } from '../schema/common.ts';
import type { BundleRef, DecisionRecord } from '../schema/decision.ts';
import type { DecidingRule, EvaluatedAgain, Explanation, PolicyToday, Trace } from '../schema/explanation.ts';
import type { Within } from '../store/model.ts';
import type { Store } from '../store/store.ts';
import { failureIn, inputIn, reproduces, UNREADABLE } from './recorded.ts';
import { tracedRules } from './traced-rules.ts';

export interface ExplainDeps {
  readonly store: Pick<Store, 'recordById' | 'eventsAround'>;
  readonly policies: Pick<PolicyRegistry, 'engineFor' | 'reasonAt' | 'active'>;
  readonly archive: Pick<BundleArchive, 'get'>;
  readonly tracer: Pick<Tracer, 'trace'>;
}

/**
 * Why a decision came out as it did (contracts.md, "Explain"): the recorded input is evaluated again with the recorded
 * revision, and must give the recorded result, byte for byte. Null where `within` has no such decision.
 *
 * @param trace has OPA trace it as well; without a compiler, `trace.error` says so
 */
export async function explain(
  decisionId: string,
  within: Within,
  deps: ExplainDeps,
  trace?: Trace['mode'],
): Promise<Explanation | null> {
  const found = await findDecision(deps.store, decisionId, within);
  if (found === null) return null;
  const { verdict, lines } = found;
  const { bundle, failed } = verdict;
  const failedLink = failedLinkOf(verdict);
  const tenant = { org: verdict.org, env: verdict.env };
  const again = bundle === null ? null : await evaluateAgain(lines.at(-1) ?? '', verdict, bundle, deps);
  return {
    decision_id: verdict.decision_id,
    verdict: verdict.verdict,
    reason: verdict.reason,
    stage: verdict.stage,
    summary: summaryOf(verdict),
    failed,
    rules: bundle === null ? [] : await rulesOf(verdict, bundle, deps),
    evaluated_again: again,
    policy_today: await policyToday(lines.at(-1) ?? '', verdict, again, deps),
    trace: trace === undefined ? null : await traceOf(lines.at(-1) ?? '', verdict, trace, deps),
    chain: (verdict.links ?? []).map((link, index) => ({ ...link, failed: index === failedLink })),
    bundle: bundle === null ? null : { ...bundle, rego: await regoOf(bundle, deps) },
    events: await deps.store.eventsAround(tenant, verdict.actor?.runtime_id ?? '', verdict.time),
    record: verdict,
    amended: lines.slice(0, -1).map((line) => JSON.parse(line) as DecisionRecord),
  };
}

const THUMBPRINT = /^[\w-]{43}$/;

/** Where in the chain it failed: as the check says, or the link that a revocation names. Null: it was none of them. */
function failedLinkOf({ failed, links }: DecisionRecord): number | null {
  if (failed === null || links === null) return null;
  const { link, value } = failed.facts;
  if (typeof link === 'number') return link;
  if (failed.check !== 'revoked' || typeof value !== 'string') return null;
  if (value.startsWith('did:')) return 0;
  const named = links.findIndex(({ id }) => id === value);
  if (named >= 0) return named;
  // A key is of the holder, who signed what comes next; who holds the last link signed nothing.
  const signed = links.findIndex(({ issuer }) => issuer === value);
  if (signed >= 0) return Math.max(0, signed - 1);
  return THUMBPRINT.test(value) ? links.length - 1 : null;
}

function summaryOf(record: DecisionRecord): string {
  const { verdict, reason, reasons, stage, failed, bundle, observed, requests } = record;
  const seen = observed ? ' The route only observes: the request went on.' : '';
  const shared = requests === undefined ? '' : ` Requests that share this decision: ${requests}.`;
  if (failed !== null)
    return `Denied at the ${stage} stage, ${failed.check}: ${failed.message}.${seen}${shared}`;
  const policy = `${bundle?.name ?? ''} policy, revision ${bundle?.revision ?? ''}`;
  if (verdict === 'allow') return `Allowed by the ${policy}.`;
  const others = reasons.filter((code) => code !== reason);
  return `Denied by the ${policy}: ${reason}${others.length === 0 ? '' : `, and ${others.join(', ')}`}.${seen}`;
}

async function rulesOf(
  record: DecisionRecord,
  bundle: BundleRef,
  deps: ExplainDeps,
): Promise<DecidingRule[]> {
  const codes = record.result?.reasons ?? [];
  const rules = await Promise.all(
    codes.map(async (code) => {
      const rule = await deps.policies.reasonAt(bundle.sha256, code, bundle.base);
      return rule === null
        ? []
        : [{ code: code as Reason, file: rule.file, line: rule.line, rego: rule.text }];
    }),
  );
  return rules.flat();
}

const LAYERED =
  "a policy behind an adapter is asked after the profile's own: a trace of it alone would not be the decision's";

async function evaluateAgain(
  line: string,
  record: DecisionRecord,
  bundle: BundleRef,
  deps: ExplainDeps,
): Promise<EvaluatedAgain | null> {
  const { input, result } = record;
  const failure = failureIn(record);
  if (input === null || (result === null && failure === null)) return null;
  const text = inputIn(line, input);
  if (text === null) return { result: null, equal: false, error: UNREADABLE };
  const engine = await deps.policies.engineFor(bundle.sha256, bundle.base);
  if (engine === null) return { result: null, equal: false, error: unknownBundle(bundle) };
  try {
    const again = await engine.decide(new TextEncoder().encode(text.json), result === null);
    return { result: again.result, equal: reproduces(line, text, failure, again), error: null };
  } catch (error) {
    // A policy that failed then must fail again, and in the same way.
    return {
      result: null,
      equal: error instanceof Denial && reproduces(line, text, failure, error),
      error: errorText(error),
    };
  }
}

async function policyToday(
  line: string,
  { input, result, bundle: then }: DecisionRecord,
  again: EvaluatedAgain | null,
  { policies }: ExplainDeps,
): Promise<PolicyToday | null> {
  const profile = PROFILES.find((one) => one === then?.name);
  if (input === null || profile === undefined || again === null) return null;
  let bundle: BundleRef | null = null;
  try {
    const { engine, ref } = policies.active(profile);
    bundle = ref;
    if (ref.sha256 === then?.sha256 && ref.base === then.base) return { bundle, ...again };
    const text = inputIn(line, input);
    if (text === null) return { bundle, result: null, equal: false, error: UNREADABLE };
    const today = await engine.decide(new TextEncoder().encode(text.json), result === null);
    return { bundle, result: today.result, equal: isSame(today.result, result), error: null };
  } catch (error) {
    return { bundle, result: null, equal: false, error: errorText(error) };
  }
}

function errorText(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

function unknownBundle({ sha256 }: BundleRef): string {
  return `this node never had bundle ${sha256}`;
}

async function traceOf(
  line: string,
  record: DecisionRecord,
  mode: Trace['mode'],
  deps: ExplainDeps,
): Promise<Trace> {
  const { value, clauses, ...made } = await traceAgain(line, record, mode, deps);
  const both = value !== undefined && record.result !== null;
  const equal = both ? isSame(value, record.result) : null;
  const comparable = made.error === null && record.result !== null;
  const traced = comparable ? (equal === true ? 'equal' : 'different') : null;
  const rules = clauses === null ? null : tracedRules(clauses, made.decision, value);
  return { mode, ...made, rules, equal, traced };
}

/** Whatever a policy may answer: what has no canonical form (too deep, a number too large) was never recorded. */
function isSame(value: unknown, recorded: unknown): boolean {
  try {
    return canonicalJson(value) === canonicalJson(recorded);
  } catch {
    return false;
  }
}

async function traceAgain(
  line: string,
  { input, bundle }: DecisionRecord,
  mode: Trace['mode'],
  { archive, tracer }: ExplainDeps,
): Promise<Traced> {
  if (input === null || bundle === null)
    return untraced('a check decided, before any policy: there is nothing to trace');
  if (bundle.base !== undefined) return untraced(LAYERED);
  const text = inputIn(line, input);
  if (text === null) return untraced(UNREADABLE);
  const archived = await archive.get(bundle.sha256);
  return archived === null ? untraced(unknownBundle(bundle)) : tracer.trace(archived, text.json, mode);
}

async function regoOf(
  { sha256, base }: BundleRef,
  deps: ExplainDeps,
): Promise<Record<string, string> | null> {
  const archived = await deps.archive.get(sha256);
  if (archived === null) return null;
  const below = base === undefined ? null : await deps.archive.get(base);
  const decoder = new TextDecoder();
  return Object.fromEntries(
    [...(below?.files ?? []), ...archived.files]
      .filter(([path]) => path.endsWith('.rego'))
      .map(([path, bytes]) => [path, decoder.decode(bytes)]),
  );
}
