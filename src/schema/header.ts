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

/** Fields that say where a message goes and how long it is. */
export const FRAMING: ReadonlySet<string> = new Set(['content-length', 'host']);
