import { deepEqual, equal, match, ok } from 'node:assert/strict';
import { HTTP_SAMPLE_CONFIG, installEnvoy, startEnvoy } from '../../tools/envoy/envoy.ts';
import { PROXIES, type ProxyKind } from '../../tools/proxy/proxies.ts';
import type { RunningProxy } from '../../tools/proxy/start.ts';
import { DOCUMENT } from '../support/envoy-attacks.ts';
import { type Answer, send, sendRaw } from '../support/envoy-client.ts';
import {
  checkForwarded,
  headerOf,
  lemmaConfig,
  logLines,
  needEnvoy,
  needPart,
  recordsOf,
} from '../support/envoy-scene.ts';
import { startUpstream, type Upstream } from '../support/envoy-upstream.ts';
import {
  asSignature,
  bearing,
  chain,
  header,
  keys,
  proving,
  request,
  SUBJECT,
  type WireRequest,
} from '../support/kit.ts';
import { type Running, running } from '../support/running.ts';

interface Tried extends ProxyKind {
  readonly name: string;
  /** What its client gets when Lemma cannot be asked. */
  readonly withoutLemma: number;
  /** It shows Lemma the body. */
  readonly body: boolean;
}

const envoy: ProxyKind = {
  install: installEnvoy,
  start: (binary, ports) => startEnvoy(binary, ports, HTTP_SAMPLE_CONFIG),
};

const TRIED: readonly Tried[] = [
  { name: 'Envoy over HTTP', ...envoy, withoutLemma: 403, body: true },
  { name: 'nginx', ...PROXIES.nginx, withoutLemma: 500, body: false },
  { name: 'Traefik', ...PROXIES.traefik, withoutLemma: 500, body: true },
  { name: 'Caddy', ...PROXIES.caddy, withoutLemma: 502, body: false },
];

const IDENTITY = {
  'x-lemma-subject': SUBJECT,
  'x-lemma-runtime-id': 'bot-1',
  'x-lemma-agent-id': 'bot',
  'x-lemma-workspace-id': 'prod',
  'x-lemma-scope': 'documents.read documents.write documents.admin',
};

/** What would be another request, were any of these believed. Each proxy's source, those of the others, and kin. */
const FORGED = [
  ['X-Original-URI', '/v1/secrets'],
  ['X-Original-Method', 'DELETE'],
  ['X-Original-Content-Length', '0'],
  ['X-Original-Transfer-Encoding', 'identity'],
  ['X-Forwarded-Uri', '/v1/secrets'],
  ['X-Forwarded-Method', 'DELETE'],
  ['X-Forwarded-Host', 'evil.example.com'],
  ['X-Forwarded-Proto', 'https'],
  ['X-Forwarded-Port', '1'],
  ['X-Forwarded-For', '192.0.2.66'],
  ['X-Forwarded-Prefix', '/v1'],
  ['X-Real-IP', '192.0.2.66'],
  ['Forwarded', 'host=evil.example.com;proto=https'],
  ['x-envoy-original-path', '/v1/secrets'],
  ['x-envoy-original-host', 'evil.example.com'],
  ['x-envoy-auth-partial-body', 'false'],
  ['x-envoy-auth-headers-to-remove', 'host'],
  ['x-envoy-decorator-operation', 'x'],
] as const;

/** The same, as what would turn a denied request into an allowed one. */
const FORGED_GOOD = FORGED.map(([name, value]) => {
  const good = /uri|path/i.test(name) ? DOCUMENT : /host$/i.test(name) ? 'api.example.com' : value;
  return [name, good === 'DELETE' ? 'GET' : good] as const;
});

/** Targets of a GET that two readers might read in two ways, with a credential that is good for the document. */
const ATTACKS = [
  '//v1/documents/42',
  '/v1//documents/42',
  '/v1/documents/../secrets',
  '/v1/documents/%2e%2e/secrets',
  '/v1/documents/..%2fsecrets',
  '/v1/documents/.%2E/secrets',
  '/v1/secrets/../documents/42',
  '/v1/documents/42/../../secrets',
  '/v1/documents/%252e%252e/secrets',
  '/v1/documents/..;/secrets',
  '/v1/documents/42;a=b',
  '/v1/documents/42%3ba',
  '/v1/documents/42%23',
  '/v1/documents/42%3fa',
  '/v1/documents/42%0a',
  '/v1/documents/42%00',
  '/v1/documents/42%0d%0aX-Lemma-Subject:%20me',
  '/v1/documents/a%2Fb',
  '/v1/documents/a%5cb',
  '/v1\\documents\\42',
  '/v1/documents/%34%32',
  '/v1/documents/%c0%ae%c0%ae/secrets',
  '/v1/documents/42%',
  '/v1/documents/42%zz',
  '/v1/documents/\xe9',
  '/v1/documents/42#/x',
  '/v1/documents/{http.request.header.x-forwarded-uri}',
  '/v1/documents/$request_uri',
  '/v1/documents/42/',
  '/V1/documents/42',
  'http://api.example.com/v1/documents/42',
  'http://evil.example.com/v1/documents/42',
  'http://evil.example.com/v1/documents/../secrets',
  '/forward-auth/nginx',
  '/lemma',
  '*',
] as const;

const decisionPort = ({ app }: Running) => Number(app.addresses.decision.split(':').at(-1));
const codeOf = ({ body }: Answer) => /"error":"(\w+)"/.exec(body)?.[1];
const statusAndCode = (answer: Answer) => [answer.status, codeOf(answer)];
const chainOf = (runtime_id: string) => chain({ runtime: { claims: { runtime_id } } });

for (const { name, install, start, withoutLemma, body } of TRIED) {
  /** The real proxy with its sample configuration, the whole service, an upstream. */
  describe(`${name}, Lemma and an upstream`, () => {
    const stops: (() => unknown)[] = [];
    let upstream: Upstream;
    let lemma: Running;
    let proxy: RunningProxy;

    before(async function () {
      const binary = await needPart(this, name, install);
      upstream = await startUpstream();
      stops.push(upstream.close);
      lemma = await running({ config: lemmaConfig(['127.0.0.1:0']) });
      stops.push(() => lemma.stop());
      proxy = await start(binary, { lemma: decisionPort(lemma), upstream: upstream.port });
      stops.push(proxy.stop);
    });
    after(async () => {
      for (const stop of stops.splice(0).reverse()) await stop();
    });
    beforeEach(() => upstream.clear());

    const ask = (wire: WireRequest) => send(proxy.port, wire);
    const identitySeen = () =>
      Object.fromEntries(upstream.seen[0]?.headers.filter(([key]) => key.startsWith('x-lemma-')) ?? []);

    async function raw(
      target: string,
      lines: readonly string[] = [],
      method = 'GET',
      host = 'Host: api.example.com',
    ) {
      const head = [`${method} ${target} HTTP/1.1`, host, `X-Lemma-Credential: ${header(chain())}`, ...lines];
      return sendRaw(proxy.port, `${head.join('\r\n')}\r\nConnection: close\r\n\r\n`);
    }

    it('tells the upstream who acts, and under which decision', async () => {
      equal((await ask(bearing(chain()))).status, 200);
      const { 'x-lemma-decision-id': id = '', ...identity } = identitySeen();
      deepEqual(identity, IDENTITY);
      match(id, /^dec_[A-Za-z0-9_-]{22}$/);
      const record = (await recordsOf(lemma)).get(id);
      deepEqual(
        [record?.verdict, record?.border, record?.request],
        ['allow', 'forward-auth', { method: 'GET', host: 'api.example.com', path: DOCUMENT }],
      );
    });

    it('passes path and query on as Lemma saw them', async () => {
      const target = `${DOCUMENT}?a=/../b;c//d&e=%2F`;
      const forwarded = name === 'Traefik' ? target.replace(';', '&') : target;
      const wire = proving(chain(), keys.runtime, { path: forwarded });
      equal((await ask({ ...wire, path: target })).status, 200);
      deepEqual(
        upstream.seen.map((seen) => seen.target),
        [forwarded],
      );
    });

    for (const spoofed of [
      ...Object.keys(IDENTITY),
      'x-lemma-run-id',
      'x-lemma-observed',
      'x-lemma-decision-id',
    ]) {
      it(`lets no client say ${spoofed}`, async () => {
        const spoof = [spoofed, 'spoofed'] as const;
        equal((await ask(bearing(chain(), { headers: [spoof, spoof] }))).status, 200);
        equal((await ask(request({ path: '/healthz', headers: [spoof] }))).status, 200);
        ok(!JSON.stringify(upstream.seen).includes('spoofed'));
      });
    }

    for (const spoofed of ['x-lemma-admin', 'x-lemma-reason', 'x_lemma_subject', 'x-lemma_subject']) {
      it(`keeps ${spoofed} from the upstream`, async () => {
        await ask(bearing(chain(), { headers: [[spoofed, 'spoofed']] }));
        ok(!JSON.stringify(upstream.seen).includes('spoofed'));
      });
    }

    describe('the credential', () => {
      it('stops there', async () => {
        equal((await ask(bearing(chain()))).status, 200);
        deepEqual(upstream.lines('x-lemma-credential'), []);
      });

      it('stops there on a public route, and so does a token of ours', async () => {
        const token = ['authorization', 'Bearer lm_at_x'] as const;
        equal((await ask(bearing(chain(), { path: '/healthz' }))).status, 200);
        equal((await ask(request({ path: '/healthz', headers: [token] }))).status, 200);
        deepEqual(['authorization', 'x-lemma-credential'].flatMap(upstream.lines), []);
      });

      it('stops there with its PoP, in either form, and leaves another’s signature', async () => {
        const others = [
          ['signature-input', 'other=("@method");tag="somebody"'],
          ['signature', 'other=:YQ==:'],
        ] as const;
        equal((await ask(proving(chain(), keys.runtime))).status, 200);
        deepEqual(['x-lemma-proof', 'x-lemma-pop'].flatMap(upstream.lines), []);
        upstream.clear();
        equal((await ask(proving(chain(), keys.runtime, { change: asSignature }))).status, 200);
        deepEqual(['x-lemma-proof', 'signature', 'signature-input'].flatMap(upstream.lines), []);
        upstream.clear();
        equal((await ask(bearing(chain(), { headers: others }))).status, 200);
        deepEqual(
          others.map(([key]) => upstream.lines(key)),
          others.map(([, value]) => [value]),
        );
      });

      it('goes on where the route forwards it, alone', async () => {
        const wire = proving(chain(), keys.runtime, { path: '/v1/forwarded/1' });
        equal(
          (await ask({ ...wire, headers: [...wire.headers, ['x-lemma-subject', 'spoofed']] })).status,
          200,
        );
        for (const [key, value] of wire.headers) deepEqual(upstream.lines(key), [value]);
        deepEqual(upstream.lines('x-lemma-subject'), [SUBJECT]);
      });

      it('leaves Authorization that is no token of ours', async () => {
        await ask(bearing(chain(), { headers: [['authorization', 'Bearer somebody-else']] }));
        deepEqual(upstream.lines('authorization'), ['Bearer somebody-else']);
      });
    });

    describe('a denial', () => {
      const cases: readonly [status: number, code: string, make: () => WireRequest][] = [
        [401, 'auth_required', () => request()],
        [401, 'encoding_invalid', () => request({ headers: [['x-lemma-credential', '!']] })],
        [401, 'pop_required', () => request({ headers: [['x-lemma-proof', header(chain())]] })],
        [403, 'route_unknown', () => bearing(chain(), { path: '/v1/secrets' })],
        [403, 'route_unknown', () => bearing(chain(), { host: 'evil.example.com' })],
        [403, 'method_not_allowed', () => bearing(chain(), { method: 'DELETE' })],
        [403, 'runtime_unknown', () => bearing(chainOf('nobody'))],
        [403, 'payload_too_large', () => request({ headers: [['x-lemma-credential', 'A'.repeat(21_848)]] })],
      ];
      for (const [status, code, make] of cases) {
        it(`for ${code} is ${status}, with a decision id and no more`, async () => {
          const answer = await ask(make());
          const { decision_id, ...said } = JSON.parse(answer.body) as Record<string, unknown>;
          deepEqual([answer.status, said], [status, { success: false, error: code }]);
          match(String(decision_id), /^dec_/);
          match(String(answer.headers['content-type']), /^application\/json/);
          equal(upstream.seen.length, 0);
        });
      }

      it('has no identity in its headers', async () => {
        const { headers } = await ask(bearing(chain(), { method: 'DELETE' }));
        equal(headers['x-lemma-subject'], undefined);
      });

      it('has no body where the method was HEAD', async () => {
        const answer = await ask(request({ method: 'HEAD' }));
        deepEqual([answer.status, answer.body], [401, '']);
      });
    });

    describe('headers that a client writes itself', () => {
      for (const [key, value] of FORGED) {
        it(`change nothing of an allowed request: ${key}: ${value}`, async () => {
          const forged = [key, value] as const;
          equal((await ask(bearing(chain(), { headers: [forged, forged] }))).status, 200);
          deepEqual(
            upstream.seen.map(({ method, target }) => [method, target, headerOf(upstream.seen[0], 'host')]),
            [['GET', DOCUMENT, 'api.example.com']],
          );
        });
      }

      for (const [what, denied] of [
        ['path', { path: '/v1/secrets' }],
        ['method', { method: 'DELETE' }],
        ['host', { host: 'evil.example.com' }],
      ] as const) {
        it(`make no denied request an allowed one: another ${what}`, async () => {
          const plain = await ask(bearing(chain(), denied));
          const forged = await ask(bearing(chain(), { ...denied, headers: FORGED_GOOD }));
          deepEqual(statusAndCode(forged), statusAndCode(plain));
          equal(upstream.seen.length, 0);
        });
      }

      it('are no connection’s: Connection cannot name what the proxy says to Lemma', async () => {
        const names = [...FORGED.map(([key]) => key), 'X-Lemma-Subject', 'X-Lemma-Decision-Id', 'Host'];
        for (const one of names) {
          const { statuses } = await raw('/v1/secrets', [`Connection: ${one}`]);
          ok(
            statuses.every((status) => status >= 400),
            `${one}: ${statuses}`,
          );
        }
        equal(upstream.seen.length, 0);
      });

      it('are no connection’s: Connection cannot hide who acts, nor show the credential', async () => {
        for (const one of [...Object.keys(IDENTITY), 'x-lemma-credential', 'x-lemma-run-id']) {
          upstream.clear();
          await raw(DOCUMENT, [`Connection: ${one}`, 'X-Lemma-Run-Id: spoofed', 'X-Lemma-Subject: spoofed']);
          const { 'x-lemma-decision-id': _, ...identity } = identitySeen();
          deepEqual(identity, upstream.seen.length === 0 ? {} : IDENTITY, one);
        }
      });

      it('are no connection’s: Connection cannot hide a header from Lemma that the upstream gets', async () => {
        for (const hidden of ['X-HTTP-Method-Override', 'X-Lemma-Admin', 'X-Original-URL']) {
          await raw(DOCUMENT, [`Connection: ${hidden}`, `${hidden}: DELETE`]);
          deepEqual(upstream.lines(hidden.toLowerCase()), [], hidden);
        }
      });

      it('are not needed by a method override, which is denied', async () => {
        const answer = await ask(bearing(chain(), { headers: [['X-HTTP-Method-Override', 'DELETE']] }));
        deepEqual(statusAndCode(answer), [403, 'header_ambiguous']);
      });
    });

    describe('a target', () => {
      for (const target of ATTACKS) {
        it(`${JSON.stringify(target)} is decided on as it is forwarded, or refused`, async () => {
          const { statuses } = await raw(target);
          const [status = 0] = statuses;
          if (upstream.seen.length === 0) {
            ok(status >= 400, String(statuses));
            return;
          }
          equal(status, 200);
          // Only what the credential is good for; what Lemma said of it is looked at below.
          for (const seen of upstream.seen) match(seen.target, /^\/v1\/documents\/[^/?]+$/);
        });
      }
    });

    describe('a PoP', () => {
      it('holds for the method, host, path and query that were sent', async () => {
        const path = `${DOCUMENT}?a=1&b=%20`;
        equal((await ask(proving(chain(), keys.runtime, { path }))).status, 200);
        const odd = proving(chain(), keys.runtime, { path, host: 'api.example.com:8443' });
        equal((await ask(odd)).status, 200);
      });

      it('holds once', async () => {
        const wire = proving(chain(), keys.runtime);
        equal((await ask(wire)).status, 200);
        deepEqual(statusAndCode(await ask(wire)), [403, 'replay_detected']);
      });

      for (const [what, sent] of [
        ['path', { path: '/v1/documents/43' }],
        ['query', { path: `${DOCUMENT}?a=2` }],
        ['host', { host: 'api.example.com:8443' }],
        ['method', { method: 'HEAD' }],
      ] as const) {
        it(`does not hold for another ${what}, whatever headers say`, async () => {
          const wire = { ...proving(chain(), keys.runtime), ...sent };
          equal((await ask({ ...wire, headers: [...wire.headers, ...FORGED_GOOD] })).status, 401);
          equal(upstream.seen.length, 0);
        });
      }
    });

    describe('a body', () => {
      const write = () => proving(chain(), keys.runtime, { method: 'PUT', path: DOCUMENT, text: '{"a":1}' });

      it(`that the route needs ${body ? 'is covered by its PoP' : 'is denied: it is not to be seen'}`, async () => {
        const answer = await ask(write());
        if (body) {
          deepEqual([answer.status, upstream.seen[0]?.body.toString()], [200, '{"a":1}']);
        } else {
          deepEqual([...statusAndCode(answer), upstream.seen.length], [403, 'body_truncated', 0]);
        }
      });

      it('that was swapped is denied', async () => {
        const wire = { ...write(), body: Buffer.from('{"a":2}').toString('base64url') };
        deepEqual(
          statusAndCode(await ask(wire)),
          body ? [401, 'pop_body_mismatch'] : [403, 'body_truncated'],
        );
        equal(upstream.seen.length, 0);
      });

      it('that the PoP does not cover is denied, whatever headers say', async () => {
        const bare = proving(chain(), keys.runtime, { method: 'PUT', path: '/v1/uploads/1' });
        const headers = [...bare.headers, ['content-length', '7'] as const, ...FORGED];
        const wire = { ...bare, headers, body: Buffer.from('{"a":1}').toString('base64url') };
        deepEqual(statusAndCode(await ask(wire)), [401, 'pop_body_mismatch']);
        equal(upstream.seen.length, 0);
      });

      for (const framing of ['Content-Length: 7', 'Transfer-Encoding: chunked']) {
        it(`of a GET that the PoP does not cover is denied: ${framing}`, async () => {
          const { headers } = proving(chain(), keys.runtime);
          const lines = [...headers, ...FORGED].map(([key, value]) => `${key}: ${value}`);
          const head = [
            `GET ${DOCUMENT} HTTP/1.1`,
            'Host: api.example.com',
            framing,
            'Connection: close',
            ...lines,
          ];
          const text = framing.startsWith('C') ? '{"a":1}' : '7\r\n{"a":1}\r\n0\r\n\r\n';
          const { statuses } = await sendRaw(proxy.port, `${head.join('\r\n')}\r\n\r\n${text}`);
          ok(statuses.length === 1 && statuses.every((status) => status >= 400), String(statuses));
          equal(upstream.seen.length, 0);
        });
      }

      it('that the route does not need goes on whole', async () => {
        const wire = proving(chain(), keys.runtime, {
          method: 'PUT',
          path: '/v1/uploads/1',
          text: 'x'.repeat(300_000),
        });
        equal((await ask(wire)).status, 200);
        equal(upstream.seen[0]?.body.length, 300_000);
      });
    });

    it('opens no WebSocket', async () => {
      const lines = [
        'Upgrade: websocket',
        'Sec-WebSocket-Version: 13',
        'Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==',
      ];
      const head = [
        `GET ${DOCUMENT} HTTP/1.1`,
        'Host: api.example.com',
        `X-Lemma-Credential: ${header(chain())}`,
      ];
      const bytes = `${[...head, 'Connection: Upgrade', ...lines].join('\r\n')}\r\n\r\nGET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`;
      const { statuses } = await sendRaw(proxy.port, bytes);
      ok(!statuses.includes(101), String(statuses));
      ok(upstream.seen.every((seen) => headerOf(seen, 'upgrade') === null));
    });

    it('answers who is only observed with 200, and says to the upstream what would have been', async () => {
      const answer = await ask(
        bearing(chain({ runtime: { scope: ['documents.write'] } }), { path: '/v1/observed/1' }),
      );
      equal(answer.status, 200);
      const { 'x-lemma-decision-id': _, ...said } = identitySeen();
      deepEqual(said, { 'x-lemma-observed': 'scope_denied' });
    });

    it('denies the very next request after a kill', async () => {
      const wire = bearing(chainOf('killed-tcp'));
      equal((await ask(wire)).status, 200);
      equal((await lemma.control('/api/wallet/runtimes/killed-tcp/kill', {})).status, 200);
      deepEqual(statusAndCode(await ask(wire)), [403, 'runtime_killed']);
      equal(upstream.seen.length, 1);
    });

    describe('at the end of it all', () => {
      it('each request that reached the upstream was decided on, as it was forwarded', async () => {
        await checkForwarded(lemma, upstream.history);
      });
    });

    // Last: it stays gone.
    describe('without Lemma', () => {
      it('nothing passes', async () => {
        await lemma.stop();
        lemma = { ...lemma, stop: async () => undefined };
        for (const wire of [bearing(chain()), request({ path: '/healthz' })]) {
          equal((await ask(wire)).status, withoutLemma);
        }
        equal(upstream.seen.length, 0);
      });
    });
  });
}

describe('the access log of an Envoy that asks over HTTP', () => {
  it('names each decision', async function () {
    const binary = await needEnvoy(this);
    const lemma = await running({ config: lemmaConfig(['127.0.0.1:0']) });
    const upstream = await startUpstream();
    const ports = { lemma: decisionPort(lemma), upstream: upstream.port };
    const proxy = await startEnvoy(binary, ports, HTTP_SAMPLE_CONFIG);
    try {
      await send(proxy.port, bearing(chain()));
      const allowed = headerOf(upstream.seen[0], 'x-lemma-decision-id') ?? '';
      const { decision_id: denied = '' } = JSON.parse((await send(proxy.port, request())).body);
      const lines = await logLines(proxy, [allowed, denied]);
      const said = [allowed, denied].map((id) => lines.find((line) => line.decision_id === id));
      deepEqual(
        said.map((line) => [line?.status, line?.reason]),
        [
          [200, null],
          [401, 'auth_required'],
        ],
      );
    } finally {
      await proxy.stop();
      await upstream.close();
      await lemma.stop();
    }
  });
});
