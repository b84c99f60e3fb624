import { visible } from '../pdp/visible.ts';

/** One line of a source as it is shown, and where each of its characters came to stand. */
export interface SourceLine {
  readonly text: string;
  /** Columns of a terminal, from 0, that the text takes. */
  readonly width: number;
  /** Where the character at a column of the source (from 1) stands, from 0. */
  columnOf(column: number): number;
}

const TAB = '  ';
/** Takes two columns of a terminal: East Asian wide and full-width characters, and emoji (UAX 11, roughly). */
const WIDE =
  /[\u1100-\u115f\u2e80-\u303e\u3041-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6]|\p{Emoji_Presentation}/u;
const NO_WIDTH = /\p{Mn}|\p{Me}/u;

/** Tabs are two spaces; what hides or steers is written out. */
export function sourceLine(line: string): SourceLine {
  const shown = [...line].map((char) => (char === '\t' ? TAB : visible(char)));
  const starts: number[] = [];
  let width = 0;
  for (const piece of shown) {
    starts.push(width);
    width += widthOf(piece);
  }
  return { text: shown.join(''), width, columnOf: (column) => starts[column - 1] ?? width };
}

export function widthOf(text: string): number {
  let width = 0;
  for (const char of text) width += NO_WIDTH.test(char) ? 0 : WIDE.test(char) ? 2 : 1;
  return width;
}

/** As much of a text as there is room for, with … where there was more. */
export function fitted(text: string, room: number): string {
  if (widthOf(text) <= room) return text;
  return `${windowOf(text, 0, Math.max(0, room - 1)).trimEnd()}…`;
}

/** What stands from one column on, so many wide. */
export function windowOf(text: string, from: number, room: number): string {
  let at = 0;
  let cut = '';
  for (const char of text) {
    const width = widthOf(char);
    if (at >= from && at + width <= from + room) cut += char;
    at += width;
  }
  return cut;
}
