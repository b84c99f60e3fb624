import assert from 'node:assert/strict';
import { join } from 'node:path';
import { publicKeyOf } from '#runtime';
import { loadKeys } from '../../src/authority/keys.ts';
import { thumbprint } from '../../src/crypto/thumbprint.ts';
import { verifyChain } from '../../src/decision-log/verify.ts';
import { attacks } from '../attacks/cases.ts';
import { bearing, chain, header, keys, proving, request, type WireRequest } from '../support/kit.ts';
import { type Running, running } from '../support/running.ts';
import { folders, inStore, times, writing } from './support.ts';

/** contracts.md, "Decision record", and what src/schema/decision.ts adds, in the order of the line. */
const MEMBERS = [
  'v',
  'seq',
  'decision_id',
  'time',
  'node',
  'org',
  'env',
  'profile',
  'bundle',
  'route',
  'config_revision',
  'verdict',
  'reason',
  'reasons',
  'stage',
  'observed',
  'amends',
  'border',
  'actor',
  'request',
  'failed',
  'links',
  'nonce',
  'input',
  'result',
  'took_us',
  'trace_id',
  'prev',
  'hash',
];

describe('records, of decisions through the real gRPC port', () => {
  const temporary = folders();
  let folder: string;
  let service: Running;

  before(async () => {
    folder = temporary.make();
    service = await running({ folder });
  });
  after(async () => {
    await service.stop();
    temporary.remove();
  });

  /** The line that was kept of a request. */
  async function lineOf(one: WireRequest): Promise<string> {
    const { decisionId } = await service.grpc(one);
    const { lines } = await service.records();
    return lines.find((line) => line.includes(`"decision_id":"${decisionId}"`)) ?? '';
  }

  describe('have the members of the contract, in their order', () => {
    const kinds: readonly (readonly [string, () => WireRequest])[] = [
      ['allowed with a PoP', () => writing(chain())],
      ['allowed with a bearer credential', () => bearing(chain())],
      ['allowed in public', () => request({ path: '/healthz' })],
      ['denied before its route was known', () => request({ path: '/v1//x' })],
      ['denied before its chain was known', () => request()],
      ['denied in its chain', () => bearing(chain({ runtime: { scope: ['pay.send'] } }))],
      ['denied by policy', () => bearing(chain(), { method: 'PUT' })],
    ];
    for (const [name, make] of kinds) {
      it(name, async () => {
        assert.deepEqual(Object.keys(JSON.parse(await lineOf(make())) as object), MEMBERS);
      });
    }

    it('and a bundle of name, revision and digest', async () => {
      const { bundle } = JSON.parse(await lineOf(bearing(chain()))) as { bundle: object };
      assert.deepEqual(Object.keys(bundle), ['name', 'revision', 'sha256']);
    });

    it('and the times of five stages', async () => {
      const { took_us } = JSON.parse(await lineOf(bearing(chain()))) as { took_us: object };
      assert.deepEqual(Object.keys(took_us), ['request', 'proof', 'gate', 'policy', 'log']);
    });
  });

  it('hold the input that was evaluated, with the query', async () => {
    const line = await lineOf(bearing(chain(), { path: '/v1/documents/42?shown=yes' }));
    assert.match(line, /"query":\{"shown":\["yes"\]\}/);
  });

  it('hold the trace id of the request', async () => {
    const trace = '4bf92f3577b34da6a3ce929d0e0e4736';
    const traceparent: [string, string] = ['traceparent', `00-${trace}-00f067aa0ba902b7-01`];
    const line = await lineOf(bearing(chain(), { headers: [traceparent] }));
    assert.match(line, new RegExp(`"trace_id":"${trace}"`));
  });

  describe('hold no secret', () => {
    const header_ = (name: string, value: string): [string, string] => [name, value];
    const odd: readonly (readonly [string, () => WireRequest])[] = [
      ['authorization', () => bearing(chain(), { headers: [header_('authorization', 'Bearer sekret')] })],
      [
        'basic authorization',
        () => bearing(chain(), { headers: [header_('Authorization', 'Basic sekret')] }),
      ],
      [
        'proxy-authorization',
        () => bearing(chain(), { headers: [header_('proxy-authorization', 'sekret')] }),
      ],
      ['a cookie', () => bearing(chain(), { headers: [header_('cookie', 'a=1; session=sekret')] })],
      ['a header that nobody listed', () => bearing(chain(), { headers: [header_('x-api-key', 'sekret')] })],
      ['a client-sent x-lemma-*', () => bearing(chain(), { headers: [header_('x-lemma-note', 'sekret')] })],
      ['a header name', () => bearing(chain(), { headers: [header_('sekret', 'x')] })],
      ['a token', () => request({ headers: [header_('authorization', 'Bearer lm_at_sekret')] })],
      [
        'two tokens',
        () =>
          request({
            headers: [
              header_('authorization', 'Bearer lm_at_sekret'),
              header_('authorization', 'Bearer lm_at_sekret'),
            ],
          }),
      ],
      [
        'a credential that cannot be read',
        () => request({ headers: [header_('x-lemma-credential', 'sekret!')] }),
      ],
      [
        'a credential that is other JSON',
        () => request({ headers: [header_('x-lemma-credential', encoded({ password: 'sekret' }))] }),
      ],
      [
        'a duplicate member of a credential',
        () => request({ headers: [header_('x-lemma-credential', encoded('{"a":"sekret","a":"sekret"}'))] }),
      ],
      [
        'a member of a link that is not of the right form',
        () => bearing(chain({ runtime: { claims: { runtime_id: 'SEKRET sekret' } } })),
      ],
      ['a PoP that cannot be read', () => popOf('sekret="sekret')],
      ['a PoP with a foreign parameter', () => popOf('input=("@method");sekret="sekret", signature=:AAAA:')],
      ['a body', () => writing(chain(), keys.runtime, { text: '{"card":"sekret"}' })],
      ['a body that the PoP does not cover', () => swapped('{"card":"sekret"}')],
      ['a content-digest', () => digested('sha-256=sekret')],
      ['a host with user information', () => bearing(chain(), { host: 'user:sekret@api.example.com' })],
      ['a query of a request that was stopped', () => request({ path: '/v1/documents/42?key=sekret' })],
      ['a query of a path that is ambiguous', () => request({ path: '/v1//documents/42?key=sekret' })],
    ];
    for (const [name, make] of odd) {
      it(name, async () => assert.doesNotMatch(await lineOf(make()), /sekret/i));
    }

    it('the credential and the signatures of its links', async () => {
      const links = chain();
      const line = await lineOf(bearing(links));
      const secrets = [header(links), ...links.map(({ signature }) => signature)];
      assert.deepEqual(
        secrets.filter((secret) => line.includes(secret)),
        [],
      );
    });

    it('the PoP', async () => {
      const one = proving(chain(), keys.runtime);
      const signature = /signature=:([^:]+):/.exec(new Map(one.headers).get('x-lemma-pop') ?? '')?.[1];
      assert.equal((await lineOf(one)).includes(signature ?? 'none'), false);
    });

    it('what the whole run of attacks sent', async () => {
      const cases = attacks().filter((_, index) => index % 3 === 0);
      for (const one of cases) await service.grpc(one.request);
      const credentials = cases.flatMap(({ request: { headers } }) =>
        headers
          .filter(([name, value]) => /^x-lemma-/i.test(name) && value.length > 24)
          .map(([, value]) => value),
      );
      const text = (await service.records()).lines.join('\n');
      assert.deepEqual(
        credentials.filter((value) => text.includes(value)),
        [],
      );
    });
  });

  describe('are one line each, which no terminal acts on, whatever a client sends', () => {
    const FORGED = '\r\n{"v":1,"verdict":"allow"}\n\u001b[2K';
    const places: readonly (readonly [string, () => WireRequest])[] = [
      ['the path', () => bearing(chain(), { path: `/v1/documents/${FORGED}` })],
      ['the query', () => bearing(chain(), { path: `/v1/documents/42?x=${FORGED}` })],
      ['the host', () => bearing(chain(), { host: `api.example.com${FORGED}` })],
      ['the method', () => bearing(chain(), { method: `GET${FORGED}` })],
      ['a header', () => bearing(chain(), { headers: [['user-agent', FORGED]] })],
      ['a traceparent', () => bearing(chain(), { headers: [['traceparent', FORGED]] })],
      [
        'the path, as line separators and C1 controls',
        () => bearing(chain(), { path: '/v1/documents/\u2028\u009b2K' }),
      ],
      ['the query, escaped', () => bearing(chain(), { path: '/v1/documents/42?x=%0d%0a%1b%5b2K' })],
      [
        'the query, as escaped C1 controls',
        () => bearing(chain(), { path: '/v1/documents/42?x=%C2%9B2K%E2%80%A8' }),
      ],
    ];
    for (const [place, make] of places) {
      it(`in ${place}`, async () => {
        const before = (await service.records()).lines.length;
        const line = await lineOf(make());
        const after = (await service.records()).lines.length;
        assert.deepEqual([after - before, printable(line)], [1, true]);
      });
    }

    it("and one line each of the operator's log", () => {
      assert.deepEqual(
        service.logged.filter((line) => !printable(line)),
        [],
      );
    });
  });

  describe('form a chain', () => {
    it('that holds from the first to the last', async () => {
      const report = await verifyChain((await service.records()).lines, []);
      assert.deepEqual([report.faults, report.lines > 40], [[], true]);
    });

    it('in which an edited record is found', async () => {
      const { lines } = await service.records();
      const edited = lines.map((line, i) => (i === 5 ? line.replace(/"time":\d/, '"time":2') : line));
      const { faults } = await verifyChain(edited, []);
      assert.deepEqual(
        faults.map(({ kind, seq }) => [kind, seq]),
        [['edited', 6]],
      );
    });

    it('without a gap after many requests at once', async () => {
      await Promise.all(times(120, (i) => service.grpc(i % 2 === 0 ? writing(chain()) : request())));
      const { faults } = await verifyChain((await service.records()).lines, []);
      assert.deepEqual(faults, []);
    });

    it('that a signed checkpoint vouches for to its end once the service has stopped, and goes on after a restart', async () => {
      await service.stop();
      const key = publicKeyOf(loadKeys(join(folder, '.lemma')).checkpoint);
      const checkpoints = await inStore(folder, (store) => store.checkpoints());
      service = await running({ folder });
      const { lines } = await service.records();
      const report = await verifyChain(lines, checkpoints, new Map([[thumbprint(key), key]]));
      assert.deepEqual([report.faults, report.chains[0]?.vouched], [[], lines.length]);
    });

    it('that goes on where it ended after a restart', async () => {
      await service.stop();
      service = await running({ folder });
      await service.grpc(bearing(chain()));
      const { faults, chains } = await verifyChain((await service.records()).lines, []);
      assert.deepEqual([faults, chains.length], [[], 1]);
    });
  });
});

function encoded(value: unknown): string {
  return Buffer.from(typeof value === 'string' ? value : JSON.stringify(value)).toString('base64url');
}

function popOf(value: string): WireRequest {
  return proving(chain(), keys.runtime, {
    change: (headers) => {
      headers['x-lemma-pop'] = value;
    },
  });
}

function swapped(body: string): WireRequest {
  return { ...writing(chain()), body: Buffer.from(body).toString('base64url') };
}

function digested(value: string): WireRequest {
  return writing(chain(), keys.runtime, {
    change: (headers) => {
      headers['content-digest'] = value;
    },
  });
}

/** No byte that a terminal or a reader of lines would act on. */
function printable(line: string): boolean {
  return line !== '' && !/[\u0000-\u001f\u007f-\u009f\u2028\u2029]/.test(line);
}
