import { Refusal } from '../authority/refusal.ts';
import { InputError } from '../reason.ts';
import { API_ERRORS, type ApiErrorCode } from '../schema/api.ts';
import { StoreClosedError, StoreReadError, StoreWriteError } from '../store/errors.ts';

/** How a request failed: what the caller is told. `unexpected`: the log is told more. */
export interface Failure {
  readonly code: ApiErrorCode;
  readonly status: number;
  readonly message: string;
  readonly unexpected: boolean;
  /** Seconds; null or absent: nothing is said. */
  readonly retryAfter?: number | null;
}

/** The one shape of every error (interfaces.md, "REST"). */
export interface ErrorBody {
  readonly success: false;
  readonly error: string;
  readonly message: string;
  readonly request_id: string;
  readonly decision_id?: string;
}

/** What Fastify and Node refuse before a handler is reached, by their codes. */
const FRAMEWORK: ReadonlyMap<string, readonly [code: ApiErrorCode, message: string]> = new Map([
  ['FST_ERR_CTP_BODY_TOO_LARGE', ['payload_too_large', 'the body is too large']],
  ['FST_ERR_CTP_INVALID_MEDIA_TYPE', ['unsupported_media_type', 'the body must be application/json']],
  [
    'FST_ERR_CTP_INVALID_CONTENT_LENGTH',
    ['invalid_request', 'the body is not as long as Content-Length says'],
  ],
  ['FST_ERR_BAD_URL', ['invalid_request', 'the path is malformed']],
  ['FST_ERR_MAX_PARAM_LENGTH', ['not_found', 'no such thing here']],
  ['HPE_HEADER_OVERFLOW', ['headers_too_large', 'the headers are too large']],
  ['ERR_HTTP_REQUEST_TIMEOUT', ['request_timeout', 'the request took too long to arrive']],
]);

/** Anything thrown, as what the caller may know of it. */
export function failureOf(error: unknown): Failure {
  if (error instanceof InputError) return failure('invalid_request', error.message);
  if (error instanceof Refusal)
    return { ...failure(error.code, error.message), retryAfter: error.retryAfterS };
  if (
    error instanceof StoreWriteError ||
    error instanceof StoreReadError ||
    error instanceof StoreClosedError
  ) {
    return { ...failure('store_unavailable', 'the store cannot be reached: try again'), unexpected: true };
  }
  const [code, message] = FRAMEWORK.get(memberOf(error, 'code')) ?? [];
  if (code !== undefined && message !== undefined) return failure(code, message);
  const status = Number(memberOf(error, 'statusCode'));
  if (status >= 400 && status < 500) return failure('invalid_request', 'the request cannot be read');
  return { ...failure('internal_error', 'something went wrong here: the log says what'), unexpected: true };
}

/** What is wrong with bytes that are no HTTP request at all. */
export function malformed(error: Error): Failure {
  const [code, message] = FRAMEWORK.get(memberOf(error, 'code')) ?? [];
  return failure(code ?? 'invalid_request', message ?? 'this is not an HTTP request');
}

export function failure(code: ApiErrorCode, message: string): Failure {
  return { code, status: API_ERRORS[code], message, unexpected: false };
}

function memberOf(error: unknown, member: 'code' | 'statusCode'): string {
  if (!(error instanceof Error) || !(member in error)) return '';
  return String((error as Error & { code?: unknown; statusCode?: unknown })[member]);
}
