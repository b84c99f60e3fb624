import { InputError } from '../reason.ts';
import type { Profile } from '../schema/common.ts';
import { BUNDLE_LIMITS, type Bundle, filesInTar, loadBundle } from './bundle.ts';

/** Bundles that a web server has, each at `<url>/<profile>.tar.gz`: the last of each is kept, and not sent again while its ETag holds. */
export interface BundleServer {
  /** Throws InputError: no answer, another status than 200 or 304, no bundle. */
  read(url: string, profile: Profile): Promise<Bundle>;
}

interface Kept {
  readonly etag: string;
  readonly bundle: Bundle;
}

const ANSWER_MS = 30_000;

export function createBundleServer(): BundleServer {
  const kept = new Map<string, Kept>();

  return {
    async read(url, profile) {
      const address = `${url.replace(/\/+$/, '')}/${profile}.tar.gz`;
      const known = kept.get(address);
      const response = await answerOf(address, known?.etag);
      if (response.status === 304 && known !== undefined) return known.bundle;
      if (response.status !== 200) {
        await response.body?.cancel().catch(() => undefined);
        throw problem(`${address} answered ${response.status}`);
      }
      const bundle = await loadBundle(filesInTar(await bytesOf(response, address)));
      const etag = response.headers.get('etag');
      if (etag === null) kept.delete(address);
      else kept.set(address, { etag, bundle });
      return bundle;
    },
  };
}

async function answerOf(address: string, etag: string | undefined): Promise<Response> {
  try {
    return await fetch(address, {
      // A redirect would be another server than the one that was named.
      redirect: 'error',
      headers: etag === undefined ? {} : { 'if-none-match': etag },
      signal: AbortSignal.timeout(ANSWER_MS),
    });
  } catch (error) {
    throw unanswered(address, error);
  }
}

async function bytesOf(response: Response, address: string): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  try {
    for await (const chunk of response.body ?? []) {
      size += chunk.length;
      if (size > BUNDLE_LIMITS.totalBytes) break;
      chunks.push(chunk);
    }
  } catch (error) {
    throw unanswered(address, error);
  }
  if (size > BUNDLE_LIMITS.totalBytes)
    throw problem(`${address} is larger than ${BUNDLE_LIMITS.totalBytes} bytes`);
  return Buffer.concat(chunks);
}

function unanswered(address: string, error: unknown): InputError {
  const cause = error instanceof Error && error.cause instanceof Error ? error.cause.message : String(error);
  return problem(`no answer from ${address}: ${cause}`);
}

function problem(message: string): InputError {
  return new InputError([{ field: '', message }]);
}
