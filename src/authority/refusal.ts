import type { ApiErrorCode } from '../schema/api.ts';

/** A verb that cannot be done, though its input is well formed. The message is for the operator who asked. */
export class Refusal extends Error {
  override readonly name = 'Refusal';
  readonly code: ApiErrorCode;
  /** Seconds after which asking again makes sense; null: it says nothing of that. */
  readonly retryAfter: number | null;

  constructor(code: ApiErrorCode, message: string, retryAfter: number | null = null) {
    super(message);
    this.code = code;
    this.retryAfter = retryAfter;
  }
}

/** The same for what is not there and for what another organisation has: neither may be told from the other. */
export function notFound(what: string): Refusal {
  return new Refusal('not_found', `no such ${what}`);
}
