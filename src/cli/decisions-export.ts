import { createWriteStream, rmSync } from 'node:fs';
import { resolve } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { Command } from 'commander';
import { splitLines } from '../decision-log/split-lines.ts';
import { type Call, type Result, textOption } from './command.ts';
import { controlApi, defineControlOptions } from './control-api.ts';
import { defineFilters, filterQuery } from './decision-filters.ts';
import { CliError, misuse } from './exit.ts';

export function define(command: Command): void {
  command.option('-o, --out <file>', 'File to write, never over another (default: standard output)');
  command.option('--format <ndjson|csv|opa>', 'ndjson: as it is stored (default)');
  command.option('--records-only', 'Leave out what `lemma decisions verify` needs beside the records');
  command.option(
    '--after <cursor>',
    'Only what came after an export with the same filters, which said this cursor',
  );
  defineFilters(command, true);
  defineControlOptions(command);
}

/**
 * Each record as it is stored, one per line, and checkpoints on lines of their own; or, with filters or in another format,
 * records alone. A file holds all of it or is not there.
 */
export async function run(call: Call): Promise<Result | null> {
  const out = textOption(call.options, 'out');
  if (out === undefined && call.json)
    throw misuse('--json needs --out <file>: the export itself goes to standard output');
  const seen: Seen = { records: 0, cursor: null };
  const stream = await controlApi(call).stream(pathOf(call));
  const text = textOption(call.options, 'format') === 'csv' ? rows(stream, seen) : linesOf(stream, seen);
  if (out === undefined) {
    for await (const chunk of text) await call.terminal.write(chunk);
    if (seen.cursor !== null) call.terminal.note(`What comes later: --after ${seen.cursor}`);
    return null;
  }
  const file = resolve(call.folder, out);
  await save(text, file);
  const { records, cursor } = seen;
  const next = cursor === null ? [] : [`What comes later: --after ${cursor}`];
  const data = { file, records, ...(cursor === null ? {} : { next_cursor: cursor }) };
  return { data, lines: [`${records} records in ${file}`, ...next] };
}

function pathOf(call: Call): string {
  const query = filterQuery(call);
  const format = textOption(call.options, 'format');
  const after = textOption(call.options, 'after');
  if (format !== undefined) query.set('format', format);
  if (after !== undefined) query.set('after', after);
  const whole = query.size === 0 || (query.size === 1 && format === 'ndjson');
  if (whole && call.options.recordsOnly !== true) return exportPath(true);
  if (format !== 'csv') query.set('marks', 'true');
  return `${EXPORT}?${query}`;
}

const EXPORT = '/api/wallet/runtimes/decisions/export';

/** The whole log: with what proves it, or records alone. */
export function exportPath(proven: boolean): string {
  return `${EXPORT}${proven ? '?proven=true' : ''}`;
}

/** What was seen of an export; `cursor`: where a later one goes on. */
interface Seen {
  records: number;
  cursor: string | null;
}

const LINE_FEED = 0x0a;
const QUOTE = 0x22;
/** Lines beside the records. */
const STATEMENT = /^\{"(?:checkpoint|pruned|withheld|end)"/;
const MARK = /^\{"next_cursor":"([A-Za-z0-9_-]+)"\}$/;
/** Lines are written in pieces of about this many characters. */
const PIECE = 64 * 1024;

/** Lines without the marks between them. */
async function* linesOf(
  stream: AsyncIterable<Uint8Array>,
  seen: Seen,
): AsyncGenerator<string, void, undefined> {
  let piece = '';
  for await (const line of splitLines(stream)) {
    const [, cursor] = MARK.exec(line) ?? [];
    if (cursor !== undefined) {
      seen.cursor = cursor;
      continue;
    }
    if (!STATEMENT.test(line)) seen.records += 1;
    piece += `${line}\n`;
    if (piece.length < PIECE) continue;
    yield piece;
    piece = '';
  }
  if (piece !== '') yield piece;
}

/** CSV as it comes; rows are told by line ends outside of quotes, and the first one is the header. */
async function* rows(
  stream: AsyncIterable<Uint8Array>,
  seen: Seen,
): AsyncGenerator<Uint8Array, void, undefined> {
  let quoted = false;
  let rows = 0;
  for await (const chunk of stream) {
    for (const byte of chunk) {
      if (byte === QUOTE) quoted = !quoted;
      else if (byte === LINE_FEED && !quoted) rows += 1;
    }
    seen.records = Math.max(0, rows - 1);
    yield chunk;
  }
}

async function save(text: AsyncIterable<Uint8Array | string>, file: string): Promise<void> {
  const target = createWriteStream(file, { flags: 'wx', mode: 0o600 });
  try {
    await pipeline(Readable.from(text), target);
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? error.code : null;
    if (code === 'EEXIST') throw new CliError('file_exists', `${file} is there already`);
    rmSync(file, { force: true });
    throw new CliError('export_broken', `the export broke off, ${file} was not kept: ${String(error)}`);
  }
}
