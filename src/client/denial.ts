import { isReason } from '../reason.ts';
import { isRecord } from './credential.ts';
import type { DenialFacts } from './errors.ts';
import { readUpTo } from './read-up-to.ts';

/** A denial is far shorter; what is longer is somebody else's answer. */
const MOST_BYTES = 16 * 1024;

/** What a response denies, or null for any other answer, an upstream's own 403 among them. The response stays whole. */
export async function denialOf(response: Response): Promise<DenialFacts | null> {
  if (response.status < 400 || response.bodyUsed || response.body === null) return null;
  const copy = response.clone().body;
  const bytes = copy === null ? null : await readUpTo(copy, MOST_BYTES);
  const body = bytes === null ? null : jsonOf(bytes);
  if (!isRecord(body) || body.success !== false || typeof body.error !== 'string' || !isReason(body.error))
    return null;
  return {
    reason: body.error,
    status: response.status,
    decision_id: textOf(body.decision_id) ?? response.headers.get('x-lemma-decision-id'),
    request_id: textOf(body.request_id),
  };
}

export function jsonOf(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder().decode(bytes));
  } catch {
    return null;
  }
}

function textOf(value: unknown): string | null {
  return typeof value === 'string' ? value : null;
}
