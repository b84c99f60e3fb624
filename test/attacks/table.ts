import { mkdirSync, writeFileSync } from 'node:fs';
import { namedTable } from './named.ts';

/** What came of one attack over one transport. */
export interface Line {
  readonly attack: string;
  readonly transport: string;
  /** What it must end with where the transport can carry it as it is. */
  readonly expect: string;
  /** What it must end with here. */
  readonly wanted: string;
  readonly got: string;
  /** Why that is right, where the two differ. */
  readonly why: string;
}

const FOLDER = new URL('../../coverage/', import.meta.url);

/** Writes coverage/attacks.md, and gives a line for each transport. */
export function writeTable(lines: readonly Line[], transports: readonly string[]): string {
  const summary = transports.map((transport) =>
    summaryOf(
      transport,
      lines.filter((line) => line.transport === transport),
    ),
  );
  const rows = lines.map(
    ({ attack, transport, expect, got, wanted, why }) =>
      `| ${cell(attack)} | ${transport} | ${cell(expect)} | ${cell(got)} | ${got === wanted ? 'held' : '**BROKEN**'} | ${cell(why)} |`,
  );
  mkdirSync(FOLDER, { recursive: true });
  writeFileSync(
    new URL('attacks.md', FOLDER),
    [
      '# Attacks',
      '',
      ...summary.map((line) => `- ${line}`),
      '',
      '| attack | transport | code | outcome | verdict | why it differs |',
      '|---|---|---|---|---|---|',
      ...rows,
      '',
      '# Attacks by name',
      '',
      namedTable(),
    ].join('\n'),
  );
  return ['', ...summary, 'coverage/attacks.md has each of them.'].join('\n');
}

function summaryOf(transport: string, lines: readonly Line[]): string {
  if (lines.length === 0) return `${transport}: NOT ASKED, it is not to be had here`;
  const count = (test: (line: Line) => boolean) => lines.filter(test).length;
  const sent = (line: Line) => !line.got.startsWith('not sent');
  return [
    `${transport}: ${lines.length} attacks`,
    `${count((line) => line.got === line.wanted && line.why === '')} as listed`,
    `${count((line) => line.got.startsWith('refused'))} refused by the transport itself`,
    `${count((line) => !sent(line))} that it cannot carry`,
    `${count((line) => line.got === 'allow' && line.wanted !== 'allow')} wrong allows`,
    `${count((line) => line.got !== line.wanted)} broken`,
  ].join(', ');
}

function cell(text: string): string {
  return JSON.stringify(text).slice(1, -1).replaceAll('|', '\\|').replaceAll('\\"', '"');
}
