import { toBase64url } from '../crypto/base64url.ts';
import { isOrigin } from '../schema/origin.ts';
import { signedHeaders } from './attach.ts';
import { type Credential, readCredential } from './credential.ts';
import { denialOf } from './denial.ts';
import { LemmaClientError, LemmaDenied } from './errors.ts';
import { byTimer, createHolder, type Holder, type LemmaEvent, type Schedule } from './holder.ts';
import type { LemmaKey } from './key.ts';
import { type Outgoing, outgoingOf } from './outgoing.ts';
import { renewProof } from './renew.ts';
import { narrowToRun, type RunOptions } from './run.ts';

export interface LemmaFetchOptions {
  /** A runtime's or a run's: the JSON that LEMMA_PROOF_FILE holds, as object or text, or the header's value. */
  readonly credential: unknown;
  /** The key that it binds: each request then has a PoP. Without it the credential is shown as a bearer's. */
  readonly key?: LemmaKey;
  /** Has the proof renewed in time. `control`: origin of the control plane. Needs the key. */
  readonly renew?: { readonly control: string };
  /** Origins beside the proof's audience that may see it: a firewall's, which sends it on to none. */
  readonly gateways?: readonly string[];
  /** What is done with requests to any other origin: `refuse` (default), or `pass` them on without the proof. */
  readonly elsewhere?: 'refuse' | 'pass';
  /** A denial is thrown as LemmaDenied (default), or returned as the response that it is. */
  readonly denials?: 'throw' | 'return';
  /** Bytes of a body that are held, to be signed; default 16 MiB. */
  readonly body_limit?: number;
  readonly onEvent?: (event: LemmaEvent) => void;
  /** Default: the global one. */
  readonly fetch?: typeof fetch;
  /** Milliseconds since 1970. Default: the machine's. */
  readonly clock?: () => number;
  /** Default: `setTimeout`, which keeps no process alive. */
  readonly schedule?: Schedule;
}

/** `fetch`, with a proof. It rejects as `fetch` does, and with LemmaClientError or LemmaDenied. */
export interface LemmaFetch {
  (input: string | URL | Request, init?: RequestInit): Promise<Response>;
  /** The one in use. */
  readonly credential: Credential;
  /** Renews now. Throws LemmaClientError. */
  renew(): Promise<Credential>;
  /** Goes on with another proof for the same key: what an operator issued or approved anew. */
  use(credential: unknown): void;
  /** One for a single job: a run with its own key and budget, signed here, which ends by itself. */
  narrow(run: RunOptions): Promise<LemmaFetch>;
  /** Renews no more. */
  close(): void;
}

const BODY_LIMIT = 16 * 1024 * 1024;
const MOST_REDIRECTS = 5;
const REDIRECTS: readonly number[] = [301, 302, 303, 307, 308];
/** After these a renewal is never asked for again. */
const FINAL: readonly string[] = ['runtime_killed', 'revoked'];

/** @throws LemmaClientError `options_invalid` */
export function createLemmaFetch(options: LemmaFetchOptions): LemmaFetch {
  const credential = readCredential(options.credential);
  check(options, credential);
  const { key = null, renew, clock = Date.now, schedule = byTimer, onEvent = () => {} } = options;
  const base: typeof fetch = options.fetch ?? ((...args) => globalThis.fetch(...args));
  const holder = createHolder({
    ...{ credential, clock, schedule, onEvent },
    renew:
      renew === undefined || key === null
        ? null
        : (present) =>
            renewProof({ fetch: base, control: renew.control, credential: present, key, now: clock() }),
  });
  return assemble({ options, key, base, clock, holder });
}

interface Parts {
  readonly options: LemmaFetchOptions;
  readonly key: LemmaKey | null;
  readonly base: typeof fetch;
  readonly clock: () => number;
  readonly holder: Holder;
}

function assemble(parts: Parts): LemmaFetch {
  const { options, key, base, clock, holder } = parts;
  const { body_limit: limit = BODY_LIMIT } = options;

  async function lemmaFetch(input: string | URL | Request, init: RequestInit = {}): Promise<Response> {
    if (options.elsewhere === 'pass' && !covers(parts, new URL(urlOf(input), baseUrl())))
      return base(input, init);
    const request = await outgoingOf(input, init, key === null ? null : limit);
    const response = await send(parts, request);
    const denial = await denialOf(response);
    if (denial === null) return response;
    if (FINAL.includes(denial.reason))
      holder.stop(
        new LemmaClientError('renewal_stopped', `a request was denied: ${denial.reason}`, {
          reason: denial.reason,
        }),
      );
    if (options.denials === 'return') return response;
    throw new LemmaDenied(denial, response);
  }

  return Object.defineProperty(
    Object.assign(lemmaFetch, {
      renew: () => holder.renew(),
      use(given: unknown) {
        const credential = readCredential(given);
        check(options, credential);
        holder.replace(credential);
      },
      async narrow(run: RunOptions) {
        if (key === null)
          throw new LemmaClientError('options_invalid', "key: a run is signed with the runtime's");
        const now = Math.floor(clock() / 1000);
        const narrowed = await narrowToRun({ credential: await holder.current(), key }, run, now);
        const { renew: _none, ...rest } = options;
        return createLemmaFetch({ ...rest, ...narrowed });
      },
      close: () => holder.close(),
    }),
    'credential',
    { get: () => holder.credential, enumerable: true },
  ) as unknown as LemmaFetch;
}

/** Sends it with the proof, and follows redirects of what only reads, each signed anew. */
async function send(parts: Parts, request: Outgoing): Promise<Response> {
  let { url } = request;
  for (let followed = 0; ; followed += 1) {
    const response = await sendOnce(parts, request, url);
    if (request.init.redirect === 'manual') return response;
    const hidden = response.type === 'opaqueredirect';
    if (!hidden && !REDIRECTS.includes(response.status)) return response;
    const location = hidden ? null : response.headers.get('location');
    const reads = request.method === 'GET' || request.method === 'HEAD';
    if (location === null && !hidden) return response;
    if (location === null || !reads || request.init.redirect === 'error' || followed === MOST_REDIRECTS)
      throw new LemmaClientError(
        'redirected',
        `${url.origin}${url.pathname} redirects${location === null ? '' : ` to ${location}`}: ask for that yourself`,
      );
    await response.body?.cancel();
    url = new URL(location, url);
    url.hash = '';
  }
}

async function sendOnce(parts: Parts, request: Outgoing, url: URL): Promise<Response> {
  const { key, base, clock, holder } = parts;
  if (!covers(parts, url))
    throw new LemmaClientError(
      'origin_not_covered',
      `${url.origin} is not in the proof's audience (${holder.credential.audience.join(', ')}): the proof was not shown to it`,
    );
  const credential = await holder.current();
  const { method, body, headers } = request;
  const bytes = body instanceof Uint8Array ? body : null;
  const signed = await signedHeaders({ credential, key, method, url: url.href, body: bytes, now: clock() });
  const all = new Headers(headers);
  for (const [name, value] of Object.entries(signed)) all.set(name, value);
  const streams = body instanceof ReadableStream ? { duplex: 'half' } : {};
  return base(url.href, {
    ...request.init,
    // A redirect followed by fetch itself would take the proof along, to whatever origin.
    ...{ method, headers: all, body, redirect: 'manual' },
    ...streams,
  } as RequestInit);
}

function covers({ holder, options }: Parts, { origin }: URL): boolean {
  return holder.credential.audience.includes(origin) || (options.gateways ?? []).includes(origin);
}

function urlOf(input: string | URL | Request): string {
  return input instanceof Request ? input.url : String(input);
}

/** What a relative URL is relative to: a page's. */
function baseUrl(): string | undefined {
  const { location } = globalThis as { readonly location?: { readonly href?: unknown } };
  return typeof location?.href === 'string' ? location.href : undefined;
}

function check(
  { key, renew, gateways = [], body_limit = 1 }: LemmaFetchOptions,
  credential: Credential,
): void {
  const rules: readonly (readonly [holds: boolean, mend: string])[] = [
    [
      key === undefined || toBase64url(key.publicKey) === credential.key,
      'key: must be the one that the credential binds',
    ],
    [renew === undefined || key !== undefined, 'renew: needs the key, which signs what it asks'],
    [
      renew === undefined || credential.type === 'runtime',
      "renew: only a runtime's proof is renewed; a run ends",
    ],
    [
      renew === undefined || isOrigin(renew.control),
      'renew.control: must be an origin, such as https://lemma.example.com',
    ],
    [gateways.every(isOrigin), 'gateways: must be origins, such as http://127.0.0.1:8787'],
    [Number.isInteger(body_limit) && body_limit > 0, 'body_limit: must be a whole number of bytes'],
  ];
  const broken = rules.find(([holds]) => !holds);
  if (broken !== undefined) throw new LemmaClientError('options_invalid', broken[1]);
}
