import { createReadStream } from 'node:fs';
import { join, resolve } from 'node:path';
import type { Command } from 'commander';
import { type KnownKeys, knownCheckpointKeys, publicKeysOf } from '../authority/key-ring.ts';
import { KeyFileError } from '../authority/secret-file.ts';
import { thumbprint } from '../crypto/thumbprint.ts';
import { provenLines } from '../decision-log/export.ts';
import { splitLines } from '../decision-log/split-lines.ts';
import { type ChainReport, type ChainSummary, type Fault, verifyChain } from '../decision-log/verify.ts';
import { StoreOpenError } from '../store/errors.ts';
import { openReader, type StoreReader } from '../store/reader.ts';
import { type Call, collect, listOption, type Result, textOption } from './command.ts';
import { controlApi, defineControlOptions } from './control-api.ts';
import { exportPath } from './decisions-export.ts';
import { CliError, EXIT } from './exit.ts';
import { dataFolder } from './local/folder.ts';
import { publicKeys } from './policy-keys.ts';
import { signingKeysOf } from './signing-keys.ts';

export function define(command: Command): void {
  command.option('--file <export>', 'An export, instead of the log itself');
  command.option(
    '--key <key>',
    'Trusted public key of checkpoints: base64url, JWK, or file of a JWK (repeatable; default: those that the service, or the key in the data folder, endorses)',
    collect,
  );
  defineControlOptions(command);
}

const SELF_NAMED =
  'the data folder has no key of its own: the database itself names those that its checkpoints were checked with; give --key';

/** Faults that a person is shown; --json has more. */
const SHOWN = 20;

/**
 * Checks every record against its chain, and the chain against the signed checkpoints: of an export, of the running
 * service, or, where none answers, of the database in the data folder. Exit 0: whole; 1: something was changed; 2: could not be checked.
 */
export async function run(call: Call): Promise<Result> {
  const file = textOption(call.options, 'file');
  const given = publicKeys(call, listOption(call.options, 'key'));
  const own =
    given.length === 0 ? null : { keys: new Map(given.map((key) => [thumbprint(key), key])), endorsed: true };
  const { report, source, endorsed } = await (file === undefined
    ? verifyLog(call, own)
    : verifyFile(call, resolve(call.folder, file), own));
  const data = { source, keys_endorsed: endorsed, ...report };
  if (!endorsed) call.terminal.note(call.terminal.styleNote('yellow', `warning: ${SELF_NAMED}`));
  if (report.ok) return { data, lines: [`${source}: whole`, ...report.chains.flatMap(chainLines)] };
  const shown = report.faults.slice(0, SHOWN).map(faultLine);
  const more = report.faultCount > SHOWN ? [`and ${report.faultCount - SHOWN} more`] : [];
  const count = report.faultCount === 1 ? 'one thing is' : `${report.faultCount} things are`;
  throw new CliError(
    'log_broken',
    [`${source}: ${count} wrong`, ...shown, ...more].join('\n  '),
    EXIT.failed,
    data,
  );
}

interface Verified {
  readonly source: string;
  readonly endorsed: boolean;
  readonly report: ChainReport;
}

async function verifyFile(call: Call, path: string, own: KnownKeys | null): Promise<Verified> {
  const { keys, endorsed } = own ?? (await knownKeys(call));
  const lines = splitLines(createReadStream(path));
  const report = await verifyChain(lines, [], keys, { complete: true }).catch((error: unknown) => {
    throw uncheckable('file_unreadable', `${path} cannot be read: ${messageOf(error)}`);
  });
  return { source: path, endorsed, report };
}

async function verifyLog(call: Call, own: KnownKeys | null): Promise<Verified> {
  return (await throughService(call, own)) ?? throughDatabase(call, own);
}

/** Null where no service answers. */
async function throughService(call: Call, own: KnownKeys | null): Promise<Verified | null> {
  const service = await serviceOf(call);
  if (service === null) return null;
  const stream = await service.api.stream(exportPath(true));
  const { keys } = own ?? service;
  const report = await verifyChain(splitLines(stream), [], keys, { complete: true });
  return { source: `the log of ${service.api.base}`, endorsed: true, report };
}

async function throughDatabase(call: Call, own: KnownKeys | null): Promise<Verified> {
  return withReader(call, async (reader, path) => {
    const { keys, endorsed } = own ?? (await folderKeys(call, reader));
    const texts = async function* () {
      for await (const { line } of provenLines(reader, 'any')) yield line;
    };
    return { source: path, endorsed, report: await verifyChain(texts(), [], keys) };
  });
}

async function knownKeys(call: Call): Promise<KnownKeys> {
  const service = await serviceOf(call);
  if (service !== null) return { keys: service.keys, endorsed: true };
  return withReader(call, (reader) => folderKeys(call, reader));
}

async function folderKeys(call: Call, reader: StoreReader): Promise<KnownKeys> {
  try {
    return knownCheckpointKeys(dataFolder(call), await reader.signingKeys());
  } catch (error) {
    throw error instanceof KeyFileError ? uncheckable('key_unusable', error.message) : error;
  }
}

async function serviceOf(call: Call) {
  try {
    const api = controlApi(call);
    const keys = publicKeysOf(signingKeysOf(await api.get('/api/wallet/keys')), 'checkpoint');
    return { api, keys };
  } catch (error) {
    const silent = error instanceof CliError && ['unreachable', 'operator_key_missing'].includes(error.code);
    // Who names a service means that one, and no database.
    if (silent && call.options.apiBase === undefined) return null;
    throw error;
  }
}

async function withReader<T>(call: Call, use: (reader: StoreReader, path: string) => Promise<T>): Promise<T> {
  const path = join(dataFolder(call), 'lemma.db');
  let reader: StoreReader;
  try {
    reader = openReader(path);
  } catch (error) {
    if (!(error instanceof StoreOpenError)) throw error;
    const hint = 'No service answers either; another place: --data <folder>, --api-base <url>, --key <key>';
    throw uncheckable('store_unusable', `${error.message}. ${hint}`);
  }
  try {
    return await use(reader, path);
  } finally {
    reader.close();
  }
}

function uncheckable(code: string, message: string): CliError {
  return new CliError(code, message, EXIT.misused);
}

function chainLines({ node, first, last, vouched, lost, pruned, withheld }: ChainSummary): string[] {
  const notes = [
    ...(pruned === null ? [] : [`records up to ${pruned} pruned, as a signed statement says`]),
    ...(lost === 0 ? [] : [`${lost} lost before they were written, as the chain says`]),
    ...(withheld === 0 ? [] : [`${withheld} of other organisations not shown, and so not checked`]),
    ...(vouched === last
      ? []
      : [`no checkpoint yet after ${vouched ?? 'the first'}: a cut there would not show`]),
  ];
  return [`${node}: records ${first} to ${last}`, ...notes.map((note) => `  ${note}`)];
}

function faultLine({ kind, node, seq, decision_id, line, message }: Fault): string {
  const where = [
    ...(node === null ? [] : [node]),
    ...(seq === null ? [] : [`record ${seq}`]),
    ...(decision_id === null ? [] : [decision_id]),
    ...(line === null ? [] : [`line ${line}`]),
  ];
  return `${kind}  ${where.join(', ')}: ${message}`;
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
