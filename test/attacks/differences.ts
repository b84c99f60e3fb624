import type { ForwardAuthProxy } from '../../src/request/forward-auth.ts';

/** What becomes of an attack over a transport that does not carry it as it is: by the attack's name. */
export interface Difference {
  /** `allow` or Lemma's code; `refused: <status>`: nothing was decided; `not sent: <reason>`. */
  readonly outcome: string;
  readonly why: string;
}

type Differences = Readonly<Record<string, Difference>>;

/** The same difference of several attacks. */
function each(outcome: string, why: string, names: readonly string[]): Differences {
  return Object.fromEntries(names.map((name) => [name, { outcome, why }]));
}

const path = (text: string) => `the path ${JSON.stringify(text)}`;
const NO_BODY = 'an answer to HEAD has no body that could name the code';

/** What no request line or field of HTTP/1.1 can say. */
const UNSAYABLE: Differences = {
  ...each(
    'not sent: a second reading of the host',
    'HTTP/1.1 says the host once; a doubled Host line is test/e2e/envoy-lemma.test.ts and test/firewall/listen.test.ts',
    ['host against the request', 'host with the default port'],
  ),
  ...each('not sent: a pseudo-header', 'HTTP/1.1 has none; over HTTP/2 it is test/e2e/envoy-lemma.test.ts', [
    ':authority against the request',
  ]),
  ...each(
    'not sent: a body that never ends',
    'the message is not over, so nobody decides yet; a body over the limit is tested where the limit is',
    ['a body truncated', 'a body that was not seen'],
  ),
};

const UNTOLD_EMPTY = each('body_truncated', 'without a body the proxy does not say whether there was one', [
  'a PUT that says it is empty',
]);

/** tools/envoy/envoy.yaml: paths are normalised before Lemma is asked, and forwarded as they were decided on. */
export const ENVOY: Differences = {
  ...UNSAYABLE,
  ...each('allow', 'Envoy normalises the path, asks about the normal form and forwards that', [
    path('/v1//documents/42'),
    path('/v1/./documents/42'),
    path('/v1/documents\\42'),
    path('/v1/documents/%61'),
    path('/v1/documents/%7e'),
    path('//v1/documents/42'),
  ]),
  ...each('route_unknown', 'Envoy normalises the path, and there is no route to its normal form', [
    path('/v1/documents/..'),
    path('/v1/documents/%2e%2e'),
    'vector order/path-before-credential',
  ]),
  ...each('refused: 400', 'Envoy refuses the request line or the escape itself', [
    path('v1/documents/42'),
    path('/v1/documents/42#x'),
    path('/v1/documents/a b'),
    path('/v1/documents/\u00e9'),
    path('/v1/documents/a%2Fb'),
    path('/v1/documents/a%5cb'),
    path('/v1/documents/%00'),
    path('/v1/documents/\u007f'),
    path('*'),
    path(''),
    path('/v1/documents/42?x=\u0001'),
    path('/v1/documents/42?x#y'),
    'vector request/path-enc-slash',
    'a control byte in the host',
    'a method in lower case',
    'CONNECT',
  ]),
  ...each('refused: 400', 'headers_with_underscores_action: REJECT_REQUEST', [
    'the credential with underscores',
  ]),
  ...each('refused: 431', 'more than the 60 KiB of headers that Envoy takes', ['a credential of 64 KiB']),
  ...each('refused: 431', 'more than the 100 headers that Envoy takes', [
    'a method override behind 2,000 other headers',
  ]),
  ...each('refused: 403', 'Envoy has no upgrades configured', ['an upgrade']),
  ...each('refused: 403', 'Envoy takes no https target on a listener without TLS', [
    path('https://api.example.com/v1/documents/42'),
  ]),
  ...each('refused: 401', NO_BODY, ['another method']),
  ...each('allow', 'Envoy itself says whether it cut the body, over what the client says', [
    'a body called partial',
  ]),
  ...each('allow', 'Envoy reads the chunks: they hold no body to cover', [
    'a chunked body that was not seen',
  ]),
};

/** tools/envoy/envoy-http.yaml: the same but for what Lemma is told of bodies. */
export const ENVOY_OVER_HTTP: Differences = { ...ENVOY, ...UNTOLD_EMPTY };

/** The firewall's own address is the host, and what stands before the API's path names the API. */
export const FIREWALL: Differences = {
  ...UNSAYABLE,
  ...each('route_unknown', 'without its slash the path names another API than the configured ones', [
    path('v1/documents/42'),
    path('*'),
    path(''),
  ]),
  ...each('refused: 400', "Node's HTTP parser refuses the request line or the host", [
    path('/v1/documents/a b'),
    path('/v1/documents/\u00e9'),
    path('/v1/documents/\u007f'),
    path('/v1/documents/42?x=\u0001'),
    'a control byte in the host',
    'a method in lower case',
  ]),
  ...each(
    'refused: 403',
    'the firewall serves its own loopback address only, whatever is decided elsewhere',
    ['a port on the host', 'another host', 'an upper-case host is the same authority', 'another authority'],
  ),
  ...each('refused: 431', 'more than the 64 KiB of headers that the firewall takes', [
    'a credential of 64 KiB',
  ]),
  ...each('refused: 403', 'firewall.proxy names no such tunnel', ['CONNECT']),
  ...each('refused: 401', NO_BODY, ['another method']),
  ...each('allow', 'a firewall API has path prefixes, and this path is below one of them', [
    'an empty parameter',
    'the exact route has no such method: no fall-back',
  ]),
  ...each('allow', 'the firewall has read the body to its end itself, whatever the client says of it', [
    'a body called partial',
    'no length, no body, on a PUT',
  ]),
};

const NO_HOST_OF_HTTP = each('not sent: no host of HTTP', 'no proxy takes it for a host', [
  'a control byte in the host',
]);

/** No proxy asks with these: it has refused them. */
const NO_TARGET_OF_HTTP = [path('/v1/documents/\u007f'), path('/v1/documents/42?x=\u0001')];

const PROXY_HAS_READ = 'the proxy has read the body to its end itself, whatever the client says of it';

/** Over forward-auth the code is the same, and its status 401 or 403. */
const HEADERS_TOO_LARGE = each(
  'refused: 403',
  'more than the 64 KiB of headers that Lemma takes, which the parser says before it knows of a request',
  ['a credential of 64 KiB'],
);

const BODY_KEPT = 'the proxy keeps the body to itself, and the route needs it: denied, whatever it is';
/** Asked without the body that the route needs. */
const UNSEEN_BODY = each('body_truncated', BODY_KEPT, [
  'a PoP over a body',
  'a body swapped',
  'a compressed body where the policy needs JSON',
  'a body with a key twice where the policy needs JSON',
  'a body as the policy needs it',
  'a body that the PoP does not cover',
  'vector pop/put-with-body',
  'vector pop/body-swapped',
  'vector policy/old-binding-high',
  'vector policy/critical-json-duplicate',
  'vector policy/critical-without-run',
]);
const NO_ALLOWED_WRITE = each('not sent: a write that is allowed', BODY_KEPT, [
  'a write with the epoch from before a tainting answer',
]);

const UNDERSCORES = each('header_ambiguous', 'the proxy could not keep that name from the upstream', [
  'the credential with underscores',
]);

/** What each proxy asks of a request, with its sample configuration. */
export const FORWARD_AUTH: Readonly<Record<ForwardAuthProxy, Differences>> = {
  envoy: {
    ...UNSAYABLE,
    ...NO_HOST_OF_HTTP,
    ...HEADERS_TOO_LARGE,
    ...each('not sent: no target of HTTP', 'Envoy refuses the request line', [
      ...NO_TARGET_OF_HTTP,
      path('/v1/documents/a b'),
      path('/v1/documents/\u00e9'),
    ]),
    ...each('not sent: no method of HTTP', 'Envoy refuses the request line', ['a method in lower case']),
    ...each('not sent: a tunnel that Envoy itself refuses', 'Envoy has no tunnels configured', ['CONNECT']),
    ...each('not sent: an upgrade that Envoy itself refuses', 'Envoy has no upgrades configured', [
      'an upgrade',
    ]),
    ...each('allow', PROXY_HAS_READ, ['a body called partial', 'a chunked body that was not seen']),
    ...UNTOLD_EMPTY,
  },
  nginx: {
    ...UNSAYABLE,
    ...NO_HOST_OF_HTTP,
    ...HEADERS_TOO_LARGE,
    ...UNSEEN_BODY,
    ...NO_ALLOWED_WRITE,
    ...each('not sent: no target of HTTP', 'nginx refuses the request line', [
      ...NO_TARGET_OF_HTTP,
      path(''),
    ]),
  },
  traefik: {
    ...UNSAYABLE,
    ...NO_HOST_OF_HTTP,
    ...HEADERS_TOO_LARGE,
    ...UNDERSCORES,
    ...each('not sent: no target of HTTP', 'Traefik refuses the request line', [
      ...NO_TARGET_OF_HTTP,
      path(''),
    ]),
    ...each('allow', 'Traefik takes an upgrade off behind Lemma (test/e2e/forward-auth.test.ts)', [
      'an upgrade',
    ]),
    ...each('allow', PROXY_HAS_READ, ['a body called partial', 'a chunked body that was not seen']),
    ...UNTOLD_EMPTY,
  },
  caddy: {
    ...UNSAYABLE,
    ...NO_HOST_OF_HTTP,
    ...HEADERS_TOO_LARGE,
    ...UNDERSCORES,
    ...UNSEEN_BODY,
    ...NO_ALLOWED_WRITE,
    ...each('not sent: no target of HTTP', 'Caddy refuses the request line', [
      ...NO_TARGET_OF_HTTP,
      path(''),
    ]),
    ...each('not sent: a body that Caddy itself refuses', 'Lemma would suppose no body there', [
      'a chunked body that was not seen',
    ]),
    ...each('body_truncated', BODY_KEPT, ['a PUT that says it is empty']),
  },
};

/** tools/nginx/nginx.conf: the request line goes to Lemma and to the upstream as it came. */
export const NGINX: Differences = {
  ...UNSAYABLE,
  ...UNSEEN_BODY,
  ...NO_ALLOWED_WRITE,
  ...each('refused: 400', 'nginx refuses the request line, the escape or the host itself', [
    path('v1/documents/42'),
    path('/v1/documents/a b'),
    path('/v1/documents/%00'),
    path('/v1/documents/%'),
    path('/v1/documents/%4'),
    path('/v1/documents/%zz'),
    path('/v1/documents/\u007f'),
    path('*'),
    path(''),
    path('/v1/documents/42?x=\u0001'),
    'a control byte in the host',
    'a method in lower case',
  ]),
  ...each('refused: 400', 'nginx takes one Authorization', ['two tokens']),
  ...each('refused: 400', 'a line of more than the 32 KiB that nginx takes', ['a credential of 64 KiB']),
  ...each('refused: 400', 'more than the 1,000 headers that nginx takes', [
    'a method override behind 2,000 other headers',
  ]),
  ...each('refused: 405', 'nginx has no tunnels', ['CONNECT']),
  ...each('refused: 401', NO_BODY, ['another method']),
  ...each('allow', 'nginx asks about the host and the path of such a target, and forwards those', [
    path('https://api.example.com/v1/documents/42'),
  ]),
};
