import { deepEqual, equal, ok, throws } from 'node:assert/strict';
import fc from 'fast-check';
import { Denial, InputError } from '../../src/reason.ts';
import {
  apiRoutes,
  destinationsOf,
  type Received,
  toRequest,
  type Ways,
} from '../../src/request/firewall.ts';
import { buildRouteMap } from '../../src/request/route-map.ts';
import type { FirewallApi } from '../../src/schema/config.ts';
import { api } from '../firewall/support.ts';

const realm = { org: 'acme', env: 'prod' };

function received(changes: Partial<Received> = {}): Received {
  return {
    method: 'GET',
    target: '/firewall/docs/a',
    host: '127.0.0.1:8787',
    protocol: 'HTTP/1.1',
    headers: [['Host', '127.0.0.1:8787']],
    body: { seen: null, partial: false, size: 0 },
    address: '127.0.0.1',
    ...changes,
  };
}

/** Of a firewall that is a forward proxy as well. */
function waysOf(apis: readonly FirewallApi[]): Ways {
  return { destinations: destinationsOf(apis), proxies: true, fallback: () => null };
}

/** The id of the route that `decide` would find, or the code that it would deny with. */
function routed(apis: readonly FirewallApi[], target: string, method = 'GET'): string {
  const { request } = toRequest(received({ target, method }), waysOf(apis));
  try {
    return buildRouteMap(apiRoutes(apis, realm)).find(request).route.id;
  } catch (error) {
    if (error instanceof Denial) return error.code;
    throw error;
  }
}

describe('request/firewall apiRoutes', () => {
  it('makes an api a route', () => {
    const one = api({
      base_url: 'https://API.example.com:443/v1/',
      path_prefixes: ['/docs'],
      risk: 'high',
      body: 'json',
    });
    deepEqual(apiRoutes([one], realm), [
      {
        id: 'firewall.docs',
        org: 'acme',
        env: 'prod',
        host: 'api.example.com',
        path: '/v1/docs/**',
        methods: ['GET', 'POST'],
        api: 'docs',
        action: 'docs.use',
        scope: ['docs.read'],
        audience: 'https://api.example.com',
        risk: 'high',
        body: 'json',
        taint_on_response: false,
        forward_credential: false,
        mode: 'enforce',
        public: false,
        encoded_slash: 'deny',
        upgrade: 'deny',
      },
    ]);
  });

  it('keeps a port in the audience and leaves it out of the host', () => {
    const [route] = apiRoutes([api({ base_url: 'http://[::1]:3000' })], realm);
    deepEqual([route?.host, route?.audience], ['[::1]', 'http://[::1]:3000']);
  });

  for (const [prefix, path] of [
    ['/', '/v1/**'],
    ['/a', '/v1/a/**'],
  ] as const) {
    it(`puts prefix ${prefix} below the base path`, () => {
      const [route] = apiRoutes([api({ base_url: 'http://a/v1', path_prefixes: [prefix] })], realm);
      equal(route?.path, path);
    });
  }

  it('gives each further prefix an id that no configured route can have', () => {
    const ids = apiRoutes([api({ path_prefixes: ['/a', '/b'] })], realm).map(({ id }) => id);
    deepEqual(ids.toSorted(), ['firewall.docs', 'firewall.docs:2']);
  });

  for (const prefix of ['/{id}', '/*', '/a/**', '/a/**/b']) {
    it(`refuses prefix ${prefix}, which would be a pattern`, () => {
      throws(
        () => apiRoutes([api(), api({ id: 'b', path_prefixes: ['/', prefix] })], realm),
        (e) => e instanceof InputError && e.problems[0]?.field === 'firewall.apis[1].path_prefixes[1]',
      );
    });
  }

  for (const base_url of ['http://a.example./', 'ftp://a', 'http://a/*', 'x']) {
    it(`refuses base_url ${base_url}`, () => {
      throws(
        () => apiRoutes([api({ base_url })], realm),
        (e) => e instanceof InputError && e.problems[0]?.field === 'firewall.apis[0].base_url',
      );
    });
  }
});

describe('request/firewall toRequest', () => {
  const two = [
    api({ base_url: 'https://api.example.com/v1', path_prefixes: ['/docs', '/docs/deep', '/files'] }),
    api({ id: 'mail', base_url: 'https://api.example.com/mail', path_prefixes: ['/'], methods: ['POST'] }),
  ];

  it('asks about the request that the upstream would get', () => {
    const { request } = toRequest(received({ target: '/firewall/docs/docs/7?x=%2f' }), waysOf(two));
    const { border, scheme, host, target } = request;
    deepEqual([border, scheme, host, target], ['firewall', 'https', 'api.example.com', '/v1/docs/7?x=%2f']);
  });

  it('leaves out the Host of the firewall and keeps every other line, in lower case', () => {
    const headers = [
      ['Host', '127.0.0.1:8787'],
      ['X-A', '1'],
      ['x-a', ' 2\t'],
    ] as const;
    const { request } = toRequest(received({ headers }), waysOf(two));
    deepEqual(request.headers, [
      ['x-a', '1'],
      ['x-a', '2'],
    ]);
  });

  it('keeps bytes of a header as they are', () => {
    const { request } = toRequest(received({ headers: [['x-a', '\xe9\xff']] }), waysOf(two));
    deepEqual(request.headers, [['x-a', '\xe9\xff']]);
  });

  it('carries on the trace', () => {
    const trace = '0af7651916cd43dd8448eb211c80319c';
    const headers = [['traceparent', `00-${trace}-b7ad6b7169203331-01`]] as const;
    equal(toRequest(received({ headers }), waysOf(two)).request.traceId, trace);
  });

  for (const [target, outcome] of [
    ['/firewall/docs/docs/7', 'firewall.docs'],
    ['/firewall/docs/docs', 'firewall.docs'],
    ['/firewall/docs/docs/deep/7', 'firewall.docs:2'],
    ['/firewall/docs/files?x', 'firewall.docs:3'],
    ['/firewall/docs/docsier', 'route_unknown'],
    ['/firewall/docs/admin', 'route_unknown'],
    ['/firewall/docs', 'route_unknown'],
    ['/firewall/docs/docs/../admin', 'path_ambiguous'],
    ['/firewall/docs/docs/%2e%2e/admin', 'path_ambiguous'],
    ['/firewall/docs//docs', 'path_ambiguous'],
    ['/firewall/docs/docs%2f7', 'path_ambiguous'],
    ['/firewall/mail/a', 'method_not_allowed'],
    ['/firewall/docs/mail/a', 'route_unknown'],
    ['/firewall/other/docs', 'route_unknown'],
    ['/firewall/DOCS/docs', 'route_unknown'],
    ['/firewall/', 'route_unknown'],
    ['/firewall//docs/docs', 'path_ambiguous'],
    ['/Firewall/docs/docs', 'route_unknown'],
    ['/v1/docs', 'route_unknown'],
    ['/', 'route_unknown'],
    ['*', 'path_ambiguous'],
    ['http://api.example.com/v1/docs/7', 'route_unknown'],
  ] as const) {
    it(`GET ${target} comes to ${outcome}`, () => {
      equal(routed(two, target), outcome);
    });
  }

  it('never lets one api be judged by the route of another on its host', () => {
    const apis = [
      api({ id: 'a', base_url: 'http://h', path_prefixes: ['/x'] }),
      api({ id: 'b', base_url: 'http://h', path_prefixes: ['/'] }),
    ];
    deepEqual(
      [routed(apis, '/firewall/a/y'), routed(apis, '/firewall/b/x')],
      ['route_unknown', 'firewall.b'],
    );
  });

  it('finds a route only below the base path and a prefix of the api, whatever is sent', () => {
    const piece = fc.constantFrom(
      '/',
      '.',
      '..',
      '%2f',
      '%2e',
      'docs',
      'v1',
      'mail',
      'admin',
      ';',
      '\\',
      '?',
      '#',
      '%',
    );
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 8 }), (pieces) => {
        const target = `/firewall/docs${pieces.join('')}`;
        if (!routed(two, target).startsWith('firewall.')) return;
        const path = target.slice('/firewall/docs'.length).split('?', 1)[0] ?? '';
        ok(/^\/(?:docs|files)(?:\/|$)/.test(path) && !/\.\.|%2e|\/\//.test(path), target);
      }),
      { numRuns: 2000 },
    );
  });
});
