import { KeyFileError } from '../authority/secret-file.ts';
import type { PolicyProblem } from '../policy/compiler/answers.ts';
import { type Compiler, CompilerUnavailable, openCompiler } from '../policy/compiler/compiler.ts';
import { lineOf, PolicyRefused } from '../policy/make.ts';
import { Denial, InputError } from '../reason.ts';
import { CliError } from './exit.ts';

/** The policies are wrong: a line `file:line:col: code: message` for each problem. */
export function refusal(problems: readonly PolicyProblem[]): CliError {
  const count = problems.length === 1 ? '1 problem' : `${problems.length} problems`;
  const message = [count, ...problems.map(lineOf)].join('\n');
  return new CliError('policy_invalid', message, 1, { problems });
}

/** Runs a command's work; what a user can cause comes out as a CliError. */
export async function explained<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw cliErrorOf(error);
  }
}

/** As `explained`, with a compiler that is closed at the end. */
export function withCompiler<T>(work: (compiler: Compiler) => Promise<T>): Promise<T> {
  return explained(async () => {
    const compiler = await openCompiler();
    try {
      return await work(compiler);
    } finally {
      await compiler.close();
    }
  });
}

function cliErrorOf(error: unknown): unknown {
  if (error instanceof PolicyRefused) return refusal(error.problems);
  if (error instanceof CompilerUnavailable) return new CliError('compiler_unavailable', error.message);
  if (error instanceof InputError)
    return new CliError('input_invalid', error.message, 1, { problems: error.problems });
  if (error instanceof Denial) return new CliError(error.code, error.message, 1, { facts: error.facts });
  if (error instanceof KeyFileError) return new CliError('key_file', error.message);
  // A file that cannot be read or written.
  if (error instanceof Error && 'syscall' in error && 'path' in error)
    return new CliError('file_error', error.message);
  return error;
}
