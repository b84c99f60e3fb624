import { fromBase64url, toBase64url } from '../../src/crypto/base64url.ts';
import type { ReasonCode } from '../../src/reason.ts';
import type { Lemma } from '../../src/schema/lemma.ts';
import {
  bearing,
  chain,
  credential,
  encode,
  header,
  hereOrigin,
  keyNamed,
  keys,
  link,
  NOW,
  proving,
  request,
  sign,
  type Type,
  type WireRequest,
} from '../support/kit.ts';

/** One row of attacks.md made concrete: a request, and the code that it must end with. */
export interface Attack {
  readonly name: string;
  readonly expect: ReasonCode | 'allow';
  readonly request: WireRequest;
}

type Row = readonly [name: string, expect: Attack['expect'], request: WireRequest];

const TYPES: readonly Type[] = ['root', 'delegation', 'runtime', 'run'];
const stranger = keyNamed('stranger');

/** A chain whose `index`th link has a member changed, or taken away, after signing. */
function tampered(
  index: number,
  member: string,
  change: (value: string) => string | undefined,
  parts: Parameters<typeof chain>[0] = {},
): unknown[] {
  return chain(parts).map((link, i) => {
    if (i !== index) return link;
    const { [member]: value, ...others } = link as unknown as Record<string, unknown>;
    const changed = change(String(value));
    return changed === undefined ? others : { ...others, [member]: changed };
  });
}

/** Changes a header of an honest request: `undefined` takes it away. */
function put(name: string, change: (value: string) => string | undefined) {
  return (headers: Record<string, string>): void => {
    const changed = change(headers[name] ?? '');
    if (changed === undefined) delete headers[name];
    else headers[name] = changed;
  };
}

function flip(text: string): string {
  const bytes = fromBase64url(text) ?? new Uint8Array();
  bytes[10] = (bytes[10] ?? 0) ^ 1;
  return toBase64url(bytes);
}

/** The runtime's link signed by the right key, with these fields. */
const runtimeWith = (fields: Record<string, unknown>) => chain({ runtime: fields });

const SMALL_ORDER_HEX = [
  '0100000000000000000000000000000000000000000000000000000000000000',
  'ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
  '0000000000000000000000000000000000000000000000000000000000000000',
  '0000000000000000000000000000000000000000000000000000000000000080',
  'c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a',
  'c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa',
  '26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05',
  '26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85',
];
/** p, p + 1 and p + 3: canonical points written a second way; and a y that is on no point. */
const NON_CANONICAL_HEX = [
  'edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
  'eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
  'f0ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff',
  '0200000000000000000000000000000000000000000000000000000000000000',
];
const MEMBERS = [
  'audience',
  'scope',
  'expires_at',
  'not_before',
  'issued_at',
  'parent',
  'claims',
  'subject',
  'key',
  'id',
  'issuer',
  'v',
  'type',
] as const;
const GROUP_ORDER = 2n ** 252n + 27742317777372353535851937790883648493n;

/** The same signature with S + L: equal in the equation, another encoding. */
function withLargeS(signature: string): string {
  const bytes = fromBase64url(signature) ?? new Uint8Array();
  let s = 0n;
  for (let i = 31; i >= 0; i--) s = (s << 8n) | BigInt(bytes[32 + i] ?? 0);
  s += GROUP_ORDER;
  for (let i = 0; i < 32; i++) bytes[32 + i] = Number((s >> BigInt(8 * i)) & 0xffn);
  return toBase64url(bytes);
}

function weakHolder(hex: string): Lemma[] {
  return runtimeWith({ key: toBase64url(Uint8Array.from(Buffer.from(hex, 'hex'))) });
}

function chainAndKeys(): Row[] {
  const [root, delegation, runtime] = chain() as [Lemma, Lemma, Lemma];
  const run = link('run', runtime, keys.runtime, keys.run);
  const otherRoot = link('root', null, keys.issuer, keyNamed('other operator'), {
    subject: `did:lemma:ppid_${'b'.repeat(64)}`,
  });
  const selfRoot = link('root', null, stranger, keys.operator);
  const rest = (top: Lemma) => {
    const d = link('delegation', top, keys.operator, keys.delegate);
    return [top, d, link('runtime', d, keys.delegate, keys.runtime)];
  };
  const delegations = (count: number) => {
    const links: Lemma[] = [root];
    let signer = keys.operator;
    for (let i = 0; i < count; i++) {
      const holder = keyNamed(`delegate ${i}`);
      links.push(link('delegation', links.at(-1) as Lemma, signer, holder));
      signer = holder;
    }
    links.push(link('runtime', links.at(-1) as Lemma, signer, keys.runtime));
    return links;
  };
  const crossType = structuredClone(runtime) as unknown as Record<string, unknown>;
  const { signature: _s, ...unsigned } = crossType;
  const asDelegation = sign({ ...unsigned, type: 'delegation' }, keys.delegate);
  return [
    ...TYPES.map(
      (type, i): Row => [
        `a flipped bit in the ${type}'s signature`,
        'signature_invalid',
        bearing(tampered(i, 'signature', flip, { run: {} })),
      ],
    ),
    ['a self-signed root', 'root_untrusted', bearing(rest(selfRoot))],
    [
      'a root for another org',
      'root_untrusted',
      bearing(chain({ root: { claims: { org: 'other', env: 'prod' } } })),
    ],
    [
      'a root for another env',
      'root_untrusted',
      bearing(chain({ root: { claims: { org: 'acme', env: 'dev' } } })),
    ],
    [
      'a retired issuer key',
      'root_untrusted',
      bearing(rest(link('root', null, keyNamed('retired'), keys.operator))),
    ],
    ['the root dropped', 'chain_incomplete', bearing([delegation, runtime])],
    ['the delegation dropped', 'chain_incomplete', bearing([root, runtime])],
    ['the runtime dropped', 'chain_incomplete', bearing([root, delegation])],
    ['the runtime dropped under a run', 'chain_incomplete', bearing([root, delegation, run])],
    ['a single link alone', 'chain_incomplete', bearing([runtime])],
    ['a root used as a credential', 'chain_incomplete', bearing([root])],
    ['delegation before root', 'chain_order_invalid', bearing([delegation, root, runtime])],
    ['two roots', 'chain_order_invalid', bearing([root, root, delegation, runtime])],
    ['two runtimes', 'chain_order_invalid', bearing([root, delegation, runtime, runtime])],
    ['two runs', 'chain_order_invalid', bearing([root, delegation, runtime, run, run])],
    ['the delegation twice', 'chain_parent_mismatch', bearing([root, delegation, delegation, runtime])],
    [
      'a delegation under the runtime',
      'chain_order_invalid',
      bearing([root, delegation, runtime, delegation]),
    ],
    ['three delegations', 'allow', bearing(delegations(3))],
    ['four delegations', 'chain_too_deep', bearing(delegations(4))],
    ['a thousand ancestors', 'schema_invalid', bearing([...Array(1000).fill({}), runtime])],
    ['six ancestors', 'chain_too_deep', bearing([root, root, root, delegation, delegation, runtime, run])],
    [
      'a delegation spliced onto another root',
      'chain_parent_mismatch',
      bearing([otherRoot, delegation, runtime]),
    ],
    [
      'the parent hash of another link',
      'chain_parent_mismatch',
      bearing(runtimeWith({ parent: (runtime as { parent: string }).parent.replace(/^./, 'Z') })),
    ],
    [
      'a right key under a wrong key id',
      'chain_parent_mismatch',
      bearing(runtimeWith({ issuer: stranger.id })),
    ],
    [
      'another subject in the middle',
      'chain_subject_mismatch',
      bearing(chain({ delegation: { subject: `did:lemma:ppid_${'c'.repeat(64)}` } })),
    ],
    ['a scope that the parent lacks', 'scope_escalation', bearing(runtimeWith({ scope: ['pay.send'] }))],
    [
      'a wildcard over the parent',
      'scope_escalation',
      bearing(chain({ delegation: { scope: ['documents.read'] }, runtime: { scope: ['documents.*'] } })),
    ],
    [
      'a scope that only shares a prefix',
      'scope_escalation',
      bearing(runtimeWith({ scope: ['documentsx.read'] })),
    ],
    ['the parent of a wildcard', 'scope_escalation', bearing(runtimeWith({ scope: ['documents'] }))],
    [
      'an audience that the parent lacks',
      'audience_escalation',
      bearing(runtimeWith({ audience: [hereOrigin(), 'https://evil.example'] })),
    ],
    [
      'a longer life than the parent',
      'expiry_escalation',
      bearing(runtimeWith({ expires_at: NOW + 86_401 })),
    ],
    [
      'an earlier start than the parent',
      'expiry_escalation',
      bearing(runtimeWith({ not_before: NOW - 3_601 })),
    ],
    ['a holder that is the delegate', 'key_reused', bearing(chain({}, { runtime: keys.delegate }))],
    ['a holder that is the operator', 'key_reused', bearing(chain({}, { runtime: keys.operator }))],
    ...SMALL_ORDER_HEX.map((hex, i): Row => [`small-order key ${i}`, 'key_weak', bearing(weakHolder(hex))]),
    ...NON_CANONICAL_HEX.map(
      (hex, i): Row => [`key that is no canonical point ${i}`, 'key_weak', bearing(weakHolder(hex))],
    ),
    ['S + L', 'signature_invalid', bearing(tampered(2, 'signature', withLargeS))],
    ...SMALL_ORDER_HEX.map(
      (hex, i): Row => [
        `small-order R ${i} with S = 0`,
        'signature_invalid',
        bearing(
          tampered(2, 'signature', () =>
            toBase64url(Uint8Array.from(Buffer.from(hex + '00'.repeat(32), 'hex'))),
          ),
        ),
      ],
    ),
    [
      "one layer's signature shown as another's",
      'signature_invalid',
      bearing([root, delegation, { ...runtime, signature: asDelegation.signature }]),
    ],
    [
      'an embedded key',
      'schema_invalid',
      bearing(runtimeWith({ jwk: { kty: 'OKP', crv: 'Ed25519', x: 'AAAA' } })),
    ],
    ['alg none', 'schema_invalid', bearing(runtimeWith({ alg: 'none' }))],
    [
      'a wrapper field beside the signed ones',
      'schema_invalid',
      bearing(tampered(2, 'runtime_id', () => 'bot-2')),
    ],
    ['a parent in the root', 'schema_invalid', bearing(chain({ root: { parent: 'A'.repeat(43) } }))],
    ['a scope in the root', 'schema_invalid', bearing(chain({ root: { scope: ['documents.read'] } }))],
    ...MEMBERS.map(
      (member): Row => [`no ${member}`, 'schema_invalid', bearing(runtimeWith({ [member]: undefined }))],
    ),
    ['no signature', 'schema_invalid', bearing(tampered(2, 'signature', () => undefined))],
    ...[-1, 0, 1_000_001, 2 ** 53 - 1].map(
      (operations): Row => [
        `a budget of ${operations}`,
        'schema_invalid',
        bearing(runtimeWith({ claims: { budget: { operations } } })),
      ],
    ),
    ['no taint epoch', 'schema_invalid', bearing(runtimeWith({ claims: { taint_epoch: undefined } }))],
    ['a negative taint epoch', 'schema_invalid', bearing(runtimeWith({ claims: { taint_epoch: -1 } }))],
    ['empty bounds', 'schema_invalid', bearing(runtimeWith({ claims: { bounds: {} } }))],
    [
      'bounds with an ambiguous path',
      'schema_invalid',
      bearing(runtimeWith({ claims: { bounds: { path_prefixes: ['/v1/../x'] } } })),
    ],
    [
      'bounds with a trailing slash',
      'schema_invalid',
      bearing(runtimeWith({ claims: { bounds: { path_prefixes: ['/v1/'] } } })),
    ],
    [
      'bounds of another path',
      'bounds_exceeded',
      bearing(runtimeWith({ claims: { bounds: { path_prefixes: ['/v1/doc'] } } })),
    ],
    [
      'bounds of this path',
      'allow',
      bearing(runtimeWith({ claims: { bounds: { path_prefixes: ['/', '/v1/documents'] } } })),
    ],
    [
      'bounds of a delegation',
      'bounds_exceeded',
      bearing(chain({ delegation: { claims: { bounds: { methods: ['get', 'PUT'] } } } })),
    ],
    [
      'an intent of 201 code points',
      'schema_invalid',
      bearing(chain({ delegation: { claims: { intent: 'a'.repeat(201) } } })),
    ],
    ...['', 'a\nb', 'a\u2028b', 'a\u2029b', 'a\u202eb', 'a\u0000'].map(
      (intent): Row => [
        `an intent of ${JSON.stringify(intent)}`,
        'schema_invalid',
        bearing(chain({ delegation: { claims: { intent } } })),
      ],
    ),
    [
      'a root that outlives 366 days',
      'ttl_too_long',
      bearing(chain({ root: { not_before: NOW - 86_400, expires_at: NOW + 366 * 86_400 } })),
    ],
    [
      'a run of over 15 minutes',
      'ttl_too_long',
      bearing(chain({ run: { not_before: NOW - 1, expires_at: NOW + 900 } })),
    ],
  ];
}

function encodings(): Row[] {
  const links = chain();
  const json = JSON.stringify(credential(links));
  const raw = (text: string | Uint8Array) =>
    request({
      headers: [['x-lemma-credential', typeof text === 'string' ? encode(text) : toBase64url(text)]],
    });
  const replaced = (from: string | RegExp, to: string) => raw(json.replace(from, to));
  const good = encode(json);
  const bytes = new TextEncoder().encode(json);
  return [
    ['a duplicate key', 'json_duplicate_key', replaced('"v":1', '"v":1,"v":1')],
    ['a duplicate key by escape', 'json_duplicate_key', replaced('"v":1', '"v":1,"\\u0076":1')],
    ['a duplicate key and a float: the float speaks', 'encoding_invalid', replaced('"v":1', '"v":1,"v":1.5')],
    ['__proto__', 'schema_invalid', replaced('"v":1', '"v":1,"__proto__":{"v":1}')],
    ['constructor', 'schema_invalid', replaced('"v":1', '"v":1,"constructor":{}')],
    ['a BOM', 'encoding_invalid', raw(`\ufeff${json}`)],
    [
      'bytes that are not UTF-8',
      'encoding_invalid',
      raw(Uint8Array.of(...bytes.subarray(0, 10), 0xff, ...bytes.subarray(10))),
    ],
    [
      'an encoded surrogate',
      'encoding_invalid',
      raw(Uint8Array.of(0x7b, 0x22, 0xed, 0xa0, 0x80, 0x22, 0x3a, 0x31, 0x7d)),
    ],
    ['a lone surrogate by escape', 'encoding_invalid', replaced('"v":1', '"v":1,"x":"\\ud800"')],
    ['a lone surrogate in a key', 'encoding_invalid', replaced('"v":1', '"v":1,"\\udc00":1')],
    ['padding', 'encoding_invalid', request({ headers: [['x-lemma-credential', `${good}=`]] })],
    ['standard base64', 'encoding_invalid', request({ headers: [['x-lemma-credential', `${good}+/`]] })],
    [
      'unused bits set',
      'encoding_invalid',
      request({ headers: [['x-lemma-credential', encode('{}').replace(/.$/, 'R')]] }),
    ],
    ['2^53', 'encoding_invalid', replaced(/"issued_at":\d+/, '"issued_at":9007199254740992')],
    ['a float', 'encoding_invalid', replaced(/"issued_at":(\d+)/, '"issued_at":$1.0')],
    ['an exponent', 'encoding_invalid', replaced(/"issued_at":\d+/, '"issued_at":1e3')],
    ['minus zero', 'encoding_invalid', replaced(/"taint_epoch":0/, '"taint_epoch":-0')],
    ['a leading zero', 'encoding_invalid', replaced(/"taint_epoch":0/, '"taint_epoch":00')],
    ['an array', 'encoding_invalid', raw(`[${json}]`)],
    ['a string', 'encoding_invalid', raw('"lemma"')],
    ['null', 'encoding_invalid', raw('null')],
    ['trailing bytes', 'encoding_invalid', raw(`${json} x`)],
    ['two objects', 'encoding_invalid', raw(`${json}{}`)],
    ['trailing white space', 'allow', raw(`${json}\n `)],
    ['nesting of 9', 'encoding_invalid', replaced('"v":1', `"v":1,"x":${'['.repeat(8)}${']'.repeat(8)}`)],
    ['nesting of 8', 'schema_invalid', replaced('"v":1', `"v":1,"x":${'['.repeat(7)}${']'.repeat(7)}`)],
    ['a nesting bomb', 'encoding_invalid', raw('['.repeat(12_000))],
    ['version 2', 'version_unsupported', bearing(runtimeWith({ v: 2 }))],
    ['version 0 of the root', 'version_unsupported', bearing(chain({ root: { v: 0 } }))],
    ['version null', 'schema_invalid', bearing(runtimeWith({ v: null }))],
    ['an array for a string', 'schema_invalid', bearing(runtimeWith({ subject: [links[0]?.subject] }))],
    ['null for an array', 'schema_invalid', bearing(runtimeWith({ audience: null }))],
    [
      'a decomposed look-alike id',
      'schema_invalid',
      bearing(runtimeWith({ claims: { runtime_id: 'bot-e\u0301' } })),
    ],
    [
      'a Cyrillic look-alike id',
      'schema_invalid',
      bearing(runtimeWith({ claims: { runtime_id: 'b\u043et-1' } })),
    ],
    ['an upper-case id', 'schema_invalid', bearing(runtimeWith({ claims: { runtime_id: 'Bot-1' } }))],
    [
      'a chain in an ancestor',
      'schema_invalid',
      bearing([...links.slice(0, 2).map((l) => ({ ...l, chain: [] })), links[2]]),
    ],
    ['a chain that is null', 'schema_invalid', raw(JSON.stringify({ ...links[2], chain: null }))],
    ['a chain that is an object', 'schema_invalid', raw(JSON.stringify({ ...links[2], chain: {} }))],
    [
      '16 KiB exactly',
      'encoding_invalid',
      request({ headers: [['x-lemma-credential', '@'.repeat(21_846)]] }),
    ],
    [
      'one over 16 KiB',
      'payload_too_large',
      request({ headers: [['x-lemma-credential', '@'.repeat(21_847)]] }),
    ],
    [
      'a credential of 64 KiB',
      'payload_too_large',
      request({ headers: [['x-lemma-credential', 'A'.repeat(65_536)]] }),
    ],
    [
      'an unused-bit change in a key',
      'schema_invalid',
      bearing(runtimeWith({ key: `${toBase64url(keys.runtime.public).slice(0, 42)}B` })),
    ],
  ];
}

function timesAndAudiences(): Row[] {
  return [
    ['expired now', 'proof_expired', bearing(runtimeWith({ expires_at: NOW }))],
    ['one second left', 'allow', bearing(runtimeWith({ expires_at: NOW + 1 }))],
    ['an expired delegation', 'expiry_escalation', bearing(chain({ delegation: { expires_at: NOW } }))],
    ['30 s ahead', 'allow', bearing(runtimeWith({ not_before: NOW + 30, issued_at: NOW + 30 }))],
    ['31 s ahead', 'proof_not_yet_valid', bearing(runtimeWith({ not_before: NOW + 31 }))],
    ['issued 31 s ahead', 'proof_not_yet_valid', bearing(runtimeWith({ issued_at: NOW + 31 }))],
    ['an endless life', 'expiry_escalation', bearing(runtimeWith({ expires_at: 2 ** 53 - 1 }))],
    [
      'milliseconds for seconds',
      'expiry_escalation',
      bearing(runtimeWith({ expires_at: (NOW + 600) * 1000 })),
    ],
    ['no window', 'schema_invalid', bearing(runtimeWith({ not_before: NOW, expires_at: NOW }))],
    ...[
      'https://API.example.com',
      'https://api.example.com.',
      'https://api.example.com:443',
      'http://api.example.com:80',
      'https://api.example.com/',
      'https://user@api.example.com',
      'https://*.example.com',
      'https://bücher.example',
      'https://[::0001]',
      'https://127.1',
      'ftp://api.example.com',
      'api.example.com',
      '*',
      '',
    ].map(
      (audience): Row => [
        `the audience ${audience}`,
        'schema_invalid',
        bearing(chain({ root: { audience: [audience] } })),
      ],
    ),
    [
      'an audience with a suffix',
      'audience_mismatch',
      bearing(audience('https://api.example.com.evil.example')),
    ],
    ['an audience with a port', 'audience_mismatch', bearing(audience('https://api.example.com:8443'))],
    ['an audience of another scheme', 'audience_mismatch', bearing(audience('http://api.example.com'))],
    ['no scope at all', 'scope_denied', bearing(runtimeWith({ scope: [] }))],
    ['a wildcard that covers', 'allow', bearing(runtimeWith({ scope: ['documents.*'] }))],
    ...[
      '*',
      'documents.**',
      'documents.*.read',
      '.documents',
      'documents.',
      'Documents.read',
      'a.b.c.d.e.f.g.h.i',
    ].map((scope): Row => [`the scope ${scope}`, 'schema_invalid', bearing(runtimeWith({ scope: [scope] }))]),
  ];
}

function audience(entry: string): Lemma[] {
  const fields = { audience: [entry] };
  return chain({ root: fields, delegation: fields, runtime: fields });
}

/** The proof moves to the beginner's header, its PoP stays. */
function asCredential(headers: Record<string, string>): void {
  headers['x-lemma-credential'] = headers['x-lemma-proof'] ?? '';
  delete headers['x-lemma-proof'];
}

function popAndHttp(): Row[] {
  const links = chain();
  const withRun = chain({ run: {} });
  const cred = header(links);
  const get = (change: (h: Record<string, string>) => void, more: Partial<WireRequest> = {}) =>
    proving(links, keys.runtime, { ...more, change });
  const popPart = (from: string | RegExp, to: string) =>
    get(put('x-lemma-pop', (pop) => pop.replace(from, to)));
  const update = (options: Parameters<typeof proving>[2] = {}) =>
    proving(links, keys.runtime, { method: 'PUT', text: '{"title":"x"}', ...options });
  const purging = (text: string, coding?: string) =>
    proving(chain({ run: { scope: ['documents.admin'] } }), keys.run, {
      method: 'POST',
      path: '/v1/purge/all',
      text,
      headers: coding === undefined ? [] : [['content-encoding', coding]],
    });
  const ambiguousPaths = [
    'v1/documents/42',
    '/v1//documents/42',
    '/v1/./documents/42',
    '/v1/documents/..',
    '/v1/documents/42;a=b',
    '/v1/documents/42#x',
    '/v1/documents\\42',
    '/v1/documents/a b',
    '/v1/documents/\u00e9',
    '/v1/documents/%2e%2e',
    '/v1/documents/a%2Fb',
    '/v1/documents/a%5cb',
    '/v1/documents/%00',
    '/v1/documents/%3b',
    '/v1/documents/%23',
    '/v1/documents/%3f',
    '/v1/documents/%80',
    '/v1/documents/%2561',
    '/v1/documents/%61',
    '/v1/documents/%7e',
    '/v1/documents/%',
    '/v1/documents/%4',
    '/v1/documents/%zz',
    '/v1/documents/%20',
    '/v1/documents/\u007f',
    '//v1/documents/42',
    '*',
    '',
    'https://api.example.com/v1/documents/42',
    '/v1/documents/42?x=\u0001',
    '/v1/documents/42?x#y',
  ];
  return [
    ...[
      'X-HTTP-Method-Override',
      'x-http-method',
      'X-Method-Override',
      'X-Original-URL',
      'X-Rewrite-URL',
    ].map((name): Row => [`${name}`, 'header_ambiguous', bearing(links, { headers: [[name, 'DELETE']] })]),
    [
      'a method override behind 2,000 other headers',
      'header_ambiguous',
      bearing(links, {
        headers: [
          ...Array.from({ length: 2_000 }, (_, i) => [`f${i}`, ''] as const),
          ['x-http-method-override', 'DELETE'],
        ],
      }),
    ],
    ...ambiguousPaths.map(
      (path): Row => [`the path ${JSON.stringify(path)}`, 'path_ambiguous', bearing(links, { path })],
    ),
    ['a path with an allowed escape', 'allow', bearing(links, { path: '/v1/documents/a%40b%25zz' })],
    ['a control byte in the host', 'path_ambiguous', bearing(links, { host: 'api.example.com\u0001' })],
    ['a port on the host', 'allow', bearing(links, { host: 'api.example.com:8443' })],
    ['another host', 'route_unknown', bearing(links, { host: 'api.example.com.evil.example' })],
    ['an empty parameter', 'route_unknown', bearing(links, { path: '/v1/documents/' })],
    [
      'the exact route has no such method: no fall-back',
      'method_not_allowed',
      bearing(links, { path: '/v1/documents/special' }),
    ],
    ['a method in lower case', 'method_not_allowed', bearing(links, { method: 'get' })],
    [
      'host against the request',
      'header_ambiguous',
      bearing(links, { headers: [['host', 'pay.example.com']] }),
    ],
    [
      ':authority against the request',
      'header_ambiguous',
      bearing(links, { headers: [[':authority', 'pay.example.com']] }),
    ],
    ['host with the default port', 'allow', bearing(links, { headers: [['host', 'api.example.com:443']] })],
    ['the credential twice', 'header_ambiguous', bearing(links, { headers: [['X-Lemma-Credential', cred]] })],
    [
      'the credential comma-joined',
      'header_ambiguous',
      request({ headers: [['x-lemma-credential', `${cred}, ${cred}`]] }),
    ],
    [
      'the credential with underscores',
      'auth_required',
      request({ headers: [['x_lemma_credential', cred]] }),
    ],
    [
      'a credential and a token',
      'credential_ambiguous',
      bearing(links, { headers: [['authorization', 'Bearer lm_at_abc']] }),
    ],
    [
      'two tokens',
      'header_ambiguous',
      request({
        headers: [
          ['authorization', 'Bearer lm_at_a'],
          ['authorization', 'bearer lm_at_b'],
        ],
      }),
    ],
    [
      'a token that nobody issued',
      'token_invalid',
      request({ headers: [['authorization', 'Bearer lm_at_abc']] }),
    ],
    [
      "somebody else's bearer token",
      'allow',
      bearing(links, { headers: [['authorization', 'Bearer eyJhbGciOi']] }),
    ],
    [
      'identity headers sent by the client',
      'allow',
      bearing(links, {
        headers: [
          ['x-lemma-runtime-id', 'bot-2'],
          ['x-lemma-agent-id', 'other'],
        ],
      }),
    ],
    [
      'an upgrade',
      'method_not_allowed',
      bearing(links, {
        headers: [
          ['connection', 'upgrade'],
          ['upgrade', 'websocket'],
        ],
      }),
    ],
    ['CONNECT', 'method_not_allowed', bearing(links, { method: 'CONNECT' })],
    ['an empty credential', 'auth_required', request({ headers: [['x-lemma-credential', ' ']] })],
    ['a proof without a PoP', 'pop_required', get(put('x-lemma-pop', () => undefined))],
    ['a PoP beside a bearer credential', 'credential_ambiguous', get(asCredential)],
    ['a PoP alone', 'credential_ambiguous', get(put('x-lemma-proof', () => undefined))],
    ['both forms of PoP', 'credential_ambiguous', get(put('signature-input', () => 'a=();tag="lemma-pop"'))],
    [
      "another label's Signature-Input",
      'allow',
      get(put('signature-input', () => 'cdn=("@method");tag="cdn"')),
    ],
    ['a good PoP', 'allow', get(() => undefined)],
    ['another method', 'pop_invalid', { ...get(() => undefined), method: 'HEAD' }],
    ['another path', 'pop_invalid', { ...get(() => undefined), path: '/v1/documents/43' }],
    ['a query that was added', 'pop_invalid', { ...get(() => undefined), path: '/v1/documents/42?a=1' }],
    [
      'a query reordered',
      'pop_invalid',
      { ...get(() => undefined, { path: '/v1/documents/42?a=1&b=2' }), path: '/v1/documents/42?b=2&a=1' },
    ],
    [
      'an upper-case host is the same authority',
      'allow',
      { ...get(() => undefined), host: 'API.EXAMPLE.COM' },
    ],
    ['another authority', 'pop_invalid', { ...get(() => undefined), host: 'api.example.com:8443' }],
    ['a key of the PoP itself', 'pop_invalid', proving(links, stranger)],
    ["the runtime's key for a run", 'pop_invalid', proving(withRun, keys.runtime)],
    ["the run's key", 'allow', proving(withRun, keys.run)],
    ['another alg', 'pop_invalid', popPart('alg="ed25519"', 'alg="none"')],
    ['another tag', 'pop_invalid', popPart('tag="lemma-pop"', 'tag="other"')],
    ['a parameter more', 'pop_invalid', popPart(';tag=', ';expires=1;tag=')],
    ['a parameter twice', 'pop_invalid', popPart(';alg="ed25519"', ';alg="ed25519";alg="ed25519"')],
    ['a component less', 'pop_invalid', popPart(' "@query"', '')],
    ['a component twice', 'pop_invalid', popPart('"@query"', '"@query" "@query"')],
    ['a component more', 'pop_invalid', popPart('"@query"', '"@query" "x-other"')],
    ['a component with a parameter', 'pop_invalid', popPart('"@query"', '"@query";req')],
    ['a covered digest that is absent', 'pop_invalid', popPart('"@query"', '"@query" "content-digest"')],
    ['an empty nonce', 'pop_invalid', popPart(/nonce="[^"]*"/, 'nonce=""')],
    ['a nonce of 21', 'pop_invalid', proving(links, keys.runtime, { nonce: 'a'.repeat(21) })],
    ['a nonce of 88', 'allow', proving(links, keys.runtime, { nonce: 'a'.repeat(88) })],
    ['a nonce of 89', 'pop_invalid', proving(links, keys.runtime, { nonce: 'a'.repeat(89) })],
    ['a created that is a string', 'pop_invalid', popPart(/created=\d+/, 'created="1790000000"')],
    ['a created that is a decimal', 'pop_invalid', popPart(/created=(\d+)/, 'created=$1.5')],
    ['a dictionary with a third member', 'pop_invalid', get(put('x-lemma-pop', (pop) => `${pop}, more=1`))],
    ['a member twice', 'pop_invalid', get(put('x-lemma-pop', (pop) => `${pop}, ${pop.split(', ').at(-1)}`))],
    ['a PoP that is no dictionary', 'pop_invalid', get(put('x-lemma-pop', () => '((('))],
    ['a PoP 60 s old', 'allow', proving(links, keys.runtime, { created: NOW - 60 })],
    ['a PoP 61 s old', 'pop_stale', proving(links, keys.runtime, { created: NOW - 61 })],
    ['a PoP 30 s ahead', 'allow', proving(links, keys.runtime, { created: NOW + 30 })],
    ['a PoP 31 s ahead', 'pop_stale', proving(links, keys.runtime, { created: NOW + 31 })],
    ['a PoP over a body', 'allow', update()],
    [
      'a body swapped',
      'pop_body_mismatch',
      { ...update(), body: Buffer.from('{"title":"y"}').toString('base64url') },
    ],
    [
      'a body truncated',
      'body_truncated',
      { ...update(), body: Buffer.from('{"title"').toString('base64url') },
    ],
    ['a body that was not seen', 'body_truncated', { ...update(), body: null }],
    ['a body called partial', 'body_truncated', update({ headers: [['x-envoy-auth-partial-body', 'true']] })],
    [
      'a digest without sha-256',
      'pop_invalid',
      update({ change: put('content-digest', () => 'sha-512=:AAAA:') }),
    ],
    ['a compressed body where the policy needs JSON', 'context_missing', purging('{"all":true}', 'gzip')],
    ['a body with a key twice where the policy needs JSON', 'context_missing', purging('{"a":1,"a":2}')],
    ['a body as the policy needs it', 'allow', purging('{"all":true}')],
    [
      'a body that the PoP does not cover',
      'pop_body_mismatch',
      {
        ...proving(links, keys.runtime, { method: 'PUT' }),
        body: Buffer.from('{}').toString('base64url'),
      },
    ],
    ['no length, no body, on a PUT', 'body_truncated', proving(links, keys.runtime, { method: 'PUT' })],
    [
      'a PUT that says it is empty',
      'allow',
      proving(links, keys.runtime, { method: 'PUT', headers: [['content-length', '0']] }),
    ],
    [
      'a chunked body that was not seen',
      'pop_body_mismatch',
      proving(links, keys.runtime, { headers: [['transfer-encoding', 'chunked']] }),
    ],
    [
      'another agent in the binding',
      'runtime_unknown',
      bearing(runtimeWith({ claims: { agent_id: 'other' } })),
    ],
    [
      'another workspace in the binding',
      'runtime_unknown',
      bearing(runtimeWith({ claims: { workspace_id: 'other' } })),
    ],
    [
      'a runtime that nobody registered',
      'runtime_unknown',
      bearing(runtimeWith({ claims: { runtime_id: 'bot-2' } })),
    ],
    ['a taint epoch ahead', 'taint_ahead', bearing(runtimeWith({ claims: { taint_epoch: 1 } }))],
  ];
}

/** Every row, in an order in which none depends on another. */
export function attacks(): Attack[] {
  return [...chainAndKeys(), ...encodings(), ...timesAndAudiences(), ...popAndHttp()].map(
    ([name, expect, wire]) => ({
      name,
      expect,
      request: wire,
    }),
  );
}
