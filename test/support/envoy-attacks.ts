import type { OutgoingHttpHeaders } from 'node:http2';

/**
 * Requests that two readers might read in two ways, each with a credential that is good for `DOCUMENT`, and what must
 * come of them: a refusal by Envoy (its status alone), a denial by Lemma (status and code), or status and target as the
 * upstream must see it.
 */

export const DOCUMENT = '/v1/documents/42';
const FORWARDED = `200 ${DOCUMENT}`;

/** Targets of a GET. */
export const TARGETS: readonly (readonly [sent: string, outcome: string])[] = [
  [DOCUMENT, FORWARDED],
  [`/${DOCUMENT}`, FORWARDED],
  ['/v1//documents///42', FORWARDED],
  ['/v1/./documents/42', FORWARDED],
  ['/v1/x/../documents/42', FORWARDED],
  ['/../../v1/documents/42', FORWARDED],
  ['/healthz/../v1/documents/42', FORWARDED],
  ['/v1\\documents\\42', FORWARDED],
  ['/v1/documents/%34%32', FORWARDED],
  ['http://api.example.com//v1/documents/42', FORWARDED],
  ['/v1/documents/42?a=/../b;c//d', `${FORWARDED}?a=/../b;c//d`],
  ['/v1/documents/../secrets', '403 route_unknown'],
  ['/v1/documents/%2e%2e/secrets', '403 route_unknown'],
  ['/v1/documents/.%2E/secrets', '403 route_unknown'],
  ['/v1/documents/..\\secrets', '403 route_unknown'],
  ['/v1/documents/42/', '403 route_unknown'],
  ['/V1/documents/42', '403 route_unknown'],
  ['http://evil.example.com/v1/documents/42', '403 route_unknown'],
  ['///', '403 path_ambiguous'],
  ['/v1/documents/42;a=b', '403 path_ambiguous'],
  ['/v1/documents/%2e%2e;/secrets', '403 path_ambiguous'],
  ['/v1;/documents/42', '403 path_ambiguous'],
  ['/v1/documents/42%3ba', '403 path_ambiguous'],
  ['/v1/documents/42%23', '403 path_ambiguous'],
  ['/v1/documents/42%3fa', '403 path_ambiguous'],
  ['/v1/documents/42%0a', '403 path_ambiguous'],
  ['/v1/documents/42%0d%0aX-Admin:%201', '403 path_ambiguous'],
  ['/v1/documents/%252e%252e', '403 path_ambiguous'],
  ['/v1/documents/%c0%ae%c0%ae/secrets', '403 path_ambiguous'],
  ['/v1/documents/42%', '403 path_ambiguous'],
  ['/v1/documents/42%zz', '403 path_ambiguous'],
  ['/v1/documents/%2e%2e%2fsecrets', '400'],
  ['/v1/documents/a%2Fb', '400'],
  ['/v1/documents/a%5cb', '400'],
  ['/healthz/..%2fv1/documents/42', '400'],
  ['/v1/documents/42#/x', '400'],
  ['/v1/documents/42?a#b', '400'],
  ['/v1/documents/42%00', '400'],
  ['/v1/documents/42\0', '400'],
  ['/v1/documents/\xe9', '400'],
  ['/v1/documents/4 2', '400'],
  ['v1/documents/42', '400'],
  ['*', '400'],
];

/** Method and target. */
export const METHODS: readonly (readonly [sent: string, outcome: string])[] = [
  ['CONNECT api.example.com:443', '404'],
  [`CONNECT ${DOCUMENT}`, '400'],
  [`TRACE ${DOCUMENT}`, '403 method_not_allowed'],
  [`DELETE ${DOCUMENT}`, '403 method_not_allowed'],
  [`get ${DOCUMENT}`, '400'],
];

/** The line, or lines, that stand where `Host: api.example.com` would. */
export const HOSTS: readonly (readonly [what: string, lines: string, outcome: string])[] = [
  ['twice, different', 'Host: api.example.com\r\nHost: evil.example.com', '403 route_unknown'],
  ['twice, the same', 'Host: api.example.com\r\nHost: api.example.com', '403 route_unknown'],
  ['in a list', 'Host: api.example.com, evil.example.com', '400'],
  ['with user information', 'Host: x@api.example.com', '403 path_ambiguous'],
  ['of somebody else', 'Host: evil.example.com', '403 route_unknown'],
  ['that is absent', 'X-Host: api.example.com', '400'],
];

export const H2C = [
  'Connection: Upgrade, HTTP2-Settings',
  'Upgrade: h2c',
  'HTTP2-Settings: AAMAAABkAARAAAAA',
];
const WEBSOCKET = ['Connection: Upgrade', 'Upgrade: websocket', 'Sec-WebSocket-Version: 13'];

/** Lines beside the credential's. */
export const HEADERS: readonly (readonly [what: string, lines: readonly string[], outcome: string])[] = [
  ['a second credential', ['X-Lemma-Credential: e30'], '403 header_ambiguous'],
  ['a second, empty credential', ['X-Lemma-Credential:'], '403 header_ambiguous'],
  ['a proof beside it', ['X-Lemma-Proof: e30'], '403 credential_ambiguous'],
  ['a token beside it', ['Authorization: Bearer lm_at_x'], '403 credential_ambiguous'],
  ['a PoP without a proof', ['X-Lemma-PoP: input=()'], '403 credential_ambiguous'],
  ['two PoPs', ['X-Lemma-PoP: input=()', 'X-Lemma-PoP: input=()'], '403 header_ambiguous'],
  ['an upgrade to WebSocket', WEBSOCKET, '403'],
  ['a length and chunks', ['Content-Length: 4', 'Transfer-Encoding: chunked'], '400'],
  ['two lengths', ['Content-Length: 0', 'Content-Length: 4'], '400'],
  ['a space before the colon', ['X-Lemma-Subject : spoofed'], '400'],
  ['a NUL in a value', ['X-Lemma-Subject: a\0b'], '400'],
  ['a byte above 0x7f in a name', ['X-Lemma-Subj\xe9ct: spoofed'], '400'],
  ['a folded line', ['X-Lemma-Subject: a\r\n spoofed'], FORWARDED],
  ['an upgrade to h2c, which Envoy does not take', H2C, FORWARDED],
];

/** Fields over HTTP/2 beside, or instead of, those of a good request. The outcome names the host too; 0 is a reset. */
export const HTTP2: readonly (readonly [what: string, fields: OutgoingHttpHeaders, outcome: string])[] = [
  ['a plain request', {}, `${FORWARDED} api.example.com`],
  ['a host that :authority is not', { host: 'evil.example.com' }, `${FORWARDED} api.example.com`],
  ['a doubled slash', { ':path': `/${DOCUMENT}` }, `${FORWARDED} api.example.com`],
  ['a dot segment', { ':path': '/v1/documents/../secrets' }, '403'],
  ['a fragment', { ':path': `${DOCUMENT}#x` }, '400'],
  ['a path without its slash', { ':path': DOCUMENT.slice(1) }, '0'],
  ['a second credential', { 'x-lemma-credential': ['e30', 'e30'] }, '403'],
  ['an identity', { 'x-lemma-subject': ['spoofed', 'spoofed'] }, `${FORWARDED} api.example.com`],
  ['an identity with underscores', { x_lemma_subject: 'spoofed' }, '0'],
  ['an extended CONNECT', { ':method': 'CONNECT', ':protocol': 'websocket' }, '0'],
];
