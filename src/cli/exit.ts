/** What the shell is told. */
export const EXIT = { done: 0, failed: 1, misused: 2 } as const;
export type ExitCode = (typeof EXIT)[keyof typeof EXIT];

/** A command that could not do its work. `code` is for machines, the message for a person: what is wrong and the mend. */
export class CliError extends Error {
  override readonly name = 'CliError';
  readonly code: string;
  readonly exit: ExitCode;
  readonly data: Readonly<Record<string, unknown>>;

  constructor(
    code: string,
    message: string,
    exit: ExitCode = EXIT.failed,
    data: Readonly<Record<string, unknown>> = {},
  ) {
    super(message);
    this.code = code;
    this.exit = exit;
    this.data = data;
  }
}

/** The command line itself is wrong. */
export function misuse(message: string): CliError {
  return new CliError('usage', message, EXIT.misused);
}
