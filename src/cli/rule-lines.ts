import { visible } from '../pdp/visible.ts';
import type { TracedRule } from '../schema/api-explain.ts';
import { fitted, sourceLine, widthOf, windowOf } from './source-line.ts';
import type { Terminal } from './terminal.ts';

type Style = Terminal['style'];
type Value = TracedRule['values'][number];

export interface Page {
  readonly style: Style;
  /** Columns; null: no bound, as in a pipe. */
  readonly width: number | null;
}

/** What is told beneath a line, at a column of it. */
interface Mark {
  readonly column: number;
  readonly text: string;
}

const LABEL = {
  fired: ['fired', 'green'],
  nearly: ['nearly', 'yellow'],
  failed: ['failed', 'red'],
} as const;
const LABEL_WIDTH = 7;
/** Less is of no use to a person. */
const LEAST_WIDTH = 32;
const CONTEXT = 8;

/**
 * A rule as a compiler shows an error: where it stands, its lines, what did not hold underlined, and beneath each
 * expression what it was. Lines about which there is nothing to say are left out of a long rule.
 */
export function ruleBlock(rule: TracedRule, page: Page): string[] {
  const { style } = page;
  const room = roomOf(page);
  const [label, colour] = LABEL[rule.outcome];
  const margin = String(rule.line_to).length;
  const gutter = (text: string) => style('blue', `${text.padStart(margin)} │`);
  const place = `${rule.file}:${rule.at.line}:${rule.at.column}`;
  const inner = room - margin - 3;
  return [
    `${style(['bold', colour], label.padEnd(LABEL_WIDTH))} ${style('bold', fitted(titleOf(rule), room - LABEL_WIDTH - 1))}`,
    `${' '.repeat(margin)}${style('blue', '┌─')} ${style('cyan', fitted(visible(place), inner))}`,
    ...shownLines(rule).flatMap((line) => {
      if (line === null) return [`${' '.repeat(margin)}${style('blue', ' ┆')}`];
      const { source, beneath } = annotated(rule, line, inner, style);
      return [`${gutter(String(line.number))} ${source}`, ...beneath.map((text) => `${gutter('')} ${text}`)];
    }),
    ...notesOf(rule).flatMap((note) =>
      wrapped(visible(note), inner).map(
        (text, i) => `${' '.repeat(margin)}${style('blue', i === 0 ? ' =' : '  ')} ${text}`,
      ),
    ),
  ].map((text) => text.trimEnd());
}

/** One line for a rule, with the place for whoever wants to look. */
export function ruleRow(rule: TracedRule, page: Page): string {
  const { style } = page;
  const [label, colour] = LABEL[rule.outcome];
  const said = rule.outcome === 'fired' ? titleOf(rule) : rule.at.text;
  const place = visible(`${rule.file}:${rule.at.line}`);
  const room = roomOf(page) - LABEL_WIDTH - 2 - widthOf(place);
  const row = `${style(colour, label.padEnd(LABEL_WIDTH))} ${style('cyan', place)}`;
  return room < CONTEXT ? row : `${row} ${fitted(oneLine(said), room)}`;
}

function roomOf({ width }: Page): number {
  return width === null ? Number.POSITIVE_INFINITY : Math.max(width, LEAST_WIDTH);
}

/** `data.lemma.low.deny gives "taint_stale"`. */
function titleOf({ path, gives, default: isDefault }: TracedRule): string {
  const name = `${isDefault ? 'default ' : ''}${path}`;
  return oneLine(gives === null ? name : `${name} gives ${gives}`);
}

function notesOf({ would, evaluated, held }: TracedRule): string[] {
  const times =
    evaluated > 1 ? [held === 0 ? `looked at ${evaluated} times` : `held ${held} of ${evaluated} times`] : [];
  if (would === null) return times;
  const said = would.allow ? 'allowed' : `denied: ${would.reasons.join(', ')}`;
  const given = would.given === 'at' ? 'had it held' : 'had it held, and the rest of the rule';
  return [`${given}, the policy would have ${said}`, ...times];
}

function wrapped(text: string, room: number): string[] {
  const lines: string[] = [];
  for (const word of text.split(' ')) {
    const last = lines.at(-1);
    if (last !== undefined && widthOf(last) + 1 + widthOf(word) <= room)
      lines[lines.length - 1] = `${last} ${word}`;
    else lines.push(fitted(word, room));
  }
  return lines;
}

interface Line {
  readonly number: number;
  readonly text: string;
  readonly values: readonly Value[];
}

/** Null stands for those that are left out. */
function shownLines({ source, line_from: first, at, values, outcome }: TracedRule): (Line | null)[] {
  const lines = source.split('\n').map((text, i): Line => {
    const number = first + i;
    return { number, text, values: distinct(values.filter(({ line }) => line === number)) };
  });
  const isTold = ({ number, values: own }: Line) =>
    own.length > 0 || (number === at.line && outcome !== 'fired');
  const kept = lines.map((line, i) => i === 0 || i === lines.length - 1 || isTold(line));
  return lines.flatMap((line, i): (Line | null)[] => {
    if (kept[i] === true || lines.length <= CONTEXT) return [line];
    // One line is no longer than what would stand for it.
    if (kept[i - 1] === true && kept[i + 1] === true) return [line];
    return kept[i - 1] === true ? [null] : [];
  });
}

function distinct(values: readonly Value[]): Value[] {
  return values.filter(({ text }, i) => values.findIndex((other) => other.text === text) === i);
}

function annotated(
  rule: TracedRule,
  line: Line,
  room: number,
  style: Style,
): { source: string; beneath: string[] } {
  const shown = sourceLine(line.text);
  const failed = rule.outcome !== 'fired' && rule.at.line === line.number ? rule.at : null;
  const marks = line.values.map((value) => ({ column: shown.columnOf(value.column), text: saidOf(value) }));
  const focus = failed === null ? (marks[0]?.column ?? 0) : shown.columnOf(failed.column);
  // A line that is too long is shown around what is told of it.
  const from = shown.width <= room ? 0 : Math.max(0, focus - CONTEXT);
  const text = shown.width <= room ? shown.text : windowed(shown.text, shown.width, from, room);
  const inside = ({ column, text: said }: Mark) =>
    column >= from && column - from + HOOK.length + widthOf(said) <= room;
  const placed = marks.filter(inside).map((mark) => ({ ...mark, column: mark.column - from }));
  const underline = failed === null ? [] : [underlineOf(failed.text, shown.columnOf(failed.column) - from)];
  return {
    source: text,
    beneath: [
      ...underline.map(([column, length]) => {
        const carets = '^'.repeat(Math.max(1, Math.min(length, room - column)));
        const remark = column + carets.length + 1 + REMARK.length <= room ? ` ${REMARK}` : '';
        return `${' '.repeat(column)}${style('yellow', carets + remark)}`;
      }),
      ...hung(placed).map((hanging) => style('dim', hanging)),
      ...marks.filter((mark) => !inside(mark)).map((mark) => style('dim', fitted(`= ${mark.text}`, room))),
    ],
  };
}

const REMARK = 'this did not hold';

/** Column and length of what is underlined: the first line of an expression. */
function underlineOf(text: string, column: number): readonly [number, number] {
  const first = text.split('\n')[0] ?? '';
  return [Math.max(0, column), sourceLine(first.trimEnd()).width];
}

function windowed(text: string, width: number, from: number, room: number): string {
  const cut = windowOf(text, from, room);
  const begun = from > 0 ? `…${windowOf(cut, 1, room)}` : cut;
  return from + room < width ? `${windowOf(begun, 0, room - 1)}…` : begun;
}

const HOOK = '└ ';

/** Each mark on a line of its own, the rightmost first, with a thread up to its column. */
function hung(marks: readonly Mark[]): string[] {
  const byColumn = [...marks].sort((a, b) => b.column - a.column);
  return byColumn.map(({ column, text }, i) => {
    const others = byColumn.slice(i + 1).map((mark) => mark.column);
    const lead = Array.from({ length: column }, (_, at) => (others.includes(at) ? '│' : ' '));
    return `${lead.join('')}${HOOK}${text}`;
  });
}

function saidOf({ text, value }: Value): string {
  const name = fitted(oneLine(text), 60);
  return value === null ? `${name} is undefined` : `${name} = ${oneLine(value)}`;
}

function oneLine(text: string): string {
  return visible(text.replaceAll(/\s*\n\s*/g, ' ').replaceAll('\t', ' '));
}
