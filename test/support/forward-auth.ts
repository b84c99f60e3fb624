import type { ForwardAuthProxy } from '../../src/request/forward-auth.ts';
import type { WireRequest } from './kit.ts';

/** The question that a proxy would ask of this request, as its documentation says it. */
export function questionOf(proxy: ForwardAuthProxy, wire: WireRequest): WireRequest {
  const { method, scheme, host, path, headers, body } = wire;
  const proto = ['x-forwarded-proto', scheme] as const;
  // Of the client's connection, or of its body: never passed on as they are.
  const passed = headers.filter(([name]) => !/^(content-length|transfer-encoding)$/i.test(name));
  const asks = { ...wire, method: 'GET', path: `/forward-auth/${proxy}`, body: null };
  if (proxy === 'envoy') {
    const length = body === undefined || body === null ? 0 : Buffer.from(body, 'base64url').length;
    const framed = [
      ['x-envoy-auth-partial-body', 'false'],
      ['content-length', String(length)],
    ] as const;
    return { ...wire, path: `/forward-auth/envoy${path}`, headers: [proto, ...framed, ...passed] };
  }
  if (proxy === 'nginx') {
    const said = [
      ['x-original-method', method],
      ['x-original-uri', path],
    ] as const;
    const lengths = headers
      .filter(([name]) => name.toLowerCase() === 'content-length')
      .map(([, value]) => ['x-original-content-length', value] as const);
    return { ...asks, headers: [proto, ...said, ...lengths, ...passed] };
  }
  const said = [
    ['x-forwarded-method', method],
    ['x-forwarded-uri', path],
    ['x-forwarded-host', host],
  ] as const;
  return { ...asks, host: 'lemma.internal:8181', headers: [proto, ...said, ...passed] };
}

/**
 * Whether the proxy can ask it, and Lemma be told all that decides: no body but through Envoy, no second host, no length
 * but what nginx says, and what HTTP can carry.
 */
export function canAsk(proxy: ForwardAuthProxy, { headers, host, path, method, body }: WireRequest): boolean {
  const names = headers.map(([name]) => name.toLowerCase());
  const has = (...wanted: string[]) => wanted.some((name) => names.includes(name));
  const sendable =
    headers.every(([name, value]) => /^[\w-]+$/.test(name) && /^[\t\x20-\x7e\x80-\xff]*$/.test(value)) &&
    /^[\x21-\x7e]+$/.test(host) &&
    /^[\x21-\x7e]+$/.test(path) &&
    /^[A-Z]+$/.test(method) &&
    method !== 'CONNECT';
  if (!sendable || has('host', 'transfer-encoding', 'x-envoy-auth-partial-body', 'upgrade')) return false;
  // Envoy says of each body how long it is, truly.
  if (proxy === 'envoy') {
    const length = String(Buffer.from(body ?? '', 'base64url').length);
    const said = headers
      .filter(([name]) => name.toLowerCase() === 'content-length')
      .map(([, value]) => value);
    if (said.length === 0) return /^(GET|HEAD|OPTIONS|DELETE)$/.test(method);
    return said.every((value) => value === length);
  }
  const bodyless = body === undefined || body === null;
  return (
    bodyless && !has('content-length', 'content-digest') && !names.some((name) => name.startsWith('x_lemma'))
  );
}
