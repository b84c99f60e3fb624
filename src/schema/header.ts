/** Fields of one connection (RFC 9110, section 7.6.1), and Proxy-Connection, which some clients send for Connection. */
export const HOP_BY_HOP: ReadonlySet<string> = new Set([
  'connection',
  'keep-alive',
  'proxy-authenticate',
  'proxy-authorization',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
]);

/** Fields that prove who somebody is: no policy, and so no record, ever has them. */
export const SECRET_HEADERS: ReadonlySet<string> = new Set([
  'authorization',
  'proxy-authorization',
  'cookie',
  'set-cookie',
  'signature',
  'signature-input',
]);

/** Whether a policy never sees it, whoever lists it. `name` in lower case; an `x-lemma-` name in either spelling. */
export function isSecretHeader(name: string): boolean {
  return SECRET_HEADERS.has(name) || name.replaceAll('_', '-').startsWith('x-lemma-');
}

/** Fields that say where a message goes and how long it is. */
export const FRAMING: ReadonlySet<string> = new Set(['content-length', 'host']);
