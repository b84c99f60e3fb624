import type { Change, Impact, ImpactGroup, Said } from '../schema/impact.ts';
import { type Terminal, table } from './terminal.ts';

/** Of each list, on a terminal; --json has all of them. */
const SHOWN = 20;
const IDS_SHOWN = 3;

export const KIND_NAMES = [
  ['newly_allowed', 'newly allowed'],
  ['newly_denied', 'newly denied'],
  ['reason_changed', 'reason changed'],
  ['effects_changed', 'effects changed'],
  ['error', 'error'],
] as const;

export const UNCOMPARED_NAMES = {
  denied_before_policy: 'denied before any policy was asked',
  not_evaluated: 'no policy could be asked (overload, or none loaded)',
  stopped_after_policy: 'stopped after the policy had decided',
  amendment: 'a second record of a decision, of a kill that came late',
  withheld: 'of another organisation: withheld from this export',
  input_withheld: 'the candidate asks to see what was not recorded (headers, redacted members)',
  revision_missing: 'the bundle that decided is not to be had (--bundles <folder>)',
  profile_not_in_candidate: 'the candidate has no policy of its profile',
} as const satisfies Record<Impact['not_comparable'][number]['why'], string>;

export function notReproduced({ reproduced }: Impact): boolean {
  return reproduced.not_equal > 0;
}

/** Decisions that a policy made, and of which nothing is known: their bundle, or what the candidate asks to see, is not there. */
export function unseen({ not_comparable }: Impact): number {
  return not_comparable
    .filter(({ why }) => why === 'revision_missing' || why === 'input_withheld')
    .reduce((sum, { count }) => sum + count, 0);
}

/** For a person. */
export function impactLines(impact: Impact, against: string, { interactive, style }: Terminal): string[] {
  const of = impact.candidates.map(({ revision }) => revision).join(', ');
  const head = style('bold', `Impact of ${of} on ${impact.records} decisions (${against})`);
  if (notReproduced(impact)) {
    const { not_equal, differing } = impact.reproduced;
    return [
      head,
      `${not_equal} do not give their recorded result with the bundle that decided them: nothing was compared`,
      ...table(
        differing.slice(0, SHOWN).map(({ decision_id, revision, why }) => [decision_id, revision, why]),
        interactive,
      ),
      ...more(not_equal - Math.min(SHOWN, differing.length)),
    ];
  }
  const { counts } = impact;
  const compared = [
    ['same', counts.same] as const,
    ...KIND_NAMES.map(([kind, name]) => [name, counts[kind]] as const),
  ];
  return [
    head,
    `${impact.reproduced.equal} gave their recorded result again first`,
    ...table(
      compared.map(([name, count]) => [name, String(count)]),
      interactive,
    ),
    ...table(
      impact.not_comparable.map(({ why, count, decision_ids }) => [
        'not comparable',
        String(count),
        UNCOMPARED_NAMES[why],
        decision_ids.slice(0, IDS_SHOWN).join(' '),
      ]),
      interactive,
    ),
    ...(['rule', 'route', 'runtime'] as const).flatMap((by) =>
      groupLines(by, impact.groups[by], interactive),
    ),
    ...table(impact.changes.slice(0, SHOWN).map(changeRow), interactive),
    ...more(impact.not_listed + Math.max(0, impact.changes.length - SHOWN)),
  ];
}

function groupLines(by: string, groups: readonly ImpactGroup[], interactive: boolean): string[] {
  const rows = groups
    .slice(0, SHOWN)
    .map((group) => [
      `by ${by}`,
      group.name ?? '-',
      countsText(group),
      group.decision_ids.slice(0, IDS_SHOWN).join(' '),
    ]);
  return [...table(rows, interactive), ...more(groups.length - rows.length)];
}

export function countsText({ counts }: ImpactGroup): string {
  return KIND_NAMES.filter(([kind]) => counts[kind] > 0)
    .map(([kind, name]) => `${counts[kind]} ${name}`)
    .join(', ');
}

function changeRow(change: Change): string[] {
  const { kind, decision_id, route, runtime, was, now, members } = change;
  const name = KIND_NAMES.find(([one]) => one === kind)?.[1] ?? kind;
  const effects = kind === 'effects_changed' ? members.join(', ') : '';
  return [name, decision_id, route ?? '-', runtime ?? '-', `${saidText(was)} -> ${saidText(now)}`, effects];
}

export function saidText({ allow, reason }: Said): string {
  return allow ? 'allow' : `deny ${reason}`;
}

function more(count: number): string[] {
  return count > 0 ? [`and ${count} more: --json has them`] : [];
}
