import { type Again, type Change, changeOf, type Outcome } from '../pdp/replay.ts';
import type { Call, Result } from './command.ts';
import { misuse } from './exit.ts';
import { table } from './terminal.ts';

/** One decision, then and now. */
export interface Row {
  /** Null: a captured request that says none. */
  readonly decision_id: string | null;
  /** Of a captured request; null: the record has it. */
  readonly request: string | null;
  readonly route: string | null;
  /** Null: it is not known what it was. */
  readonly was: Outcome | null;
  /** Null: it could not be replayed, and `why` says so. */
  readonly now: Outcome | null;
  readonly changed: boolean;
  readonly change: Change | null;
  readonly why: string | null;
}

export function rowOf(
  asked: Pick<Row, 'decision_id' | 'request' | 'route' | 'was'>,
  { now, why }: Again,
): Row {
  const { decision_id, request, route, was } = asked;
  const change = changeOf(was, now);
  return { decision_id, request, route, was, now, changed: change !== null, change, why };
}

/** What ends the command with exit code 1. */
const FAIL_ON = ['newly-allowed', 'changed'] as const;
export type FailOn = (typeof FAIL_ON)[number];

export function failOnOf({ options }: Pick<Call, 'options'>): FailOn | null {
  const { failOn } = options;
  if (failOn === undefined) return null;
  const found = FAIL_ON.find((one) => one === failOn);
  if (found === undefined) throw misuse(`--fail-on must be ${FAIL_ON.join(' or ')}`);
  return found;
}

export interface Wanted {
  readonly failOn: FailOn | null;
  /** Rows that are shown at most; those that changed come first. */
  readonly limit: number;
  /** What they were replayed with, for a person. */
  readonly against: string;
  /** The same for machines. */
  readonly data: object;
}

export function reportOf({ terminal }: Call, rows: readonly Row[], wanted: Wanted): Result {
  const { failOn, limit, against, data } = wanted;
  const counts = countsOf(rows);
  const ordered = [...rows.filter(({ changed }) => changed), ...rows.filter(({ changed }) => !changed)];
  const shown = ordered.slice(0, limit);
  const left_out = rows.length - shown.length;
  const failed = failOn !== null && (failOn === 'changed' ? counts.changed : counts.newly_allowed) > 0;
  const { style, interactive } = terminal;
  const cells = shown.map(cellsOf);
  const listed = table(interactive && cells.length > 0 ? [HEAD, ...cells] : cells, interactive);
  const said = `${counts.changed} of ${counts.replayed} replayed decisions change with ${against}`;
  return {
    data: { ...data, counts, decisions: shown, left_out },
    lines: [
      ...listed.map((line, i) => (interactive && i === 0 ? style('bold', line) : line)),
      ...(left_out === 0 ? [] : [`… and ${left_out} more (--limit)`]),
      style(counts.newly_allowed > 0 ? 'red' : counts.changed > 0 ? 'yellow' : 'green', said),
      `  newly allowed ${counts.newly_allowed}, newly denied ${counts.newly_denied}, another reason ${counts.other_reason}, not replayed ${counts.not_replayed}`,
      ...reasonsOf(rows).map((line) => `  ${line}`),
    ],
    ...(failed ? { failure: failOn === 'changed' ? 'replay_changed' : 'replay_newly_allowed' } : {}),
  };
}

function countsOf(rows: readonly Row[]) {
  const of = (change: Change) => rows.filter((row) => row.change === change).length;
  const replayed = rows.filter(({ now }) => now !== null).length;
  return {
    total: rows.length,
    replayed,
    not_replayed: rows.length - replayed,
    changed: rows.filter(({ changed }) => changed).length,
    newly_allowed: of('newly_allowed'),
    newly_denied: of('newly_denied'),
    other_reason: of('other_reason'),
  };
}

const HEAD = ['DECISION', 'ROUTE', 'WAS', 'NOW', 'CHANGED'];

function cellsOf({ decision_id, request, route, was, now, change }: Row): string[] {
  return [decision_id ?? request ?? '-', route ?? '-', outcomeText(was), outcomeText(now), change ?? 'no'];
}

function outcomeText(outcome: Outcome | null): string {
  if (outcome === null) return '-';
  return outcome.verdict === 'allow' ? 'allow' : `deny ${outcome.reason}`;
}

/** Why some were not replayed, each with how many. */
function reasonsOf(rows: readonly Row[]): string[] {
  const counted = new Map<string, number>();
  for (const { now, why } of rows)
    if (now === null && why !== null) counted.set(why, (counted.get(why) ?? 0) + 1);
  return [...counted].map(([why, count]) => `not replayed: ${count}, ${why}`);
}
