import { createReadStream } from 'node:fs';
import { resolve } from 'node:path';
import { splitLines } from '../decision-log/split-lines.ts';
import type { DecisionRecord } from '../schema/decision.ts';
import type { Call } from './command.ts';
import { controlApi, member } from './control-api.ts';
import { filterQuery } from './decision-filters.ts';
import { exportPath } from './decisions-export.ts';
import { CliError, EXIT, misuse } from './exit.ts';
import { explanationOf } from './explanation.ts';
import { type Captured, capturedInHar, capturedOf } from './replay-captured.ts';

export type Source =
  /** A recorded decision, and its line as it is stored. */
  | { readonly kind: 'record'; readonly record: DecisionRecord; readonly line: string }
  | { readonly kind: 'request'; readonly captured: Captured };

const DECISION_ID = /^dec_[A-Za-z0-9_-]+$/;
/** What an export has beside the records. */
const STATEMENTS = ['checkpoint', 'pruned', 'withheld', 'end', 'next_cursor'];

/**
 * What is to be replayed: records of files (as `lemma decisions export` writes them) or by their ids, captured requests of
 * files (a line of JSON each, or an HTTP archive, `.har`), or, where none is named, the running service's log by the filters.
 * A later record of the same decision amends the one before.
 *
 * @throws CliError, misuse
 */
export async function* sourcesOf(call: Call): AsyncGenerator<Source, void, undefined> {
  const filters = filterQuery(call);
  if (call.args.length === 0) {
    yield* inStream(await controlApi(call).stream(`${exportPath(false)}?${filters}`), 'the log');
    return;
  }
  if (filters.size > 0) throw misuse('filters are for the log of the running service: name no file or id');
  for (const source of call.args) {
    if (DECISION_ID.test(source)) yield await byId(call, source);
    else if (source.endsWith('.har')) {
      for (const captured of capturedInHar(resolve(call.folder, source))) yield { kind: 'request', captured };
    } else yield* inFile(resolve(call.folder, source));
  }
}

async function byId(call: Call, id: string): Promise<Source> {
  const { record } = await explanationOf(controlApi(call), id);
  return { kind: 'record', record, line: JSON.stringify(record) };
}

async function* inFile(path: string): AsyncGenerator<Source, void, undefined> {
  try {
    yield* inStream(createReadStream(path), path);
  } catch (error) {
    if (!(error instanceof Error) || !('syscall' in error)) throw error;
    throw new CliError('file_error', `${path} cannot be read: ${error.message}`, EXIT.misused);
  }
}

async function* inStream(
  chunks: AsyncIterable<Uint8Array>,
  place: string,
): AsyncGenerator<Source, void, undefined> {
  let number = 0;
  for await (const line of splitLines(chunks)) {
    number += 1;
    if (line.trim() === '') continue;
    const value = parsed(line);
    const captured = capturedOf(value);
    if (isRecord(value)) yield { kind: 'record', record: value, line };
    else if (captured !== null) yield { kind: 'request', captured };
    else if (!STATEMENTS.some((name) => member(value, name) !== null))
      throw new CliError(
        'input_invalid',
        `${place}, line ${number}: is neither a decision record (as \`lemma decisions export\` writes it, ndjson) nor a captured request {method, url, …}`,
        EXIT.misused,
      );
  }
}

function parsed(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch {
    return null;
  }
}

/** Of this version: `v` says so. */
function isRecord(value: unknown): value is DecisionRecord {
  const verdict = member(value, 'verdict');
  return (
    member(value, 'v') === 1 &&
    typeof member(value, 'decision_id') === 'string' &&
    typeof member(value, 'reason') === 'string' &&
    (verdict === 'allow' || verdict === 'deny')
  );
}
