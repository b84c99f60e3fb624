import type { IncomingMessage } from 'node:http';
import { CREDENTIAL_HEADERS, isLemmaHeader } from '../request/strip.ts';
import type { AuthzRequest, BodySeen, HeaderLine } from '../schema/request.ts';

/** A request as Node's parser gave it, before any framework changed its URL. */
export function asReceived(
  raw: IncomingMessage,
  { scheme, target, body }: { scheme: string; target: string; body: BodySeen },
): AuthzRequest {
  const headers: HeaderLine[] = [];
  for (let i = 0; i < raw.rawHeaders.length; i += 2)
    headers.push([(raw.rawHeaders[i] ?? '').toLowerCase(), (raw.rawHeaders[i + 1] ?? '').trim()]);
  const authority = raw.headers[':authority'];
  return {
    border: 'rest',
    method: raw.method ?? '',
    ...{ scheme, target, headers, body },
    host: raw.headers.host ?? (typeof authority === 'string' ? authority : ''),
    protocol: `HTTP/${raw.httpVersion}`,
    source: { address: raw.socket.remoteAddress ?? '', principal: '' },
    traceId: null,
  };
}

/** Takes off what only a gateway may say: a handler that reads it must not read what a client made up. */
export function dropIdentity(raw: IncomingMessage): void {
  for (const name of Object.keys(raw.headers))
    if (isLemmaHeader(name) && !CREDENTIAL_HEADERS.some((one) => one === name)) delete raw.headers[name];
}
