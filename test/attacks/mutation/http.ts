import { toBase64url } from '../../../src/crypto/base64url.ts';
import type { ReasonCode } from '../../../src/reason.ts';
import type { Choose, Draft, Operator } from './draft.ts';
import { breaks, keeps, one } from './make.ts';

type Wire = Draft['wire'];
type Specify = Parameters<typeof breaks<'wire'>>[3];

const PROOFS = ['x-lemma-credential', 'x-lemma-proof'];
const find = ({ headers }: Wire, ...names: string[]) =>
  headers.find(([name]) => names.includes(name.toLowerCase()));
/** Every line that carries the credential. */
const all = ({ headers }: Wire) => headers.filter(([name]) => PROOFS.includes(name.toLowerCase()));
const popping = (wire: Wire) =>
  find(wire, 'x-lemma-pop') !== undefined ||
  find(wire, 'signature-input')?.[1].includes('lemma-pop') === true;

/** Splits a target at its query. */
function path(wire: Wire, change: (path: string) => string | null): boolean {
  const [before = '', query] = wire.path.split(/(?=\?)/);
  const changed = change(before);
  if (changed === null || changed === before) return false;
  wire.path = changed + (query ?? '');
  return true;
}

const ambiguous = (name: string, change: (path: string, pick: Choose) => string | null) =>
  breaks('wire', name, 'path_ambiguous', (wire, pick) => path(wire, (before) => change(before, pick)));

/** Something put behind one of the slashes. */
const behindSlash = (text: string) => (before: string, pick: Choose) => {
  const slashes = [...before.matchAll(/\//g)];
  const at = slashes[pick(Math.max(1, slashes.length))]?.index;
  return at === undefined ? null : `${before.slice(0, at + 1)}${text}${before.slice(at + 1)}`;
};

const header = (name: string, codes: ReasonCode | ReasonCode[], make: (pick: Choose) => [string, string]) =>
  breaks('wire', name, codes, (wire, pick) => void wire.headers.push(make(pick)));

/** Only where a body is signed. */
const signedBody = (name: string, codes: ReasonCode | ReasonCode[], apply: Specify) =>
  breaks('wire', name, codes, (wire, pick, stages) =>
    wire.body === null || wire.body === '' || stages.draft.text === null || stages.draft.form === 'credential'
      ? false
      : apply(wire, pick, stages),
  );

const KEEPS: readonly Operator[] = [
  keeps('wire', 'header_case', (wire, pick) => {
    wire.headers = wire.headers.map(([name, value]) => [
      [...name].map((char) => (pick(2) === 0 ? char.toUpperCase() : char)).join(''),
      value,
    ]);
  }),
  keeps('wire', 'header_order', (wire, pick) => {
    const turn = pick(wire.headers.length);
    wire.headers = [...wire.headers.slice(turn), ...wire.headers.slice(0, turn)];
  }),
  keeps('wire', 'space_around_values', (wire, pick) => {
    wire.headers = wire.headers.map(([name, value]) => [
      name,
      `${[' ', '\t', ''][pick(3)]}${value}${[' ', ' \t'][pick(2)]}`,
    ]);
  }),
  keeps('wire', 'harmless_header', (wire, pick) => {
    wire.headers.push(
      [
        ['accept', 'application/json'],
        ['traceparent', `00-${'a'.repeat(32)}-${'b'.repeat(16)}-01`],
        ['cookie', 'a=b'],
        ['x-forwarded-for', '10.0.0.1'],
      ][pick(4)] as [string, string],
    );
  }),
  keeps('wire', 'spoof_identity', (wire, pick) => {
    const name =
      ['x-lemma-runtime-id', 'X-Lemma-Agent-Id', 'x_lemma_subject', 'x-lemma-scope'][pick(4)] ?? '';
    wire.headers.push([name, 'bot-2']);
  }),
  keeps('wire', "somebody_else's_token", (wire) => {
    wire.headers.push(['authorization', 'Bearer eyJhbGciOi']);
  }),
  keeps('wire', "somebody_else's_signature", (wire) => {
    if (find(wire, 'signature-input') !== undefined) return false;
    wire.headers.push(['signature-input', 'cdn=("@method");tag="cdn"'], ['signature', 'cdn=:YQ==:']);
  }),
  keeps('wire', 'host_case', (wire) => {
    wire.host = wire.host.toUpperCase();
  }),
  keeps('wire', 'agreeing_host_header', (wire) => {
    wire.headers.push(['host', 'api.example.com:443']);
  }),
];

const CREDENTIALS: readonly Operator[] = [
  breaks('wire', 'duplicate_header', 'header_ambiguous', (wire, pick) => {
    const own = wire.headers.filter(([name]) => /^x-lemma-(credential|proof|pop)$/i.test(name));
    const found = one(own, pick)?.[0];
    if (found === undefined) return false;
    wire.headers.push([found[0].toUpperCase(), found[1]]);
  }),
  breaks('wire', 'join_by_comma', 'header_ambiguous', (wire) => {
    const found = find(wire, ...PROOFS);
    if (found === undefined) return false;
    found[1] = `${found[1]}, ${found[1]}`;
  }),
  breaks('wire', 'second_kind_of_credential', 'credential_ambiguous', (wire) => {
    const found = find(wire, ...PROOFS);
    if (found === undefined) return false;
    wire.headers.push([
      found[0].toLowerCase() === 'x-lemma-proof' ? 'x-lemma-credential' : 'x-lemma-proof',
      found[1],
    ]);
  }),
  header('token_beside_it', 'credential_ambiguous', (pick) => [
    'authorization',
    ['Bearer lm_at_abc', 'bearer  lm_at_abc', 'Basic x, Bearer lm_at_abc'][pick(3)] ?? '',
  ]),
  header('two_tokens', 'header_ambiguous', () => ['authorization', 'Bearer lm_at_a, Bearer lm_at_b']),
  breaks('wire', 'token_instead', 'token_invalid', (wire, pick) => {
    wire.headers = wire.headers.filter(([name]) => !/^(x-lemma-|signature)/i.test(name));
    wire.headers.push(['authorization', `Bearer lm_at_${pick(1000)}`]);
  }),
  breaks('wire', 'drop_credential', ['auth_required', 'credential_ambiguous'], (wire) => {
    wire.headers = wire.headers.filter(([name]) => !PROOFS.includes(name.toLowerCase()));
  }),
  breaks('wire', 'empty_credential', ['auth_required', 'credential_ambiguous'], (wire) => {
    for (const found of all(wire)) found[1] = ' ';
  }),
  breaks('wire', 'underscores', ['auth_required', 'credential_ambiguous'], (wire) => {
    for (const found of all(wire)) found[0] = found[0].replaceAll('-', '_');
  }),
  breaks('wire', 'look_alike_header_name', ['auth_required', 'credential_ambiguous'], (wire) => {
    for (const found of all(wire)) found[0] = found[0].replace(/m/i, '\u043c');
  }),
  breaks('wire', 'drop_PoP', 'pop_required', (wire) => {
    // Beside an empty proof there may be a credential, which needs no PoP.
    if (!popping(wire) || (find(wire, 'x-lemma-proof')?.[1] ?? '').trim() === '') return false;
    wire.headers = wire.headers.filter(([name]) => !/^(x-lemma-pop|signature-input|signature)$/i.test(name));
  }),
  breaks('wire', 'PoP_beside_a_bearer_credential', 'credential_ambiguous', (wire) => {
    const found = find(wire, 'x-lemma-proof');
    if (found === undefined || !popping(wire)) return false;
    found[0] = 'x-lemma-credential';
  }),
];

const TARGETS: readonly Operator[] = [
  breaks('wire', 'method_override', 'header_ambiguous', (wire, pick) => {
    const names = [
      'X-HTTP-Method-Override',
      'x-http-method',
      'X-Method-Override',
      'x-original-url',
      'X-Rewrite-URL',
    ];
    wire.headers.push([names[pick(5)] ?? '', 'DELETE']);
  }),
  breaks('wire', 'host_header_of_another', 'header_ambiguous', (wire, pick) => {
    wire.headers.push([['host', ':authority'][pick(2)] ?? 'host', 'pay.example.com']);
  }),
  breaks('wire', 'another_host', 'route_unknown', (wire, pick) => {
    wire.headers = wire.headers.filter(([name]) => name !== 'host');
    wire.host =
      ['api.example.com.evil.example', 'evil.example', 'api.example.com.', 'xapi.example.com'][pick(4)] ?? '';
  }),
  breaks('wire', 'another_port', ['pop_invalid', 'header_ambiguous'], (wire) => {
    if (!popping(wire)) return false;
    wire.host = `${wire.host}:8443`;
  }),
  breaks('wire', 'look_alike_host', 'path_ambiguous', (wire, pick) => {
    wire.headers = wire.headers.filter(([name]) => name !== 'host');
    wire.host =
      ['\u0430pi.example.com', 'api.example.com\u0001', 'api.example.com@evil', 'api.example.com/'][
        pick(4)
      ] ?? '';
  }),
  ambiguous('percent_encode_a_character', (before, pick) => {
    const letters = [...before.matchAll(/[A-Za-z0-9]/g)];
    const found = letters[pick(Math.max(1, letters.length))];
    if (found === undefined) return null;
    const encoded = `%${found[0].charCodeAt(0).toString(16)}`;
    return before.slice(0, found.index) + encoded + before.slice(found.index + 1);
  }),
  ambiguous('dot_segment', behindSlash('./')),
  ambiguous('parent_segment', behindSlash('x/../')),
  ambiguous('doubled_slash', behindSlash('/')),
  ambiguous('semicolon', (before) => `${before};a=b`),
  ambiguous('backslash', (before) => before.replace(/\/([^/]*)$/, '\\$1')),
  ambiguous('encoded_slash', (before) => before.replace(/\/([^/]*)$/, '%2f$1')),
  ambiguous(
    'encoded_control',
    (before, pick) => `${before}${['%00', '%0a', '%7f', '%80', '%3b', '%2e%2e'][pick(6)]}`,
  ),
  ambiguous('double_escape', (before) => `${before}%2541`),
  ambiguous('malformed_escape', (before, pick) => before + (['%', '%4', '%zz', '%u0041'][pick(4)] ?? '%')),
  ambiguous(
    'look_alike_in_the_path',
    (before, pick) => `${before}${['\u0430', '\u2215', '\uff0f', '\u00e9'][pick(4)]}`,
  ),
  ambiguous('control_byte_in_the_path', (before, pick) => before + String.fromCharCode(pick(33))),
  breaks('wire', 'control_byte_in_the_query', 'path_ambiguous', (wire, pick) => {
    wire.path += `${wire.path.includes('?') ? '&' : '?'}x=${String.fromCharCode(pick(33))}`;
  }),
  breaks('wire', 'fragment', 'path_ambiguous', (wire) => {
    wire.path += '#x';
  }),
  breaks('wire', 'absolute_target', 'path_ambiguous', (wire) => {
    wire.path = `https://${wire.host}${wire.path}`;
  }),
  breaks('wire', 'unknown_path', 'route_unknown', (wire, pick) => {
    wire.path =
      ['/', '/v1', '/v2/documents/42', '/v1/documents/42/more', '/V1/documents/42', '/v1/documents/'][
        pick(6)
      ] ?? '/';
  }),
  breaks('wire', 'another_path', 'pop_invalid', (wire) => {
    if (!popping(wire)) return false;
    return path(wire, (before) => `${before}0`);
  }),
  breaks('wire', 'another_query', 'pop_invalid', (wire, pick) => {
    if (!popping(wire)) return false;
    const [first = '', query = ''] = wire.path.split('?');
    const others = [query.split('&').reverse().join('&'), `${query}&c=3`, `${query}=`].filter(
      (one) => one !== query,
    );
    wire.path = `${first}?${one(others, pick)?.[0]}`;
  }),
  breaks('wire', 'another_method', ['pop_invalid', 'method_not_allowed'], (wire) => {
    if (!popping(wire)) return false;
    const others: Record<string, string> = { GET: 'HEAD', HEAD: 'GET', PUT: 'POST', POST: 'PUT' };
    const other = others[wire.method];
    if (other === undefined) return false;
    wire.method = other;
  }),
  breaks('wire', 'unknown_method', 'method_not_allowed', (wire, pick) => {
    wire.method = ['DELETE', 'PATCH', 'CONNECT', 'TRACE', '', 'GET '][pick(6)] ?? '';
  }),
  breaks('wire', 'method_in_lower_case', 'method_not_allowed', (wire) => {
    wire.method = wire.method.toLowerCase();
    return wire.method !== '';
  }),
  breaks('wire', 'upgrade', 'method_not_allowed', (wire) => {
    wire.headers.push(['connection', 'upgrade'], ['upgrade', 'websocket']);
  }),
];

const BODIES: readonly Operator[] = [
  signedBody('change_body', 'pop_body_mismatch', (wire, pick) => {
    const bytes = Buffer.from(wire.body ?? '', 'base64url');
    const at = pick(bytes.length);
    bytes[at] = (bytes[at] ?? 0) ^ (1 << pick(8));
    wire.body = toBase64url(bytes);
  }),
  signedBody('cut_body', 'body_truncated', (wire, pick) => {
    const bytes = Buffer.from(wire.body ?? '', 'base64url');
    wire.body = toBase64url(bytes.subarray(0, pick(bytes.length)));
  }),
  signedBody('lengthen_body', 'body_truncated', (wire) => {
    wire.body = toBase64url(Buffer.concat([Buffer.from(wire.body ?? '', 'base64url'), Buffer.from(' ')]));
  }),
  signedBody('drop_body', 'body_truncated', (wire) => {
    wire.body = null;
  }),
  signedBody('body_called_partial', 'body_truncated', (wire) => {
    wire.headers.push(['x-envoy-auth-partial-body', 'True']);
  }),
  signedBody('two_lengths', 'body_truncated', (wire) => {
    wire.headers.push(['content-length', '5']);
  }),
  signedBody('drop_content_digest', 'pop_invalid', (wire) => {
    wire.headers = wire.headers.filter(([name]) => name.toLowerCase() !== 'content-digest');
  }),
  signedBody('digest_of_another_kind', ['pop_invalid', 'pop_body_mismatch'], (wire) => {
    const found = find(wire, 'content-digest');
    if (found === undefined) return false;
    found[1] = 'sha-512=:AAAA:';
  }),
  breaks('wire', 'unsigned_body', 'pop_body_mismatch', (wire, _, { draft }) => {
    if (!popping(wire) || draft.text !== null) return false;
    wire.body = toBase64url(Buffer.from('{}'));
    wire.headers.push(['content-length', '2']);
  }),
  signedBody('compress', 'context_missing', (wire, pick, { draft }) => {
    if (draft.base.risk !== 'critical') return false;
    wire.headers.push(['content-encoding', ['gzip', 'br', 'identity, gzip'][pick(3)] ?? 'gzip']);
  }),
];

export const HTTP: readonly Operator[] = [...KEEPS, ...CREDENTIALS, ...TARGETS, ...BODIES];
