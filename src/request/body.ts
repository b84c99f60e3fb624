import type { AuthzRequest, BodyFacts } from '../schema/request.ts';
import { linesOf } from './headers.ts';

const BODILESS = new Set(['GET', 'HEAD', 'OPTIONS', 'DELETE']);

/** Whether there is a body, and whether it was seen whole (proofs.md, step 11). */
export function bodyFacts(request: AuthzRequest): BodyFacts {
  const { seen, partial, size } = request.body;
  const length = contentLength(request);
  const bytes = seen ?? new Uint8Array();
  const known = length !== null || size !== null;
  const exists =
    bytes.length > 0 ||
    (size ?? 0) > 0 ||
    (length !== null && length !== 0) ||
    linesOf(request.headers, 'transfer-encoding').length > 0 ||
    (!BODILESS.has(request.method) && !known);
  if (!exists) return { state: 'none', bytes: new Uint8Array() };
  if (bytes.length === 0) return { state: 'unseen', bytes: null };
  const whole = !partial && (length === null || length === bytes.length) && (size ?? 0) <= bytes.length;
  return whole ? { state: 'complete', bytes } : { state: 'truncated', bytes: null };
}

/** NaN for what is not one length: it equals nothing, so the body never counts as whole. */
function contentLength(request: AuthzRequest): number | null {
  const lines = new Set(linesOf(request.headers, 'content-length'));
  if (lines.size === 0) return null;
  const [line = ''] = lines;
  return lines.size === 1 && /^\d{1,15}$/.test(line) ? Number(line) : Number.NaN;
}
