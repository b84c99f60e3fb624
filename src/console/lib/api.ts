/** The one way to the REST API: same origin, the session's cookie, its CSRF token, one error shape. */

/** `code`: of the API's error shape, or `offline` where no answer came. */
export class ApiError extends Error {
  readonly code: string;
  readonly status: number;
  readonly requestId: string | null;

  constructor(code: string, status: number, message: string, requestId: string | null) {
    super(message);
    this.name = 'ApiError';
    this.code = code;
    this.status = status;
    this.requestId = requestId;
  }
}

export type Query = Readonly<Record<string, string | number | null | undefined>>;

let csrfToken: string | null = null;
let signedOut: () => void = () => undefined;

/** Of the session that is signed in; null: none. */
export function setCsrfToken(token: string | null): void {
  csrfToken = token;
}

/** Called when the server no longer knows this session. */
export function onSignedOut(then: () => void): void {
  signedOut = then;
}

export function get<T>(path: string, query: Query = {}, signal?: AbortSignal): Promise<T> {
  return call<T>(`${path}${queryText(query)}`, {
    method: 'GET',
    ...(signal === undefined ? {} : { signal }),
  });
}

export function post<T>(path: string, body?: object): Promise<T> {
  return send<T>('POST', path, body);
}

export function put<T>(path: string, body: object): Promise<T> {
  return send<T>('PUT', path, body);
}

/** `?a=1&b=2` of what is there, or nothing. */
export function queryText(query: Query): string {
  const params = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) {
    if (value !== null && value !== undefined && value !== '') params.set(name, String(value));
  }
  const text = params.toString();
  return text === '' ? '' : `?${text}`;
}

/** Every page of a list that has cursors, `most` items at most. */
export async function all<K extends string, T>(
  path: string,
  member: K,
  query: Query = {},
  most = 5000,
): Promise<T[]> {
  const found: T[] = [];
  for (let cursor: string | null = null; found.length < most; ) {
    const page: Record<K, T[]> & { readonly next_cursor: string | null } = await get(path, {
      ...query,
      cursor,
      limit: 1000,
    });
    found.push(...page[member]);
    cursor = page.next_cursor;
    if (cursor === null) break;
  }
  return found;
}

function send<T>(method: string, path: string, body?: object): Promise<T> {
  const headers: Record<string, string> = {};
  if (csrfToken !== null) headers['x-csrf-token'] = csrfToken;
  if (body !== undefined) headers['content-type'] = 'application/json';
  return call<T>(path, { method, headers, ...(body === undefined ? {} : { body: JSON.stringify(body) }) });
}

async function call<T>(path: string, init: RequestInit): Promise<T> {
  const response = await answerTo(path, init);
  const body: unknown = await response.json().catch(() => null);
  if (response.ok) return body as T;
  throw errorOf(response.status, body);
}

async function answerTo(path: string, init: RequestInit): Promise<Response> {
  try {
    const response = await fetch(path, { ...init, credentials: 'same-origin', cache: 'no-store' });
    if (response.status === 401) signedOut();
    return response;
  } catch (cause) {
    if (cause instanceof DOMException && cause.name === 'AbortError') throw cause;
    throw new ApiError('offline', 0, 'The control plane does not answer.', null);
  }
}

/** The raw answer, for streams. Throws ApiError. */
export async function open(
  path: string,
  headers: Record<string, string>,
  signal: AbortSignal,
): Promise<Response> {
  const response = await answerTo(path, { method: 'GET', headers, signal });
  if (response.ok) return response;
  throw errorOf(response.status, await response.json().catch(() => null));
}

function errorOf(status: number, body: unknown): ApiError {
  const { error, message, request_id } = (body ?? {}) as Record<string, unknown>;
  return new ApiError(
    typeof error === 'string' ? error : 'internal_error',
    status,
    typeof message === 'string' ? message : `The server answered ${status}.`,
    typeof request_id === 'string' ? request_id : null,
  );
}
