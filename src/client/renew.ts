import { signedHeaders } from './attach.ts';
import { type Credential, isRecord, readCredential } from './credential.ts';
import { jsonOf } from './denial.ts';
import { LemmaClientError } from './errors.ts';
import type { LemmaKey } from './key.ts';

/** Path of the verb, on the control plane's listener. */
const ISSUE_PROOF = '/api/wallet/runtimes/issue-proof';
const ANSWER_WITHIN_MS = 10_000;
/**
 * Refusals after which a second try may go well: a containment is lifted, a clock comes right, a nonce is another one.
 * Any other 4xx ends it: a kill, a revocation, a taint that a person must approve, a proof that is not renewed.
 */
const PASSING: readonly string[] = ['runtime_inactive', 'pop_stale', 'replay_detected'];

export interface RenewalOf {
  readonly fetch: typeof fetch;
  /** Origin of the control plane. */
  readonly control: string;
  readonly credential: Credential;
  readonly key: LemmaKey;
  /** Milliseconds since 1970. */
  readonly now: number;
}

/**
 * Asks the authority for the runtime's next proof, with the present one and a PoP over this very request.
 *
 * @throws LemmaClientError `renewal_stopped` when it is not to be had, `renewal_failed` when another try may go well
 */
export async function renewProof(renewal: RenewalOf): Promise<Credential> {
  const { control, credential, key } = renewal;
  const { runtime_id } = credential.claims;
  const body = new TextEncoder().encode(
    JSON.stringify({
      ...{ runtime_id, key: credential.key },
      ...{ scope: credential.scope, audience: credential.audience },
    }),
  );
  const url = new URL(ISSUE_PROOF, control).href;
  const signed = await signedHeaders({ credential, key, method: 'POST', url, body, now: renewal.now });
  const response = await send(renewal.fetch, url, { ...signed, 'content-type': 'application/json' }, body);
  const answer = jsonOf(new Uint8Array(await response.arrayBuffer().catch(() => new ArrayBuffer())));
  if (!response.ok) throw refusalOf(response, isRecord(answer) ? answer.error : undefined);
  const next = isRecord(answer) ? credentialIn(answer.credential) : null;
  if (next === null || next.key !== credential.key || next.claims.runtime_id !== runtime_id)
    throw new LemmaClientError('renewal_stopped', 'the control plane answered with no proof of this runtime');
  return next;
}

async function send(
  fetcher: typeof fetch,
  url: string,
  headers: Record<string, string>,
  body: Uint8Array<ArrayBuffer>,
): Promise<Response> {
  try {
    const signal = AbortSignal.timeout(ANSWER_WITHIN_MS);
    return await fetcher(url, { method: 'POST', headers, body, redirect: 'error', signal });
  } catch (cause) {
    throw new LemmaClientError('renewal_failed', 'the control plane did not answer', { cause });
  }
}

function credentialIn(value: unknown): Credential | null {
  try {
    return readCredential(value);
  } catch {
    return null;
  }
}

function refusalOf(response: Response, error: unknown): LemmaClientError {
  const reason = typeof error === 'string' ? error : `http_${response.status}`;
  const again = response.status >= 500 || response.status === 429 || PASSING.includes(reason);
  const code = again ? 'renewal_failed' : 'renewal_stopped';
  const seconds = Number(response.headers.get('retry-after') ?? 0);
  const retryAfterMs = Number.isFinite(seconds) ? seconds * 1000 : 0;
  return new LemmaClientError(code, `the control plane refused: ${reason}`, { reason, retryAfterMs });
}
