import type { Reason } from '../reason.ts';

/**
 * What goes wrong before anything is sent, or around it.
 *
 * - `options_invalid`: names the option and the mend
 * - `origin_not_covered`: the proof is not for that origin, so it was not shown to it
 * - `path_ambiguous`: two parsers might read the path in two ways, so that it would be denied
 * - `header_reserved`: the caller set a header that is the wrapper's to set
 * - `body_too_large`: a PoP covers the body, which cannot be held whole
 * - `redirected`: a redirect was not followed, since it could take the proof elsewhere
 * - `proof_expired`: the proof's time is over and it was not renewed
 * - `renewal_stopped`: it will not be renewed any more; `reason` says why
 * - `renewal_failed`: this time; another try is planned
 */
export type ClientErrorCode =
  | 'options_invalid'
  | 'origin_not_covered'
  | 'path_ambiguous'
  | 'header_reserved'
  | 'body_too_large'
  | 'redirected'
  | 'proof_expired'
  | 'renewal_stopped'
  | 'renewal_failed';

export class LemmaClientError extends Error {
  override readonly name = 'LemmaClientError';
  readonly code: ClientErrorCode;
  /** Code that the control plane gave, where it was one that ended or broke a renewal. */
  readonly reason: string | null;
  /** Milliseconds that the control plane asked to wait; 0 where it did not. */
  readonly retryAfterMs: number;

  constructor(
    code: ClientErrorCode,
    message: string,
    more: { readonly reason?: string; readonly retryAfterMs?: number; readonly cause?: unknown } = {},
  ) {
    super(message, 'cause' in more ? { cause: more.cause } : {});
    this.code = code;
    this.reason = more.reason ?? null;
    this.retryAfterMs = more.retryAfterMs ?? 0;
  }
}

/** What a denial says to its caller. The detail is for operators: `lemma decisions explain <decision_id>`. */
export interface DenialFacts {
  readonly reason: Reason;
  /** HTTP status. */
  readonly status: number;
  readonly decision_id: string | null;
  readonly request_id: string | null;
}

/** A request was denied. `response` is whole: its body is still to be read. */
export class LemmaDenied extends Error implements DenialFacts {
  override readonly name = 'LemmaDenied';
  readonly reason: Reason;
  readonly status: number;
  readonly decision_id: string | null;
  readonly request_id: string | null;
  readonly response: Response;

  constructor(facts: DenialFacts, response: Response) {
    super(`denied: ${facts.reason}${facts.decision_id === null ? '' : ` (${facts.decision_id})`}`);
    this.reason = facts.reason;
    this.status = facts.status;
    this.decision_id = facts.decision_id;
    this.request_id = facts.request_id;
    this.response = response;
  }
}
