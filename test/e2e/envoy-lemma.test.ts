import { deepEqual, equal, match, ok } from 'node:assert/strict';
import { copyFileSync, existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fromBase64url, toBase64url } from '../../src/crypto/base64url.ts';
import type { DecisionRecord } from '../../src/schema/decision.ts';
import type { Lemma } from '../../src/schema/lemma.ts';
import { OVERRIDE_HEADERS } from '../../src/schema/route.ts';
import { openStore } from '../../src/store/store.ts';
import { type RunningEnvoy, startEnvoy } from '../../tools/envoy/envoy.ts';
import { DOCUMENT, H2C, HEADERS, HOSTS, HTTP2, METHODS, TARGETS } from '../support/envoy-attacks.ts';
import { type Answer, denialOf, send, sendHttp2, sendRaw } from '../support/envoy-client.ts';
import { type Relay, startRelay } from '../support/envoy-relay.ts';
import {
  checkForwarded,
  headerOf,
  lemmaConfig,
  logLines,
  needEnvoy,
  portOf,
  recordsOf,
  type Scene,
  startScene,
} from '../support/envoy-scene.ts';
import { startUpstream, type Upstream } from '../support/envoy-upstream.ts';
import {
  asSignature,
  bearing,
  chain,
  header,
  keys,
  NOW,
  proving,
  request,
  SUBJECT,
  type WireRequest,
} from '../support/kit.ts';
import { type Running, running } from '../support/running.ts';

/** `max_request_bytes` of envoy.yaml. */
const BODY_AT_MOST = 1024 * 1024;
const TRANSPORTS = ['TCP', 'unix socket'] as const;

const IDENTITY = {
  'x-lemma-subject': SUBJECT,
  'x-lemma-runtime-id': 'bot-1',
  'x-lemma-agent-id': 'bot',
  'x-lemma-workspace-id': 'prod',
  'x-lemma-scope': 'documents.read documents.write documents.admin',
};

const chainOf = (runtime_id: string) => chain({ runtime: { claims: { runtime_id } } });
const statusAndCode = (answer: Answer) => [answer.status, denialOf(answer).error];

const writing = (text = '{"a":1}', more: Parameters<typeof proving>[2] = {}) =>
  proving(chain(), keys.runtime, { method: 'PUT', path: DOCUMENT, text, ...more });

/** The same head with another body of the same length. */
function swapped(original: WireRequest): WireRequest {
  const bytes = fromBase64url(original.body ?? '') ?? new Uint8Array();
  return { ...original, body: toBase64url(bytes.map((byte) => byte ^ 1)) };
}

/** A real Envoy with the sample configuration, the whole service, an upstream. Lemma's clock is the vectors'. */
describe('Envoy, Lemma and an upstream', () => {
  let scene: Scene;
  let upstream: Upstream;

  before(async function () {
    scene = await startScene(await needEnvoy(this));
    upstream = scene.upstream;
  });
  after(() => scene?.stop());
  beforeEach(() => {
    upstream.clear();
    upstream.onHead = () => undefined;
  });

  const ask = (wire: WireRequest, through: RunningEnvoy = scene.tcp) => send(through.port, wire);
  const post = (path: string, body: object) => scene.lemma.control(`/api/wallet/runtimes/${path}`, body);
  const identitySeen = () =>
    Object.fromEntries(upstream.seen[0]?.headers.filter(([name]) => name.startsWith('x-lemma-')) ?? []);

  for (const transport of TRANSPORTS) {
    describe(`asking over ${transport}`, () => {
      let envoy: RunningEnvoy;
      before(() => {
        envoy = transport === 'TCP' ? scene.tcp : scene.socket;
      });

      it('tells the upstream who acts, and under which decision', async () => {
        await ask(bearing(chain()), envoy);
        const { 'x-lemma-decision-id': id = '', ...identity } = identitySeen();
        deepEqual(identity, IDENTITY);
        match(id, /^dec_[A-Za-z0-9_-]{22}$/);
      });

      it('names the run, and its scope, where a run acts', async () => {
        await ask(bearing(chain({ run: {} })), envoy);
        const { 'x-lemma-decision-id': _, ...identity } = identitySeen();
        const scope = 'documents.read documents.write';
        deepEqual(identity, { ...IDENTITY, 'x-lemma-run-id': 'job-1', 'x-lemma-scope': scope });
      });

      it('passes a write with a PoP, body and all', async () => {
        equal((await ask(writing('{"text":"kept"}'), envoy)).status, 200);
        deepEqual(
          upstream.seen.map(({ method, body }) => [method, body.toString()]),
          [['PUT', '{"text":"kept"}']],
        );
      });

      it('denies a body that was swapped', async () => {
        deepEqual(statusAndCode(await ask(swapped(writing()), envoy)), [401, 'pop_body_mismatch']);
        equal(upstream.seen.length, 0);
      });

      it('denies a PoP the second time', async () => {
        const once = writing();
        equal((await ask(once, envoy)).status, 200);
        deepEqual(statusAndCode(await ask(once, envoy)), [403, 'replay_detected']);
        equal(upstream.seen.length, 1);
      });

      it('denies who shows nothing', async () => {
        const answer = await ask(request(), envoy);
        deepEqual([answer.status, answer.headers['content-type']], [401, 'application/json']);
        equal(upstream.seen.length, 0);
      });

      it('denies the very next request after a kill', async () => {
        const id = transport === 'TCP' ? 'killed-tcp' : 'killed-socket';
        const wire = bearing(chainOf(id));
        equal((await ask(wire, envoy)).status, 200);
        equal((await post(`${id}/kill`, { reason: 'test' })).status, 200);
        deepEqual(statusAndCode(await ask(wire, envoy)), [403, 'runtime_killed']);
      });
    });
  }

  describe('what a client says under names of ours', () => {
    const names = [...Object.keys(IDENTITY), 'x-lemma-run-id', 'x-lemma-decision-id', 'x-lemma-observed'];
    for (const name of [...names, 'x-lemma-admin', 'X-LEMMA-Subject']) {
      it(`does not reach the upstream: ${name}`, async () => {
        const spoof = [name, 'spoofed'] as const;
        equal((await ask(bearing(chain(), { headers: [spoof, spoof] }))).status, 200);
        deepEqual(upstream.lines(name.toLowerCase()), [identitySeen()[name.toLowerCase()] ?? []].flat());
        ok(!JSON.stringify(upstream.seen).includes('spoofed'));
      });

      it(`does not on a public route, where nobody acts: ${name}`, async () => {
        equal((await ask(request({ path: '/healthz', headers: [[name, 'spoofed']] }))).status, 200);
        ok(!JSON.stringify(upstream.seen).includes('spoofed'));
      });
    }

    for (const name of ['x_lemma_subject', 'X_Lemma_Subject', 'x-lemma_subject', 'x_lemma_credential']) {
      it(`is refused with underscores: ${name}`, async () => {
        equal((await ask(bearing(chain(), { headers: [[name, 'spoofed']] }))).status, 400);
        equal(upstream.seen.length, 0);
      });
    }
  });

  describe('the credential', () => {
    const others = [
      ['signature-input', 'other=("@method");tag="somebody"'],
      ['signature', 'other=:YQ==:'],
    ] as const;

    it('stops at Envoy', async () => {
      await ask(bearing(chain()));
      deepEqual(upstream.lines('x-lemma-credential'), []);
    });

    it('stops there with its PoP', async () => {
      await ask(proving(chain(), keys.runtime));
      deepEqual(['x-lemma-proof', 'x-lemma-pop'].flatMap(upstream.lines), []);
      equal(upstream.seen.length, 1);
    });

    it('stops there as an RFC 9421 signature', async () => {
      await ask(proving(chain(), keys.runtime, { change: asSignature }));
      deepEqual(['x-lemma-proof', 'signature', 'signature-input'].flatMap(upstream.lines), []);
      equal(upstream.seen.length, 1);
    });

    it('stops there on a public route too', async () => {
      const token = ['authorization', 'Bearer lm_at_x'] as const;
      equal((await ask(request({ path: '/healthz', headers: [token] }))).status, 200);
      equal((await ask(bearing(chain(), { path: '/healthz' }))).status, 200);
      deepEqual(['authorization', 'x-lemma-credential'].flatMap(upstream.lines), []);
    });

    it('leaves another’s signature', async () => {
      await ask(proving(chain(), keys.runtime, { change: asSignature, headers: others }));
      deepEqual(
        others.map(([name]) => upstream.lines(name)),
        others.map(([, value]) => [value]),
      );
    });

    it('leaves Authorization that is no token of ours', async () => {
      await ask(bearing(chain(), { headers: [['authorization', 'Bearer somebody-else']] }));
      deepEqual(upstream.lines('authorization'), ['Bearer somebody-else']);
    });

    it('goes on where the route forwards it', async () => {
      const links = chain();
      await ask(bearing(links, { path: '/v1/forwarded/1' }));
      deepEqual(upstream.lines('x-lemma-credential'), [header(links)]);
    });

    it('goes on with its PoP where the route forwards it', async () => {
      const wire = proving(chain(), keys.runtime, { path: '/v1/forwarded/1' });
      await ask(wire);
      for (const [name, value] of wire.headers) deepEqual(upstream.lines(name), [value]);
    });

    it('goes on as a signature where the route forwards it', async () => {
      const wire = proving(chain(), keys.runtime, { path: '/v1/forwarded/1', change: asSignature });
      await ask(wire);
      for (const [name, value] of wire.headers) deepEqual(upstream.lines(name), [value]);
    });

    it('takes no identity with it where the route forwards it', async () => {
      await ask(bearing(chain(), { path: '/v1/forwarded/1', headers: [['x-lemma-subject', 'spoofed']] }));
      deepEqual(upstream.lines('x-lemma-subject'), [SUBJECT]);
    });
  });

  describe('a body', () => {
    const upload = (text: string) => writing(text, { path: '/v1/uploads/1' });

    it('as large as Envoy shows it whole is covered by its PoP', async () => {
      equal((await ask(writing('x'.repeat(BODY_AT_MOST)))).status, 200);
      equal(upstream.seen[0]?.body.length, BODY_AT_MOST);
    });

    it('larger than that is denied where the route needs its digest', async () => {
      deepEqual(statusAndCode(await ask(writing('x'.repeat(BODY_AT_MOST + 1)))), [403, 'body_truncated']);
      equal(upstream.seen.length, 0);
    });

    it('larger than that passes whole where the route does not', async () => {
      equal((await ask(upload('x'.repeat(BODY_AT_MOST + 1)))).status, 200);
      equal(upstream.seen[0]?.body.length, BODY_AT_MOST + 1);
    });

    it('larger than that is not whole because the client says so', async () => {
      const headers = [['x-envoy-auth-partial-body', 'false']] as const;
      const answer = await ask(writing('x'.repeat(BODY_AT_MOST + 1), { headers }));
      deepEqual(statusAndCode(answer), [403, 'body_truncated']);
    });

    it('in chunks is covered by its PoP', async () => {
      const chunked = (headers: Record<string, string>) => {
        delete headers['content-length'];
        headers['transfer-encoding'] = 'chunked';
      };
      equal((await ask(writing('{"in":"chunks"}', { change: chunked }))).status, 200);
      deepEqual([await ask(swapped(writing('{"in":"chunks"}', { change: chunked })))].map(statusAndCode), [
        [401, 'pop_body_mismatch'],
      ]);
    });

    it('that the PoP does not cover is denied', async () => {
      const { body } = writing();
      const bodiless = proving(chain(), keys.runtime, { method: 'PUT', path: DOCUMENT });
      const wire = { ...bodiless, headers: [...bodiless.headers, ['content-length', '7'] as const] };
      deepEqual(statusAndCode(await ask({ ...wire, ...(body === undefined ? {} : { body }) })), [
        401,
        'pop_body_mismatch',
      ]);
    });
  });

  /**
   * Sent as bytes, with a credential that is good for the document. The outcome is Envoy's refusal, Lemma's code, or
   * the target that was decided on and forwarded.
   */
  async function outcome(line: string, lines: readonly string[], host = 'Host: api.example.com') {
    const head = [line, host, `X-Lemma-Credential: ${header(chain())}`, 'Connection: close', ...lines];
    const { statuses, text } = await sendRaw(scene.tcp.port, `${head.join('\r\n')}\r\n\r\n`);
    const code = /"error":"(\w+)"/.exec(text)?.[1];
    return [
      ...statuses,
      ...(code === undefined ? [] : [code]),
      ...upstream.seen.map((seen) => seen.target),
    ].join(' ');
  }

  describe('a target', () => {
    for (const [sent, expected] of TARGETS) {
      it(`${JSON.stringify(sent)}: ${expected}`, async () => {
        equal(await outcome(`GET ${sent} HTTP/1.1`, []), expected);
      });
    }
  });

  describe('a target that releases of Envoy read differently', () => {
    it('is denied where it leads elsewhere', async () => {
      match(
        await outcome('GET /v1/documents/..;/secrets HTTP/1.1', []),
        /^403 (route_unknown|path_ambiguous)$/,
      );
    });

    it('is decided on as it is forwarded', async () => {
      const came = await outcome('GET /v1/x/..;/documents/42 HTTP/1.1', []);
      ok([`200 ${DOCUMENT}`, '403 path_ambiguous'].includes(came), came);
    });
  });

  describe('a PoP', () => {
    const popped = (signed: string, sent: Partial<WireRequest>) => ({
      ...proving(chain(), keys.runtime, { path: signed }),
      ...sent,
    });

    it('holds for the path that Envoy forwards', async () => {
      equal((await ask(popped(DOCUMENT, { path: '/v1//x/../documents/42' }))).status, 200);
      deepEqual(
        upstream.seen.map(({ target }) => target),
        [DOCUMENT],
      );
    });

    for (const [what, wire] of [
      ['for the path as it was before Envoy', () => popped(`/${DOCUMENT}`, {})],
      ['for another path', () => popped('/v1/documents/43', { path: DOCUMENT })],
      ['for another query', () => popped(`${DOCUMENT}?a=1`, { path: `${DOCUMENT}?a=2` })],
      ['for another host', () => popped(DOCUMENT, { host: 'api.example.com:8443' })],
      ['for another method', () => popped(DOCUMENT, { method: 'HEAD' })],
    ] as const) {
      it(`does not hold ${what}`, async () => {
        equal((await ask(wire())).status, 401);
        equal(upstream.seen.length, 0);
      });
    }
  });

  describe('a method', () => {
    for (const [line, expected] of METHODS) {
      it(`${line}: ${expected}`, async () => {
        equal(await outcome(`${line} HTTP/1.1`, []), expected);
      });
    }

    for (const name of OVERRIDE_HEADERS) {
      it(`or a path that ${name} would replace is denied`, async () => {
        equal(await outcome(`GET ${DOCUMENT} HTTP/1.1`, [`${name}: DELETE`]), '403 header_ambiguous');
      });
    }
  });

  describe('a host', () => {
    for (const [name, lines, expected] of HOSTS) {
      it(`${name}: ${expected}`, async () => {
        equal(await outcome(`GET ${DOCUMENT} HTTP/1.1`, [], lines), expected);
      });
    }

    it('with a closing dot is forwarded without it', async () => {
      await outcome(`GET ${DOCUMENT} HTTP/1.1`, [], 'Host: api.example.com.');
      deepEqual(upstream.lines('host'), ['api.example.com']);
    });

    it('beside another one in the target is replaced by the target’s', async () => {
      await outcome(`GET http://api.example.com${DOCUMENT} HTTP/1.1`, [], 'Host: evil.example.com');
      deepEqual(upstream.lines('host'), ['api.example.com']);
    });
  });

  describe('a header or a frame', () => {
    for (const [what, lines, expected] of HEADERS) {
      it(`${what}: ${expected}`, async () => {
        equal(await outcome(`GET ${DOCUMENT} HTTP/1.1`, lines), expected);
        ok(!JSON.stringify(upstream.seen).includes('spoofed'));
      });
    }

    it('of an upgrade does not reach the upstream', async () => {
      await outcome(`GET ${DOCUMENT} HTTP/1.1`, H2C);
      deepEqual(['upgrade', 'http2-settings'].flatMap(upstream.lines), []);
    });

    it('that Connection names is not taken off after the decision', async () => {
      const names = Object.keys(IDENTITY);
      await outcome(`GET ${DOCUMENT} HTTP/1.1`, [`Connection: ${names.join(', ')}`]);
      deepEqual(names.flatMap(upstream.lines), Object.values(IDENTITY));
    });

    it('after the body is no identity', async () => {
      const lines = ['Transfer-Encoding: chunked', '', '0', 'X-Lemma-Subject: spoofed'];
      equal(await outcome(`GET ${DOCUMENT} HTTP/1.1`, lines), `200 ${DOCUMENT}`);
      deepEqual(upstream.seen[0]?.trailers, []);
    });

    it('of one request is not lent to the next on its connection', async () => {
      const first = [
        `GET ${DOCUMENT} HTTP/1.1`,
        'Host: api.example.com',
        `X-Lemma-Credential: ${header(chain())}`,
      ];
      const second = [`GET ${DOCUMENT} HTTP/1.1`, 'Host: api.example.com', 'Connection: close'];
      const { statuses } = await sendRaw(scene.tcp.port, [...first, '', ...second, '', ''].join('\r\n'));
      deepEqual(statuses, [200, 401]);
    });

    it('cannot write another path into the access log', async () => {
      const lines = ['X-Envoy-Original-Path: /forged'];
      await outcome(`GET ${DOCUMENT}?case=original-path HTTP/1.1`, lines);
      const found = await logLines(scene.tcp, ['case=original-path']);
      ok(!JSON.stringify(found).includes('/forged'));
    });
  });

  describe('over HTTP/2', () => {
    for (const [what, headers, expected] of HTTP2) {
      it(`${what}: ${expected === '0' ? 'reset' : expected}`, async () => {
        const { status } = await sendHttp2(scene.tcp.port, {
          ':method': 'GET',
          ':path': DOCUMENT,
          ':authority': 'api.example.com',
          ':scheme': 'http',
          'x-lemma-credential': header(chain()),
          ...headers,
        });
        const reached = upstream.seen.map((seen) => `${seen.target} ${headerOf(seen, 'host')}`);
        equal([status, ...reached].join(' '), expected);
        ok(!JSON.stringify(upstream.seen).includes('spoofed'));
      });
    }
  });

  describe('a denial', () => {
    const leafWith = (fields: Record<string, unknown>) => bearing(chain({ runtime: fields }));
    const forged = () => {
      const [root, delegation, leaf] = chain() as [Lemma, Lemma, Lemma];
      return bearing([root, delegation, { ...leaf, signature: 'A'.repeat(86) }]);
    };
    const cases: readonly [status: number, code: string, make: () => WireRequest][] = [
      [401, 'auth_required', () => request()],
      [401, 'encoding_invalid', () => request({ headers: [['x-lemma-credential', '!']] })],
      [401, 'signature_invalid', forged],
      [401, 'proof_expired', () => leafWith({ expires_at: NOW })],
      [401, 'pop_required', () => request({ headers: [['x-lemma-proof', header(chain())]] })],
      [401, 'pop_stale', () => proving(chain(), keys.runtime, { created: NOW - 61 })],
      [403, 'scope_denied', () => leafWith({ scope: ['documents.write'] })],
      [
        403,
        'audience_mismatch',
        () => bearing(chain(), { method: 'POST', host: 'pay.example.com', path: '/v1/pay' }),
      ],
      [403, 'route_unknown', () => bearing(chain(), { path: '/v1/secrets' })],
      [403, 'method_not_allowed', () => bearing(chain(), { method: 'DELETE' })],
      [403, 'runtime_unknown', () => bearing(chainOf('nobody'))],
      [413, 'payload_too_large', () => request({ headers: [['x-lemma-credential', 'A'.repeat(21_848)]] })],
    ];

    for (const [status, code, make] of cases) {
      it(`for ${code} is ${status}, with a decision id and no more`, async () => {
        const answer = await ask(make());
        const { decision_id, ...body } = denialOf(answer);
        deepEqual([answer.status, body], [status, { success: false, error: code }]);
        match(decision_id, /^dec_/);
        equal(upstream.seen.length, 0);
      });
    }

    it('stands in Envoy’s access log, by its decision id', async () => {
      const answers = await Promise.all(cases.map(([, , make]) => ask(make())));
      const ids = answers.map((answer) => denialOf(answer).decision_id);
      const lines = await logLines(scene.tcp, ids);
      const found = ids.map((id) => lines.find((line) => line.decision_id === id));
      deepEqual(
        found.map((line) => [line?.status, line?.reason]),
        cases.map(([status, code]) => [status, code]),
      );
    });

    it('stands in Lemma’s record, and can be explained', async () => {
      const answers = await Promise.all(cases.map(([, , make]) => ask(make())));
      await recordsOf(scene.lemma);
      const explained = await Promise.all(
        answers.map((answer) =>
          scene.lemma.control(`/api/wallet/runtimes/decisions/${denialOf(answer).decision_id}/explain`),
        ),
      );
      deepEqual(
        explained.map(({ body }) => (body.explanation as { reason?: string } | undefined)?.reason),
        cases.map(([, code]) => code),
      );
    });
  });

  it('writes an allowed request’s decision id into the access log', async () => {
    await ask(bearing(chain()));
    const id = headerOf(upstream.seen[0], 'x-lemma-decision-id') ?? '';
    const line = (await logLines(scene.tcp, [id])).find(({ decision_id }) => decision_id === id);
    deepEqual([line?.status, line?.reason], [200, 'allowed']);
  });

  describe('a stop', () => {
    it('that is a kill ends a busy runtime: what is sent after its answer is denied', async () => {
      const wire = bearing(chainOf('killed-busy'));
      let killed = false;
      const lastOf = async (through: RunningEnvoy) => {
        for (;;) {
          const last = killed;
          const answer = await ask(wire, through);
          if (last) return statusAndCode(answer);
          equal(answer.status === 200 || denialOf(answer).error === 'runtime_killed', true);
        }
      };
      equal((await ask(wire)).status, 200);
      const pumps = [0, 1, 2, 3].flatMap(() => [lastOf(scene.tcp), lastOf(scene.socket)]);
      await post('killed-busy/kill', {});
      killed = true;
      deepEqual(await Promise.all(pumps), new Array(8).fill([403, 'runtime_killed']));
    });

    it('that is a revocation denies the very next request, and no other proof', async () => {
      const [revoked, other] = [chainOf('revoked'), chainOf('revoked')];
      equal((await ask(bearing(revoked))).status, 200);
      const { status } = await post('revoked/revoke', { lemma_id: revoked.at(-1)?.id });
      equal(status, 200);
      deepEqual(statusAndCode(await ask(bearing(revoked))), [403, 'revoked']);
      equal((await ask(bearing(other))).status, 200);
    });

    it('that is a taint, raised by what the runtime read elsewhere, denies its stale write', async () => {
      const audience = ['https://api.example.com', upstream.origin];
      const claims = { runtime_id: 'tainted' };
      const scope = ['documents.write', 'site.read'];
      const links = chain({
        root: { audience },
        delegation: { audience },
        runtime: { audience, scope, claims },
      });
      const wire = () => proving(links, keys.runtime, { method: 'PUT', path: DOCUMENT, text: '{}' });
      equal((await ask(wire())).status, 200);
      const { firewall } = scene.lemma.app.addresses;
      const page = await fetch(`http://${firewall}/firewall/web/page`, {
        headers: { 'x-lemma-credential': header(links) },
      });
      equal(page.status, 200);
      deepEqual(statusAndCode(await ask(wire())), [403, 'taint_stale']);
    });
  });

  it('has the record of an allowed request on disk before the upstream hears of it, where the risk is high', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'lemma-e2e-disk-'));
    try {
      let id = '';
      upstream.onHead = (decisionId) => {
        id = decisionId;
        copyDatabase(dirname(scene.lemma.app.operatorKeyFile), folder);
      };
      equal((await ask(bearing(chain(), { path: '/v1/audited/1' }))).status, 200);
      const store = await openStore({ path: join(folder, 'lemma.db'), clock: () => NOW * 1000 });
      const lines = await store.recordById(id, { org: 'acme', env: 'prod' });
      await store.close();
      deepEqual(
        lines.map((line) => (JSON.parse(line) as DecisionRecord).verdict),
        ['allow'],
      );
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  });

  describe('with a Lemma that hangs', () => {
    let relay: Relay;
    let envoy: RunningEnvoy;

    before(async () => {
      relay = await startRelay(portOf(scene.lemma));
      envoy = await startEnvoy(scene.binary, { lemma: relay.port, upstream: upstream.port });
      equal((await ask(bearing(chain()), envoy)).status, 200);
    });
    after(async () => {
      await envoy?.stop();
      await relay?.close();
    });
    afterEach(() => relay.release());

    it('denies at the timeout, and not for good', async () => {
      relay.hold('all');
      const since = performance.now();
      const { status } = await ask(bearing(chain()), envoy);
      const took = performance.now() - since;
      deepEqual([status, upstream.seen.length], [403, 0]);
      ok(took > 900 && took < 3_000, `${took} ms; the timeout is 1 s`);
      relay.release();
      equal((await ask(bearing(chain()), envoy)).status, 200);
    });

    it('lets nothing through on an allow that comes too late', async () => {
      relay.hold('answers');
      equal((await ask(bearing(chain(), { path: '/v1/documents/late' }), envoy)).status, 403);
      const decided = [...(await recordsOf(scene.lemma)).values()].filter(
        ({ request }) => request?.path === '/v1/documents/late',
      );
      relay.release();
      // On the same connection: the late answer has been read before this one.
      equal((await ask(bearing(chain()), envoy)).status, 200);
      deepEqual(
        [decided.map(({ verdict }) => verdict), upstream.seen.map(({ target }) => target)],
        [['allow'], [DOCUMENT]],
      );
    });
  });

  describe('at the end of it all', () => {
    it('each request that reached the upstream was decided on, as it was forwarded', async () => {
      await checkForwarded(
        scene.lemma,
        upstream.history.filter(({ target }) => target !== '/page'),
      );
    });
  });
});

/**
 * The files as a power cut would leave them. To open a database file here drops this process's locks on it, which
 * nobody else wants.
 */
function copyDatabase(from: string, to: string): void {
  for (const name of ['lemma.db', 'lemma.db-wal']) {
    if (existsSync(join(from, name))) copyFileSync(join(from, name), join(to, name));
  }
}

describe('Envoy and a Lemma whose disk is full', () => {
  const stops: (() => unknown)[] = [];
  const answers: Answer[] = [];
  let upstream: Upstream;
  let lemma: Running;
  let envoy: RunningEnvoy;

  before(async function () {
    const binary = await needEnvoy(this);
    upstream = await startUpstream();
    stops.push(upstream.close);
    lemma = await running({ config: { ...lemmaConfig(['127.0.0.1:0']), log: { max_bytes: 1 } } });
    stops.push(lemma.stop);
    envoy = await startEnvoy(binary, { lemma: portOf(lemma), upstream: upstream.port });
    stops.push(envoy.stop);
    // The first records still find room in the pages that a new database has.
    while (answers.length < 200 && (answers.at(-1)?.status ?? 200) === 200) {
      answers.push(await send(envoy.port, bearing(chain(), { path: '/v1/audited/1' })));
    }
  });
  after(async () => {
    for (const stop of stops.splice(0).reverse()) await stop();
  });

  it('denies where the risk is high and the record cannot be kept', () => {
    const [last] = answers.slice(-1);
    deepEqual(last && statusAndCode(last), [503, 'audit_unavailable']);
  });

  it('has the record of each request that it let through', async () => {
    const { records } = await lemma.records();
    deepEqual(
      records.filter(({ verdict }) => verdict === 'allow').map(({ decision_id }) => decision_id),
      upstream.history.map((seen) => headerOf(seen, 'x-lemma-decision-id')),
    );
    equal(upstream.history.length, answers.length - 1);
  });

  it('kills all the same', async () => {
    const { body } = await lemma.control('/api/wallet/runtimes/killed-tcp/kill', {});
    equal(body.enforced, true);
    deepEqual(statusAndCode(await send(envoy.port, bearing(chainOf('killed-tcp')))), [403, 'runtime_killed']);
  });
});

for (const transport of TRANSPORTS) {
  describe(`Envoy without Lemma, over ${transport}`, () => {
    const stops: (() => unknown)[] = [];
    let answers: Record<'before' | 'stopped' | 'restarted' | 'replayed' | 'killed', Answer>;
    let reachedWhileStopped = -1;
    let envoy: RunningEnvoy;
    let lemma: Running;

    before(async function () {
      const binary = await needEnvoy(this);
      const folder = mkdtempSync(join(tmpdir(), 'lemma-e2e-'));
      stops.push(() => rmSync(folder, { recursive: true, force: true }));
      const upstream = await startUpstream();
      stops.push(upstream.close);
      const socket = join(folder, 'pdp.sock');
      const start = (address: string) => running({ folder, config: lemmaConfig([address]) });
      lemma = await start(transport === 'TCP' ? '127.0.0.1:0' : `unix://${socket}`);
      stops.push(() => lemma.stop());
      const [address = ''] = lemma.app.addresses.grpc;
      envoy = await startEnvoy(binary, {
        upstream: upstream.port,
        ...(transport === 'TCP' ? { lemma: portOf(lemma) } : { socket, cluster: 'lemma_socket' as const }),
      });
      stops.push(envoy.stop);

      const ask = (wire: WireRequest) => send(envoy.port, wire);
      const plain = bearing(chain());
      const once = writing();
      const killed = bearing(chainOf('killed-busy'));
      const before = await ask(once);
      await lemma.control('/api/wallet/runtimes/killed-busy/kill', {});
      await lemma.stop();
      upstream.clear();
      const stopped = await ask({ ...plain, path: `${DOCUMENT}?case=stopped` });
      reachedWhileStopped = upstream.seen.length;
      lemma = await start(address);
      answers = {
        before,
        stopped,
        restarted: await ask(plain),
        replayed: await ask(once),
        killed: await ask(killed),
      };
    });
    after(async () => {
      for (const stop of stops.splice(0).reverse()) await stop();
    });

    it('let the request through while Lemma ran', () => {
      equal(answers.before.status, 200);
    });

    it('denies, and the upstream hears nothing', () => {
      deepEqual([answers.stopped.status, reachedWhileStopped], [403, 0]);
    });

    it('says in its access log that nobody could be asked', async () => {
      const line = (await logLines(envoy, ['case=stopped'])).find(({ path }) =>
        String(path).includes('case=stopped'),
      );
      deepEqual([line?.details, line?.decision_id], ['ext_authz_error', null]);
    });

    it('allows again after Lemma’s restart, at once', () => {
      equal(answers.restarted.status, 200);
    });

    it('denies a PoP that was spent before the restart', () => {
      deepEqual(statusAndCode(answers.replayed), [403, 'replay_detected']);
    });

    it('denies a runtime that was killed before the restart', () => {
      deepEqual(statusAndCode(answers.killed), [403, 'runtime_killed']);
    });
  });
}
