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

/** A recorded decision, and its line as it is stored. */
export interface Recorded {
  readonly record: DecisionRecord;
  readonly line: string;
}

const DECISION_ID = /^dec_[A-Za-z0-9_-]+$/;
/** What an export has beside the records. */
const STATEMENTS = ['checkpoint', 'pruned', 'withheld', 'end', 'next_cursor'];

/**
 * What is to be replayed: of files (as `lemma decisions export` writes them), of decisions by their ids, or, where neither is
 * named, of the running service's log by the filters. A later record of the same decision amends the one before.
 *
 * @throws CliError, misuse
 */
export async function* recordedIn(call: Call): AsyncGenerator<Recorded, void, undefined> {
  const filters = filterQuery(call);
  if (call.args.length === 0) {
    yield* inStream(await controlApi(call).stream(`${exportPath(false)}?${filters}`), 'the log');
    return;
  }
  if (filters.size > 0) throw misuse('filters are for the log of the running service: name no file or id');
  for (const source of call.args) {
    if (DECISION_ID.test(source)) yield await byId(call, source);
    else yield* inFile(resolve(call.folder, source));
  }
}

async function byId(call: Call, id: string): Promise<Recorded> {
  const { record } = await explanationOf(controlApi(call), id);
  return { record, line: JSON.stringify(record) };
}

async function* inFile(path: string): AsyncGenerator<Recorded, void, undefined> {
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
): AsyncGenerator<Recorded, void, undefined> {
  let number = 0;
  for await (const line of splitLines(chunks)) {
    number += 1;
    if (line.trim() === '') continue;
    const value = parsed(line);
    if (isRecord(value)) yield { record: value, line };
    else if (!STATEMENTS.some((name) => member(value, name) !== null))
      throw new CliError(
        'input_invalid',
        `${place}, line ${number}: is no decision record: give what \`lemma decisions export\` wrote, as ndjson`,
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
