import { styleText } from 'node:util';

type Format = Parameters<typeof styleText>[0];

/** The two streams, and what may be written to each. */
export interface Terminal {
  /** One line of the answer. */
  line(text: string): void;
  /** One line beside the answer: warnings, errors, progress. */
  note(text: string): void;
  /** Beside the answer, in the place of what it said before; null: nothing any more. Only where a person looks on. */
  progress(text: string | null): void;
  /** Bytes of an answer that is a document itself. Resolves when there is room for more. */
  write(bytes: Uint8Array | string): Promise<void>;
  /** Emphasis where a person looks on; plain in a pipe and under NO_COLOR. */
  style(format: Format, text: string): string;
  styleNote(format: Format, text: string): string;
  /** True where a person looks on. */
  readonly interactive: boolean;
  /** Columns; null in a pipe. */
  readonly width: number | null;
}

export function terminalOf(out: NodeJS.WriteStream, err: NodeJS.WriteStream): Terminal {
  return {
    line: (text) => void out.write(`${visible(text)}\n`),
    note: (text) => void err.write(`${visible(text)}\n`),
    progress: (text) => {
      if (err.isTTY === true) err.write(`\r\u001b[K${text === null ? '' : visible(text)}`);
    },
    write: (bytes) => new Promise((done, failed) => out.write(bytes, (e) => (e ? failed(e) : done()))),
    style: (format, text) => styleText(format, text, { stream: out }),
    styleNote: (format, text) => styleText(format, text, { stream: err }),
    interactive: out.isTTY === true,
    width: out.isTTY === true ? out.columns : null,
  };
}

/**
 * What an agent put into a path or an intent must not steer a terminal, nor hide in it (8, or black). Our own colours stay (SGR:
 * bold, dim, red, green, yellow, blue, cyan, and their ends), and line ends.
 */
function visible(text: string): string {
  return text.replaceAll(
    /(\u001b\[(?:[12]|22|3[12346]|39)m)|[^\P{C}\n\t\p{Cn}]/gu,
    (char, colour) => colour ?? escaped(char),
  );
}

function escaped(char: string): string {
  return `\\u{${(char.codePointAt(0) ?? 0).toString(16)}}`;
}

/** Columns on a terminal, tabs in a pipe. */
export function table(rows: readonly (readonly string[])[], interactive: boolean): string[] {
  const cells = rows.map((row) => row.map((cell) => cell.replaceAll(/[\t\n]/g, ' ')));
  if (!interactive) return cells.map((row) => row.join('\t'));
  const widths = (cells[0] ?? []).map((_, i) => Math.max(...cells.map((row) => row[i]?.length ?? 0)));
  return cells.map((row) =>
    row
      .map((cell, i) => cell.padEnd(widths[i] ?? 0))
      .join('  ')
      .trimEnd(),
  );
}
