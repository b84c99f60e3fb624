import { Command, CommanderError } from 'commander';
import { KeyFileError } from '../authority/secret-file.ts';
import { type Environment, invocation, userFolder } from '../config/environment.ts';
import { ConfigError } from '../config/error.ts';
import { FolderError } from '../config/make-folder.ts';
import { StoreOpenError } from '../store/errors.ts';
import type { Call, CommandFile, Options, Result } from './command.ts';
import { COMMANDS, type Entry, type Group } from './commands.ts';
import { CliError, EXIT, type ExitCode } from './exit.ts';
import { type Terminal, terminalOf } from './terminal.ts';
import { version } from './version.ts';

/** Runs one command line and says how it went. Never throws for what a user can cause. */
export async function runCli(argv: readonly string[], env: Environment): Promise<ExitCode> {
  const json = argv.slice(0, endOfOptions(argv)).includes('--json');
  const terminal = terminalOf(process.stdout, process.stderr);
  const words = argv.filter((word) => !word.startsWith('-'));
  // `help kill` and `decisions help tail` print what the command itself defines, so that it is loaded.
  const { path, chosen } = choose(words.filter((word, at) => at > 1 || word !== 'help'));
  const say = (result: Result) => {
    const { failure = null, data } = result;
    if (json) terminal.line(envelope(path, failure === null, failure, data));
    else for (const line of result.lines) terminal.line(line);
  };
  try {
    const file = chosen === null ? null : await chosen.load();
    const parsed = parse(argv, { chosen, file, json });
    if (file === null || parsed === null) return EXIT.done;
    const { args, options } = parsed;
    const program = invocation(env);
    const folder = userFolder(env);
    // Loaded only where Node heeds a proxy: it costs each command's start.
    if (`${env.NODE_USE_ENV_PROXY ?? ''}${env.NODE_OPTIONS ?? ''}` !== '')
      (await import('./local/own-proxy.ts')).passOwnFirewall({ env, folder });
    const sorry = (error: unknown) => void complain(failureOf(error), path, json, terminal);
    const call: Call = { args, options, env, folder, program, json, terminal, report: say, complain: sorry };
    const result = await file.run(call);
    if (result !== null) say(result);
    return result?.failure === undefined ? EXIT.done : EXIT.failed;
  } catch (error) {
    const failure = failureOf(error);
    const meant = path === '' && failure?.code === 'usage' ? withGroup(words[0] ?? '') : [];
    if (failure === null || meant.length === 0) return complain(failure, path, json, terminal);
    const hint = `(Did you mean ${meant.join(' or ')}?)`;
    const data = { ...failure.data, message: `${failure.data.message}\n${hint}` };
    return complain({ ...failure, data, lines: [hint] }, path, json, terminal);
  }
}

/** Commands that are found in a group under a name that was given without it: `explain` is `decisions explain`. */
function withGroup(name: string): string[] {
  return COMMANDS.flatMap((group) =>
    'entries' in group
      ? group.entries.filter((entry) => entry.name === name).map((entry) => `${group.name} ${entry.name}`)
      : [],
  );
}

function endOfOptions(argv: readonly string[]): number {
  const end = argv.indexOf('--');
  return end === -1 ? argv.length : end;
}

/** The command that the first words name; null where they name a group, or nothing. */
function choose(words: readonly string[]): { path: string; chosen: Entry | null } {
  const [first = '', second = ''] = words;
  const entry = COMMANDS.find((c) => c.name === first || ('aliases' in c && c.aliases?.includes(first)));
  if (entry === undefined) return { path: '', chosen: null };
  if ('load' in entry) return { path: entry.name, chosen: entry };
  const inner = entry.entries.find((e) => e.name === second);
  return { path: inner === undefined ? entry.name : `${entry.name} ${inner.name}`, chosen: inner ?? null };
}

interface Choice {
  readonly chosen: Entry | null;
  readonly file: CommandFile | null;
  readonly json: boolean;
}

/** Arguments and options of the chosen command; null after help or the version was asked for. Throws CommanderError. */
function parse(
  argv: readonly string[],
  choice: Choice,
): { args: readonly string[]; options: Options } | null {
  let parsed: { args: readonly string[]; options: Options } | null = null;
  const program = root(choice.json);
  for (const entry of COMMANDS) register(program, entry, choice);
  program.hook('preAction', (_, command) => {
    parsed = { args: command.args, options: command.optsWithGlobals() };
  });
  program.parse(argv, { from: 'user' });
  return parsed;
}

function root(json: boolean): Command {
  return new Command('lemma')
    .description('Authorization for AI agents: signed proofs, live state and policy answer allow or deny.')
    .version(version(), '-V, --version', 'Print the version')
    .helpOption('-h, --help', 'Print this help')
    .helpCommand('help [command]', 'Print the help of a command')
    .option('--json', 'Answer with one JSON object')
    .exitOverride()
    .configureOutput({ writeErr: (text) => (json ? undefined : process.stderr.write(text)) });
}

function register(parent: Command, entry: Entry | Group, choice: Choice): void {
  const command = parent.command(entry.name).description(entry.summary);
  if ('entries' in entry) {
    for (const inner of entry.entries) register(command, inner, choice);
    return;
  }
  command
    .aliases(entry.aliases ?? [])
    .option('--json', 'Answer with one JSON object')
    .action(() => undefined);
  if (entry === choice.chosen) choice.file?.define(command);
}

interface Failure {
  readonly code: string;
  readonly exit: ExitCode;
  readonly data: Readonly<Record<string, unknown>>;
  readonly lines: readonly string[];
}

function failureOf(error: unknown): Failure | null {
  if (error instanceof CommanderError) {
    if (error.exitCode === 0) return null;
    // Commander has printed its own message, with the nearest name.
    const message =
      error.code === 'commander.help' ? 'no command was given' : error.message.replace(/^error: /, '');
    return { code: 'usage', exit: EXIT.misused, data: { message }, lines: [] };
  }
  if (error instanceof ConfigError) {
    const { message, problems } = error;
    return {
      code: 'config_invalid',
      exit: EXIT.misused,
      data: { message, problems },
      lines: message.split('\n'),
    };
  }
  if (error instanceof CliError) {
    const { code, exit, message } = error;
    return { code, exit, data: { message, ...error.data }, lines: [`error: ${message}`] };
  }
  if (error instanceof FolderError) {
    const { message } = error;
    return { code: 'folder_unusable', exit: EXIT.misused, data: { message }, lines: [`error: ${message}`] };
  }
  if (error instanceof KeyFileError) {
    const { message, path } = error;
    return {
      code: 'file_unsafe',
      exit: EXIT.failed,
      data: { message, file: path },
      lines: [`error: ${message}`],
    };
  }
  if (error instanceof StoreOpenError) {
    const { message } = error;
    return { code: 'store_unusable', exit: EXIT.failed, data: { message }, lines: [`error: ${message}`] };
  }
  const message = error instanceof Error ? error.message : String(error);
  const lines = [`error: ${message}`, ...(error instanceof Error && error.stack ? [error.stack] : [])];
  return { code: 'internal_error', exit: EXIT.failed, data: { message }, lines };
}

function complain(failure: Failure | null, path: string, json: boolean, terminal: Terminal): ExitCode {
  if (failure === null) return EXIT.done;
  if (json) terminal.line(envelope(path, false, failure.code, failure.data));
  else for (const line of failure.lines) terminal.note(terminal.styleNote('red', line));
  return failure.exit;
}

function envelope(command: string, ok: boolean, code: string | null, data: unknown): string {
  return JSON.stringify({ schema_version: 1, command, ok, error_code: code, data });
}
