import { pathProblem } from '../schema/path.ts';
import { LemmaClientError } from './errors.ts';
import { readUpTo } from './read-up-to.ts';

/** A request that is ready to be signed. */
export interface Outgoing {
  readonly method: string;
  readonly url: URL;
  readonly headers: Headers;
  /** Held whole where a PoP will cover it; else as it was given. Null: none. */
  readonly body: Uint8Array<ArrayBuffer> | ReadableStream<Uint8Array> | null;
  readonly init: RequestInit;
}

/** `RequestInit`'s members that a Request carries too, beside method, headers, body and redirect. */
const KEPT = [
  'cache',
  'credentials',
  'integrity',
  'keepalive',
  'mode',
  'referrer',
  'referrerPolicy',
  'signal',
] as const;

/**
 * The arguments of `fetch` as one request; `most`: bytes of a body that are held, null where it need not be held.
 *
 * @throws LemmaClientError `header_reserved`, `path_ambiguous`, `body_too_large`
 * @throws TypeError as `fetch` does
 */
export async function outgoingOf(
  input: string | URL | Request,
  init: RequestInit,
  most: number | null,
): Promise<Outgoing> {
  const streams = init.body instanceof ReadableStream ? { duplex: 'half' } : {};
  const request = new Request(input, { ...init, ...streams } as RequestInit);
  const url = new URL(request.url);
  url.hash = '';
  const problem = pathProblem(url.pathname, true);
  if (problem !== null)
    throw new LemmaClientError('path_ambiguous', `${url.pathname}: ${problem.problem}; it would be denied`);
  const reserved = [...request.headers.keys()].find((name) => name.startsWith('x-lemma-'));
  if (reserved !== undefined)
    throw new LemmaClientError('header_reserved', `${reserved}: is set here; leave it out`);
  const kept = input instanceof Request ? Object.fromEntries(KEPT.map((name) => [name, input[name]])) : {};
  return {
    ...{ method: request.method, url, headers: new Headers(request.headers) },
    body: await bodyOf(request, most),
    // Given on their own, not as a Request: another implementation of fetch knows only its own Request.
    init: { ...kept, ...init },
  };
}

async function bodyOf(request: Request, most: number | null): Promise<Outgoing['body']> {
  if (request.method === 'GET' || request.method === 'HEAD') return null;
  // Firefox shows no stream of a request's body.
  if (!('body' in request) || request.body === undefined) return new Uint8Array(await request.arrayBuffer());
  if (request.body === null || most === null) return request.body;
  const bytes = await readUpTo(request.body, most);
  if (bytes !== null) return Uint8Array.from(bytes);
  throw new LemmaClientError(
    'body_too_large',
    `the body is over ${most} bytes, and a PoP covers it whole: raise body_limit, or send it in parts`,
  );
}
