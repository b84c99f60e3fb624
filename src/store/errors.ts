/** Why a database cannot be opened; each message says what to do about it. */
export type OpenFailure =
  | 'symlink'
  | 'not_a_file'
  | 'in_use'
  | 'newer_schema'
  | 'older_schema'
  | 'is_backup'
  | 'not_ours'
  | 'unusable';

abstract class CodedError<Code extends string = string> extends Error {
  readonly code: Code;

  constructor(code: Code, message: string) {
    super(message);
    this.code = code;
  }
}

export class StoreOpenError extends CodedError<OpenFailure> {
  override readonly name = 'StoreOpenError';
}

/** Nothing of this request was kept. `code` is SQLite's (`SQLITE_FULL`, `SQLITE_IOERR_…`). A later one may succeed. */
export class StoreWriteError extends CodedError {
  override readonly name = 'StoreWriteError';
}

/** A read that failed; the store itself may be well. */
export class StoreReadError extends CodedError {
  override readonly name = 'StoreReadError';
}

export type ConflictCode =
  | 'runtime_differs'
  | 'runtime_killed'
  | 'runtime_alive'
  | 'bundle_differs'
  | 'bundle_unknown'
  | 'key_retired'
  | 'document_moved';

/** What is stored already forbids this. */
export class StoreConflict extends CodedError<ConflictCode> {
  override readonly name = 'StoreConflict';
}

export class StoreClosedError extends Error {
  override readonly name = 'StoreClosedError';
}

/** An error as it crosses the thread border, where classes do not. */
export type WireError =
  | { readonly kind: 'open'; readonly code: OpenFailure; readonly message: string }
  | { readonly kind: 'write' | 'read'; readonly code: string; readonly message: string }
  | { readonly kind: 'conflict'; readonly code: ConflictCode; readonly message: string };

/** `otherwise` is what an error that is none of ours means here. */
export function toWire(error: unknown, otherwise: 'write' | 'read'): WireError {
  if (error instanceof StoreOpenError) return { kind: 'open', code: error.code, message: error.message };
  if (error instanceof StoreConflict) return { kind: 'conflict', code: error.code, message: error.message };
  const code = codeOf(error);
  const what = otherwise === 'write' ? 'The store cannot write' : 'The store cannot read';
  return { kind: otherwise, code, message: `${what}: ${messageOf(error)} (${code})` };
}

export function fromWire(error: WireError): Error {
  switch (error.kind) {
    case 'open':
      return new StoreOpenError(error.code, error.message);
    case 'write':
      return new StoreWriteError(error.code, error.message);
    case 'read':
      return new StoreReadError(error.code, error.message);
    case 'conflict':
      return new StoreConflict(error.code, error.message);
  }
}

/** SQLite's or the system's code of an error, `UNKNOWN` where it has none. */
export function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : 'UNKNOWN';
}

export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
