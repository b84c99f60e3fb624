import type { Change, Impact, ImpactGroup } from '../schema/impact.ts';
import { countsText, KIND_NAMES, notReproduced, saidText, UNCOMPARED_NAMES } from './impact-lines.ts';

/** GitHub refuses a comment of more than 65,536 characters; a little is left for what somebody puts around it. */
const MARKDOWN_AT_MOST = 60_000;
const IDS_SHOWN = 3;
const NAME_AT_MOST = 120;

/**
 * A comment for a pull request. Names come from requests and policies of whoever: each stands in a code span that it cannot
 * leave, so that none of it is Markdown, HTML, a mention or a link.
 */
export function impactMarkdown(impact: Impact, against: string, program: string): string {
  const end = `<sub>\`${program} policy impact\`: each decision gave its recorded result first, with the bundle that decided it.</sub>`;
  const parts = [
    summary(impact, against),
    ...(notReproduced(impact) ? [differing(impact)] : details(impact)),
  ];
  let text = '';
  for (const part of parts) {
    const fitting = fitted(part, MARKDOWN_AT_MOST - text.length - end.length - 1);
    if (fitting === null) break;
    text += fitting;
  }
  return `${text}${notReproduced(impact) ? '' : end}`;
}

interface Part {
  readonly head: string;
  readonly rows: readonly string[];
  /** How many there are that are no rows. */
  readonly beyond?: number;
}

const ROOM_FOR_MORE = 60;

/** As many rows as there is room for, and how many there are beyond. Null: not even the head. */
function fitted({ head, rows, beyond = 0 }: Part, room: number): string | null {
  let text = `${head}\n`;
  if (text.length + ROOM_FOR_MORE > room) return null;
  let shown = 0;
  for (const row of rows) {
    if (text.length + row.length + ROOM_FOR_MORE > room) break;
    text += `${row}\n`;
    shown += 1;
  }
  const more = rows.length - shown + beyond;
  return more === 0 ? `${text}\n` : `${text}\nand ${more} more\n\n`;
}

function summary(impact: Impact, against: string): Part {
  const { counts, records, candidates } = impact;
  const of = candidates.map(({ revision }) => code(revision)).join(', ');
  const verdict = notReproduced(impact)
    ? 'Not compared'
    : counts.newly_allowed > 0
      ? `${counts.newly_allowed} newly allowed`
      : KIND_NAMES.some(([kind]) => counts[kind] > 0)
        ? 'Nothing is newly allowed'
        : 'No decision changes';
  const head = `### Policy impact: ${verdict}\n\n${of} on ${records} decisions of ${code(against)}\n\n| | decisions |\n|---|---:|`;
  if (notReproduced(impact))
    return { head, rows: [`| do not give their recorded result | ${impact.reproduced.not_equal} |`] };
  return {
    head,
    rows: [
      `| same | ${counts.same} |`,
      ...KIND_NAMES.map(([kind, name]) => `| ${name} | ${counts[kind]} |`),
      ...impact.not_comparable.map(
        ({ why, count }) => `| not comparable: ${UNCOMPARED_NAMES[why]} | ${count} |`,
      ),
    ],
  };
}

function differing({ reproduced }: Impact): Part {
  return {
    head: '| decision | bundle | |\n|---|---|---|',
    rows: reproduced.differing.map(
      ({ decision_id, revision, why }) => `| ${code(decision_id)} | ${code(revision)} | ${code(why)} |`,
    ),
    beyond: reproduced.not_equal - reproduced.differing.length,
  };
}

function details({ groups, changes, not_listed }: Impact): Part[] {
  if (changes.length === 0) return [];
  return [
    grouped('rule', groups.rule),
    grouped('route', groups.route),
    grouped('runtime', groups.runtime),
    {
      head: '#### Decisions\n\n| | decision | route | runtime | |\n|---|---|---|---|---|',
      rows: worstFirst(changes).map(changeRow),
      beyond: not_listed,
    },
  ];
}

function grouped(by: string, groups: readonly ImpactGroup[]): Part {
  return {
    head: `#### By ${by}\n\n| ${by} | | decisions |\n|---|---|---|`,
    rows: groups.map((group) => {
      const ids = group.decision_ids.slice(0, IDS_SHOWN).map(code).join(' ');
      return `| ${code(group.name)} | ${countsText(group)} | ${ids} |`;
    }),
  };
}

function changeRow({ kind, decision_id, route, runtime, was, now }: Change): string {
  const name = KIND_NAMES.find(([one]) => one === kind)?.[1] ?? kind;
  const said = code(`${saidText(was)} -> ${saidText(now)}`);
  return `| ${name} | ${code(decision_id)} | ${code(route)} | ${code(runtime)} | ${said} |`;
}

/** What is cut off for its length is the least of it. */
function worstFirst(changes: readonly Change[]): Change[] {
  return KIND_NAMES.flatMap(([kind]) => changes.filter((change) => change.kind === kind));
}

/** What ends a code span or a cell of a table, or cannot be seen, is written as `\u{…}`. */
function code(name: string | null): string {
  if (name === null || name === '') return '-';
  const cut = name.length > NAME_AT_MOST ? `${name.slice(0, NAME_AT_MOST).toWellFormed()}…` : name;
  const shown = cut.replaceAll(
    /[`|]|[^\P{C}\p{Cn}]|[\p{Zl}\p{Zp}]/gu,
    (char) => `\\u{${(char.codePointAt(0) ?? 0).toString(16)}}`,
  );
  return `\`${shown}\``;
}
