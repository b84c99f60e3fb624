import type { ApiErrorCode } from '../schema/api.ts';

/** A verb that cannot be done, though its input is well formed. The message is for the operator who asked. */
export class Refusal extends Error {
  override readonly name = 'Refusal';
  readonly code: ApiErrorCode;
  /** When to ask again, seconds; null: not by waiting. */
  readonly retryAfterS: number | null;

  constructor(code: ApiErrorCode, message: string, retryAfterS: number | null = null) {
    super(message);
    this.code = code;
    this.retryAfterS = retryAfterS;
  }
}

/** `waitMs`: how long until it may be asked again. */
export function tooMany(what: string, waitMs: number): Refusal {
  const seconds = Math.ceil(waitMs / 1000);
  return new Refusal('rate_limited', `${what}: wait ${seconds} s`, seconds);
}

/** The same for what is not there and for what another organisation has: neither may be told from the other. */
export function notFound(what: string): Refusal {
  return new Refusal('not_found', `no such ${what}`);
}
