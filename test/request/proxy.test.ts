import { deepEqual, equal } from 'node:assert/strict';
import { Denial } from '../../src/reason.ts';
import { destinationsOf, type Received, toRequest } from '../../src/request/firewall.ts';
import { allowedOf, presented, proxyRoutes, toConnect } from '../../src/request/proxy.ts';
import { buildRouteMap } from '../../src/request/route-map.ts';
import type { FirewallProxy } from '../../src/schema/config.ts';
import { parseAllowed } from '../../src/schema/proxy.ts';
import { api, proxy } from '../firewall/support.ts';

const realm = { org: 'acme', env: 'prod' };
const nobody = () => null;

function received(changes: Partial<Received> = {}): Received {
  return {
    method: 'CONNECT',
    target: 'api.example.com:443',
    host: 'api.example.com:443',
    protocol: 'HTTP/1.1',
    headers: [],
    body: { seen: null, partial: false, size: 0 },
    address: '127.0.0.1',
    ...changes,
  };
}

/** Where a tunnel leads, with the audience of its route, or the code that it is denied with. */
function connected(settings: FirewallProxy | null, target: string): readonly unknown[] {
  const allowed = settings === null ? null : allowedOf(settings);
  const { request, to } = toConnect(received({ target }), allowed, nobody);
  try {
    const routes = settings === null ? [] : proxyRoutes(settings, realm);
    const { route, host } = buildRouteMap([], [], routes).find(request);
    return [to?.host, to?.port, host, route.audience];
  } catch (error) {
    return [to, error instanceof Denial ? error.code : error];
  }
}

describe('request: a tunnel of the proxy', () => {
  const settings = proxy({
    allow: [
      'api.example.com:443',
      'api.example.com:80',
      '*.cdn.example:8443',
      '10.0.0.5:443',
      '[fd00::5]:443',
    ],
    audience: null,
  });

  for (const [target, host, port, audience] of [
    ['api.example.com:443', 'api.example.com', 443, 'https://api.example.com'],
    ['API.Example.COM:443', 'api.example.com', 443, 'https://api.example.com'],
    ['api.example.com:80', 'api.example.com', 80, 'http://api.example.com'],
    ['10.0.0.5:443', '10.0.0.5', 443, 'https://10.0.0.5'],
    ['[fd00::5]:443', '[fd00::5]', 443, 'https://[fd00::5]'],
  ] as const) {
    it(`leads to ${target}`, () => deepEqual(connected(settings, target), [host, port, host, audience]));
  }

  it("is for the proxy's own audience, where that is said", () => {
    const said = { ...settings, audience: 'https://egress.example' };
    deepEqual(connected(said, 'a.b.cdn.example:8443').at(-1), 'https://egress.example');
  });

  for (const target of [
    'api.example.com:8443',
    'api.example.com',
    'api.example.com:',
    'api.example.com:0',
    'api.example.com:65979',
    'api.example.com.:443',
    'api.example.com:443/',
    'user@api.example.com:443',
    'evil.example:443',
    'xapi.example.com:443',
    'cdn.example:8443',
    'xcdn.example:8443',
    '*.cdn.example:8443',
    '.cdn.example:8443',
    '10.0.0.6:443',
    '167772165:443',
    '0xa.0.0.5:443',
    '10.5:443',
    '[::ffff:10.0.0.5]:443',
    '[fd00:0::5]:443',
    'fd00::5:443',
    '/',
    '',
  ]) {
    it(`does not lead to "${target}"`, () => deepEqual(connected(settings, target), [null, 'route_unknown']));
  }

  it('leads nowhere without a proxy', () =>
    deepEqual(connected(null, 'api.example.com:443'), [null, 'route_unknown']));

  it('is no way for a request that is not CONNECT', () => {
    const { request } = toConnect(received({ method: 'GET' }), allowedOf(settings), nobody);
    const map = buildRouteMap([], [], proxyRoutes(settings, realm));
    let code: unknown;
    try {
      map.find(request);
    } catch (error) {
      code = error instanceof Denial ? error.code : error;
    }
    equal(code, 'method_not_allowed');
  });
});

describe('request: an entry of the proxy', () => {
  for (const [text, message] of [
    ['api.example.com', 'must be host:port, such as api.example.com:443 or *.example.com:443'],
    ['https://api.example.com:443', 'must be host:port, such as api.example.com:443 or *.example.com:443'],
    ['*:443', 'must name its hosts: * alone would be every address there is'],
    ['api.*.com:443', 'may have * only alone, or as the whole first label: *.example.com'],
    ['API.example.com:443', 'must be lower case: api.example.com'],
    ['2130706433:443', 'must have its host in its normal form: 127.0.0.1'],
    ['[0:0::1]:443', 'must be a host name (api.example.com), *.example.com, or *'],
    ['api.example.com:0', 'must have a port of 1 to 65535'],
    ['api.example.com:99999', 'must have a port of 1 to 65535'],
  ] as const) {
    it(`is not ${text}`, () => equal(parseAllowed(text), message));
  }
});

describe('request: what a client shows to its proxy', () => {
  const basic = (text: string) => `Basic ${Buffer.from(text).toString('base64')}`;
  for (const [value, line] of [
    [basic('agent:cred'), ['x-lemma-credential', 'cred']],
    [basic('cred:'), ['x-lemma-credential', 'cred']],
    [basic('cred'), ['x-lemma-credential', 'cred']],
    [basic('agent:lm_at_a.b'), ['authorization', 'Bearer lm_at_a.b']],
    ['bearer cred', ['x-lemma-credential', 'cred']],
    ['Bearer lm_at_a.b', ['authorization', 'Bearer lm_at_a.b']],
  ] as const) {
    it(`is its credential: ${value}`, () =>
      deepEqual(presented([['Proxy-Authorization', value]], nobody), [line]));
  }

  for (const value of ['', 'Negotiate abc', 'Basic', basic(':'), basic('')]) {
    it(`is nothing: "${value}"`, () =>
      deepEqual(
        presented([['Proxy-Authorization', value]], () => 'fallback'),
        [],
      ));
  }

  it('is what stands for those that show nothing', () =>
    deepEqual(
      presented([['accept', '*/*']], () => 'fallback'),
      [
        ['accept', '*/*'],
        ['x-lemma-credential', 'fallback'],
      ],
    ));

  for (const name of ['X-Lemma-Credential', 'x_lemma_proof', 'Authorization', 'Signature-Input']) {
    it(`is what it shows, beside nothing else: ${name}`, () =>
      deepEqual(
        presented([[name, 'mine']], () => 'fallback'),
        [[name, 'mine']],
      ));
  }

  it('is two credentials where there are two', () =>
    deepEqual(
      presented(
        [
          ['proxy-authorization', 'Bearer one'],
          ['x-lemma-credential', 'two'],
        ],
        nobody,
      ),
      [
        ['x-lemma-credential', 'one'],
        ['x-lemma-credential', 'two'],
      ],
    ));
});

describe('request: plain HTTP by a proxy', () => {
  const apis = [
    api({ id: 'docs', base_url: 'http://api.example.com/v1' }),
    api({ id: 'admin', base_url: 'http://api.example.com/v1/admin' }),
    api({ id: 'six', base_url: 'http://[::1]:8080' }),
  ];
  const asked = (target: string, proxies = true) => {
    const ways = { destinations: destinationsOf(apis), proxies, fallback: nobody };
    const { request, destination } = toRequest(received({ method: 'GET', target }), ways);
    return [destination?.api.id, request.host, request.target, request.routeId];
  };

  for (const [target, expected] of [
    ['http://api.example.com/v1/a?b', ['docs', 'api.example.com', '/v1/a?b', 'firewall.docs']],
    ['HTTP://API.example.com:80/v1/a', ['docs', 'api.example.com', '/v1/a', 'firewall.docs']],
    ['http://api.example.com/v1', ['docs', 'api.example.com', '/v1', 'firewall.docs']],
    ['http://api.example.com/v1/admin/x', ['admin', 'api.example.com', '/v1/admin/x', 'firewall.admin']],
    ['http://[::1]:8080', ['six', '[::1]:8080', '/', 'firewall.six']],
    ['http://[::1]:8080?a', ['six', '[::1]:8080', '/?a', 'firewall.six']],
    ['http://api.example.com/v1/%2e', ['docs', 'api.example.com', '/v1/%2e', 'firewall.docs']],
  ] as const) {
    it(`is the api's: ${target}`, () => deepEqual(asked(target), expected));
  }

  for (const target of [
    'http://api.example.com/v2',
    'http://api.example.com/v1x',
    'http://api.example.com:8080/v1/a',
    'https://api.example.com/v1/a',
    'http://user@api.example.com/v1/a',
    'http://evil.example/v1/a',
    'http://evil.example/firewall/docs/a',
    'http:///v1/a',
  ]) {
    it(`is nobody's: ${target}`, () => {
      const [id, , , routeId] = asked(target);
      deepEqual([id, routeId], [undefined, undefined]);
    });
  }

  it('is not served where there is no proxy', () =>
    deepEqual(asked('http://api.example.com/v1/a', false).at(0), undefined));
});
