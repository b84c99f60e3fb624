import type { Bundle } from '../../policy/bundle.ts';
import {
  CHANGE_KINDS,
  type Change,
  type ChangeKind,
  type Impact,
  type ImpactGroup,
  NOT_COMPARABLE,
} from '../../schema/impact.ts';
import { add, counted } from './counted.ts';
import type { Counted } from './protocol.ts';

export interface ReportLimits {
  /** Changes of one kind that are listed. */
  readonly changes: number;
  /** Groups of one sort. */
  readonly groups: number;
}

export const REPORT_LIMITS: ReportLimits = { changes: 10_000, groups: 1000 };

const IDS_OF_GROUP = 20;
/** Names that are counted, however many are shown: routes and rules are few, runtimes may be many. */
const NAMES_AT_MOST = 50_000;

interface Group {
  readonly counts: Record<ChangeKind, number>;
  readonly decision_ids: string[];
}

/** What is known of a bundle's rules: where each code of denial stands. */
type Rules = Readonly<Record<string, string>>;

export interface Tally {
  take(part: Counted): void;
  /** A bundle whose rules the groups shall name. */
  knows(bundle: Bundle): void;
  readonly records: number;
  report(): Impact;
}

export function createTally(candidates: readonly Bundle[], limits: ReportLimits): Tally {
  const total = counted();
  const counts = none();
  const rules = new Map<string, Rules>();
  const groups = {
    route: new Map<string | null, Group>(),
    runtime: new Map<string | null, Group>(),
    rule: new Map<string | null, Group>(),
  };
  const changes: Change[] = [];
  const knows = ({ sha256, manifest }: Bundle) => void rules.set(sha256, manifest.metadata.lemma.reasons);
  for (const candidate of candidates) knows(candidate);

  const placed = (sha256: string, code: string) => {
    const place = new Map(Object.entries(rules.get(sha256) ?? {})).get(code);
    return place === undefined ? code : `${code} (${place})`;
  };

  function change(one: Change): void {
    counts[one.kind] += 1;
    if (counts[one.kind] <= limits.changes) changes.push(one);
    count(groups.route, one.route, one);
    count(groups.runtime, one.runtime, one);
    count(groups.rule, ruleOf(one, placed), one);
  }

  return {
    take(part) {
      add(total, part);
      for (const one of part.changes) change(one);
    },
    knows,
    get records() {
      return total.records;
    },
    report() {
      const uncompared = NOT_COMPARABLE.flatMap((why) => {
        const found = total.not_comparable[why];
        return found === undefined ? [] : [{ why, ...found }];
      });
      const broken = total.not_reproduced > 0;
      const listed = broken ? [] : changes;
      const shown = broken ? none() : counts;
      const sum = CHANGE_KINDS.reduce((all, kind) => all + shown[kind], 0);
      return {
        candidates: candidates.map(({ name, revision, sha256 }) => ({ name, revision, sha256 })),
        records: total.records,
        reproduced: {
          equal: total.reproduced,
          not_equal: total.not_reproduced,
          differing: total.differing,
        },
        counts: {
          same: broken ? 0 : total.same,
          ...shown,
          not_comparable: uncompared.reduce((all, one) => all + one.count, 0),
        },
        not_comparable: uncompared,
        groups: {
          route: broken ? [] : most(groups.route, limits.groups),
          runtime: broken ? [] : most(groups.runtime, limits.groups),
          rule: broken ? [] : most(groups.rule, limits.groups),
        },
        changes: listed.toSorted((a, b) => a.time - b.time || (a.decision_id < b.decision_id ? -1 : 1)),
        not_listed: sum - listed.length,
      };
    },
  };
}

/** The rule that decided, or decides no more: a denial's code, and where it stands in the Rego. */
export function ruleOf(
  { kind, was, now, was_by, now_by }: Change,
  placed: (sha256: string, code: string) => string,
): string {
  switch (kind) {
    case 'newly_allowed':
      return placed(was_by, was.reason);
    case 'newly_denied':
    case 'error':
      return placed(now_by, now.reason);
    case 'reason_changed':
      return `${placed(was_by, was.reason)} -> ${placed(now_by, now.reason)}`;
    case 'effects_changed':
      return placed(now_by, now.reason);
  }
}

function none(): Record<ChangeKind, number> {
  return { newly_allowed: 0, newly_denied: 0, reason_changed: 0, effects_changed: 0, error: 0 };
}

function count(groups: Map<string | null, Group>, name: string | null, { kind, decision_id }: Change): void {
  const known = groups.get(name);
  if (known === undefined && groups.size >= NAMES_AT_MOST) return;
  const group = known ?? { counts: none(), decision_ids: [] };
  if (known === undefined) groups.set(name, group);
  group.counts[kind] += 1;
  if (group.decision_ids.length < IDS_OF_GROUP) group.decision_ids.push(decision_id);
}

function most(groups: ReadonlyMap<string | null, Group>, atMost: number): ImpactGroup[] {
  const size = ({ counts }: Group) => CHANGE_KINDS.reduce((sum, kind) => sum + counts[kind], 0);
  return [...groups]
    .sort(([a, one], [b, other]) => size(other) - size(one) || ((a ?? '') < (b ?? '') ? -1 : 1))
    .slice(0, atMost)
    .map(([name, group]) => ({ name, ...group }));
}
