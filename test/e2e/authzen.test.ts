import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import type { IncomingMessage } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { readBundleTar } from '../../src/policy/bundle.ts';
import { signPop } from '../../src/proof/sign-pop.ts';
import { tempFolder } from '../authority/support.ts';
import { folders, publish } from '../pdp/support.ts';
import { certificateAuthority, needOpenssl } from '../support/certificates.ts';
import { chain, header, keys, NOW, SUBJECT } from '../support/kit.ts';
import { type Running, running } from '../support/running.ts';

const todo = readBundleTar(readFileSync(new URL('../policy/fixtures/todo.tar.gz', import.meta.url)));

type Json = Record<string, unknown>;

/** One answer of `evaluation`. */
interface Answer {
  readonly decision: boolean;
  readonly context: { readonly decision_id: string; readonly reason: string; readonly error?: Json };
}

function asking({ app, operatorKey }: Running, key: string | null = operatorKey) {
  return async (path: string, body?: object, headers: Record<string, string> = {}) => {
    const response = await fetch(`http://${app.addresses.decision}${path}`, {
      method: body === undefined ? 'GET' : 'POST',
      headers: {
        ...(key === null ? {} : { authorization: `Bearer ${key}` }),
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        ...headers,
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    return { status: response.status, headers: response.headers, body: (await response.json()) as Json };
  };
}

describe('AuthZEN', () => {
  describe("the working group's todo application", () => {
    const temporary = folders();
    let service: Running;
    let ask: ReturnType<typeof asking>;

    const route = (action: string, method: string, path: string, api = 'todo') => ({
      id: action.replaceAll('_', '-'),
      host: 'todo.example.com',
      path,
      methods: [method],
      api,
      action,
      scope: [],
      audience: 'https://todo.example.com',
      risk: 'low',
    });
    const routes = [
      route('can_read_user', 'GET', '/users/{id}', 'user'),
      route('can_read_todos', 'GET', '/todos'),
      route('can_create_todo', 'POST', '/todos'),
      route('can_update_todo', 'PUT', '/todos/{id}'),
      route('can_delete_todo', 'DELETE', '/todos/{id}'),
    ];

    before(async () => {
      service = await running({
        config: { routes, bundles: await publish(temporary.make(), todo, { serial: 5 }) },
      });
      ask = asking(service);
    });
    after(async () => {
      await service.stop();
      temporary.remove();
    });

    const pid = (n: number) =>
      `CiRmZD${['A', 'E', 'I', 'M', 'Q'][n]}2MTRkMy1jMzlhLTQ3ODEtYjdiZC04Yjk2ZjVhNTEwMGQSBWxvY2Fs`;
    const RICK = 'rick@the-citadel.com';
    const ALL = [true, true, true, true, true, true, true, true];
    const OWN = [true, true, true, true, false, true, false, true];
    const VIEW = [true, true, true, false, false, false, false, false];
    /** Published: what each may do, in the order of `asked`. Rick's second todo is Morty's. */
    const TABLE: readonly (readonly [string, string, readonly boolean[]])[] = [
      [RICK, 'morty@the-citadel.com', ALL],
      ['morty@the-citadel.com', 'morty@the-citadel.com', OWN],
      ['summer@the-smiths.com', 'summer@the-smiths.com', OWN],
      ['beth@the-smiths.com', 'beth@the-smiths.com', VIEW],
      ['jerry@the-smiths.com', 'jerry@the-smiths.com', VIEW],
    ];
    const user = (id: string) => ({ type: 'user', id });
    const item = (ownerID: string) => ({
      type: 'todo',
      id: '7240d0db-8ff0-41ec-98b2-34a096273b9f',
      properties: { ownerID },
    });
    const asked = (self: string, other: string): readonly (readonly [string, object])[] => [
      ['can_read_user', user('beth@the-smiths.com')],
      ['can_read_user', user(self)],
      ['can_read_todos', { type: 'todo', id: 'todo-1' }],
      ['can_create_todo', { type: 'todo', id: 'todo-1' }],
      ['can_update_todo', item(RICK)],
      ['can_update_todo', item(other)],
      ['can_delete_todo', item(RICK)],
      ['can_delete_todo', item(other)],
    ];

    for (const [n, [self, other, expected]] of TABLE.entries()) {
      for (const [i, [name, resource]] of asked(self, other).entries()) {
        it(`${expected[i] === true ? 'permits' : 'denies'} ${self} ${name} (${i + 1})`, async () => {
          const body = { subject: user(pid(n)), action: { name }, resource };
          const { status, body: answer } = await ask('/access/v1/evaluation', body);
          assert.deepEqual([status, answer.decision], [200, expected[i]], JSON.stringify(answer));
        });
      }
    }

    for (const [n, owners, expected] of [
      [0, [RICK, 'jerry@the-smiths.com'], [true, true]],
      [1, [RICK, 'morty@the-citadel.com'], [false, true]],
      [4, [RICK, 'jerry@the-smiths.com'], [false, false]],
    ] as const) {
      it(`answers several of ${TABLE[n]?.[0]} at once: ${expected}`, async () => {
        const { body } = await ask('/access/v1/evaluations', {
          subject: user(pid(n)),
          action: { name: 'can_update_todo' },
          evaluations: owners.map((owner) => ({ resource: item(owner) })),
        });
        assert.deepEqual(
          (body.evaluations as Answer[]).map(({ decision }) => decision),
          expected,
        );
      });
    }

    const update = (owner: string) => ({ action: { name: 'can_update_todo' }, resource: item(owner) });
    const MORTY = { subject: user(pid(1)) };
    const [NO, YES] = [update(RICK), update('morty@the-citadel.com')];
    for (const [semantic, evaluations, expected] of [
      ['execute_all', [NO, YES, NO], [false, true, false]],
      ['deny_on_first_deny', [YES, NO, YES], [true, false]],
      ['permit_on_first_permit', [NO, YES, NO], [false, true]],
    ] as const) {
      it(`keeps to ${semantic}`, async () => {
        const options = { evaluations_semantic: semantic };
        const { body } = await ask('/access/v1/evaluations', { ...MORTY, evaluations, options });
        assert.deepEqual(
          (body.evaluations as Answer[]).map(({ decision }) => decision),
          expected,
        );
      });
    }

    it('has an item take the place of what stands beside the list, whole', async () => {
      const { body } = await ask('/access/v1/evaluations', {
        ...MORTY,
        ...YES,
        evaluations: [{}, { subject: user(pid(3)) }, { resource: { type: 'todo', id: '1' } }],
      });
      assert.deepEqual(
        (body.evaluations as Answer[]).map(({ decision }) => decision),
        [true, false, false],
      );
    });

    it('says what is wrong with one, and answers the others', async () => {
      const { status, body } = await ask('/access/v1/evaluations', {
        ...MORTY,
        evaluations: [{ action: { name: 'x' } }, YES],
      });
      const [bad, good] = body.evaluations as Answer[];
      assert.deepEqual(
        [status, bad?.decision, bad?.context.error?.status, good?.decision],
        [200, false, 400, true],
      );
      assert.match(String(bad?.context.error?.message), /resource: missing/);
    });

    for (const evaluations of [undefined, []]) {
      it(`takes ${evaluations === undefined ? 'no list' : 'an empty list'} for one evaluation`, async () => {
        const { body } = await ask('/access/v1/evaluations', {
          ...MORTY,
          ...YES,
          ...(evaluations && { evaluations }),
        });
        assert.equal(body.decision, true);
      });
    }

    it('shows the policy what was asked, and explains it to the same', async () => {
      const context = { time: '2026-01-01T00:00:00Z' };
      const { body } = await ask('/access/v1/evaluation', { ...MORTY, ...YES, context });
      const { record, evaluated_again } = await service.explain(
        (body as unknown as Answer).context.decision_id,
      );
      assert.deepEqual(record.input?.authzen, { ...MORTY, ...YES, context });
      assert.deepEqual(
        [
          record.input?.subject.via,
          record.input?.subject.id,
          record.input?.request.path,
          evaluated_again?.equal,
        ],
        ['asserted', pid(1), '/todos/7240d0db-8ff0-41ec-98b2-34a096273b9f', true],
      );
      assert.deepEqual(
        [record.border, record.route?.id, record.enforcement_point],
        ['authzen', 'can-update-todo', 'owner'],
      );
    });

    it('believes nobody without a key', async () => {
      const { body } = await asking(service, null)('/access/v1/evaluation', { ...MORTY, ...YES });
      assert.deepEqual([body.decision, (body as unknown as Answer).context.reason], [false, 'auth_required']);
    });

    it('refuses a key that is none: 401', async () => {
      const { status } = await asking(service, 'lm_op_wrong')('/access/v1/evaluation', { ...MORTY, ...YES });
      assert.equal(status, 401);
    });

    it('takes X-API-Key too', async () => {
      const { body } = await asking(service, null)(
        '/access/v1/evaluation',
        { ...MORTY, ...YES },
        { 'x-api-key': service.operatorKey },
      );
      assert.equal(body.decision, true);
    });

    it('gives back the id of a request', async () => {
      const { headers } = await ask(
        '/access/v1/evaluation',
        { ...MORTY, ...YES },
        { 'x-request-id': 'bfe9eb29-ab87' },
      );
      assert.equal(headers.get('x-request-id'), 'bfe9eb29-ab87');
    });

    it('gives it back with an error', async () => {
      const { status, headers } = await ask('/access/v1/evaluation', {}, { 'x-request-id': 'bfe9' });
      assert.deepEqual([status, headers.get('x-request-id')], [400, 'bfe9']);
    });

    it('names a member that it does not know', async () => {
      const { status, body } = await ask('/access/v1/evaluation', { ...MORTY, ...YES, contxt: {} });
      assert.deepEqual([status, body.message], [400, 'contxt: unknown member']);
    });

    it('refuses more than 100 at once', async () => {
      const { status } = await ask('/access/v1/evaluations', {
        ...MORTY,
        evaluations: Array.from({ length: 101 }, () => YES),
      });
      assert.equal(status, 400);
    });

    it('publishes where it is asked', async () => {
      const { body } = await ask('/.well-known/authzen-configuration');
      const base = `http://${service.app.addresses.decision}`;
      assert.deepEqual(body, {
        policy_decision_point: base,
        access_evaluation_endpoint: `${base}/access/v1/evaluation`,
        access_evaluations_endpoint: `${base}/access/v1/evaluations`,
      });
    });
  });

  it('believes an enforcement point that shows a certificate', async function () {
    needOpenssl(this);
    const folder = tempFolder();
    const authority = certificateAuthority(folder.path);
    const own = authority.issue('lemma', { names: ['DNS:localhost'] });
    const client = authority.issue('gateway', { names: ['URI:spiffe://acme/gateway'] });
    const decision = { address: '127.0.0.1:0', tls: { ...own, client_ca: authority.cert } };
    const listen = { grpc: '127.0.0.1:0', control: '127.0.0.1:0', decision };
    const service = await running({ config: { listen } });
    try {
      const body = {
        subject: { type: 'user', id: 'alice' },
        action: { name: 'documents.read' },
        resource: { type: 'document', id: '42' },
      };
      const asked = httpsRequest({
        host: '127.0.0.1',
        port: service.app.addresses.decision.split(':').at(-1),
        path: '/access/v1/evaluation',
        method: 'POST',
        servername: 'localhost',
        headers: { 'content-type': 'application/json' },
        ca: readFileSync(authority.cert),
        cert: readFileSync(client.cert),
        key: readFileSync(client.key),
        agent: false,
      });
      asked.end(JSON.stringify(body));
      const [answer] = (await once(asked, 'response')) as [IncomingMessage];
      for await (const _ of answer as AsyncIterable<Buffer>);
      const { records } = await service.records();
      const [record] = records;
      assert.deepEqual(
        [record?.enforcement_point, record?.input?.subject.via, record?.input?.subject.id, record?.reason],
        ['spiffe://acme/gateway', 'asserted', 'alice', 'policy_denied'],
      );
    } finally {
      await service.stop();
      folder.remove();
    }
  });

  describe('with the default policies', () => {
    let service: Running;
    let ask: ReturnType<typeof asking>;
    before(async () => {
      service = await running();
      ask = asking(service, null);
    });
    after(() => service.stop());

    const SELF = { type: 'runtime', id: 'bot-1' };
    const READ = {
      subject: SELF,
      action: { name: 'documents.read' },
      resource: { type: 'document', id: '42' },
    };
    const bearing = (more: object = {}) => ({ lemma_credential: header(chain()), ...more });
    const reason = async (body: object) => {
      const { status, body: answer } = await ask('/access/v1/evaluation', body);
      assert.equal(status, 200, JSON.stringify(answer));
      return (answer as unknown as Answer).context.reason;
    };

    it('decides about a credential', async () => {
      assert.equal(await reason({ ...READ, context: bearing() }), 'allowed');
    });

    it('never shows or keeps a proof', async () => {
      await reason({ ...READ, context: bearing({ why: 'x' }) });
      const { lines, records } = await service.records();
      assert.equal(lines.join('').includes(header(chain()).slice(0, 60)), false);
      assert.deepEqual(records.at(-1)?.input?.authzen?.context, { why: 'x' });
    });

    it('is not told that somebody else acts', async () => {
      const context = bearing();
      assert.equal(
        await reason({ ...READ, subject: { type: 'runtime', id: 'bot-2' }, context }),
        'runtime_unknown',
      );
      assert.equal(
        await reason({ ...READ, subject: { type: 'user', id: 'alice' }, context }),
        'runtime_unknown',
      );
      assert.equal(await reason({ ...READ, subject: { type: 'user', id: SUBJECT }, context }), 'allowed');
    });

    const described = (properties: object, name = 'documents.read') => ({
      ...READ,
      action: { name },
      resource: { type: 'document', id: '42', properties },
      context: bearing(),
    });
    const url = 'https://api.example.com/v1/documents/42';

    it('decides about a request that the resource describes', async () => {
      assert.equal(await reason(described({ method: 'GET', url })), 'allowed');
      const parts = { scheme: 'https', host: 'api.example.com', path: '/v1/documents/42' };
      assert.equal(await reason(described({ method: 'HEAD', ...parts })), 'allowed');
    });

    for (const [name, properties, code] of [
      ['another method', { method: 'DELETE', url }, 'method_not_allowed'],
      ['the route of another action', { method: 'PUT', url }, 'route_unknown'],
      ['no route', { method: 'GET', url: 'https://api.example.com/x' }, 'route_unknown'],
      ['two readings', { method: 'GET', url: `${url}/../43` }, 'path_ambiguous'],
      [
        'a public route of another action',
        { method: 'GET', url: 'https://api.example.com/healthz' },
        'route_unknown',
      ],
    ] as const) {
      it(`denies a description of ${name}: ${code}`, async () =>
        assert.equal(await reason(described(properties)), code));
    }

    for (const [name, id, action, code] of [
      ['an action that no route has', '42', 'documents.burn', 'route_unknown'],
      ['an action of several routes', '42', 'documents.write', 'route_unknown'],
      ['a route without one path', '42', 'documents.purge', 'route_unknown'],
      ['an id that is a path', '42/../43', 'documents.read', 'path_ambiguous'],
    ] as const) {
      it(`denies ${name}: ${code}`, async () => {
        const body = {
          subject: SELF,
          action: { name: action },
          resource: { type: 'document', id },
          context: bearing(),
        };
        assert.equal(await reason(body), code);
      });
    }

    it('denies the wide route of a resource that has one of its own: route_unknown', async () => {
      const asking = (id: string) => ({
        subject: SELF,
        action: { name: 'documents.write', properties: { method: 'POST' } },
        resource: { type: 'document', id },
        context: bearing(),
      });
      assert.deepEqual(
        [await reason(asking('special')), await reason(asking('42'))],
        ['route_unknown', 'pop_required'],
      );
    });

    it('takes a PoP over the request of the resource, once', async () => {
      const links = chain();
      const text = '{"title":"x"}';
      const body = new TextEncoder().encode(text);
      const headers = signPop({
        method: 'PUT',
        url,
        proof: header(links),
        body,
        seed: keys.runtime.seed,
        created: NOW,
      });
      const context = {
        lemma_proof: headers['x-lemma-proof'],
        lemma_pop: headers['x-lemma-pop'],
        lemma_content_digest: headers['content-digest'],
        lemma_body: Buffer.from(text).toString('base64'),
      };
      const write = { ...described({ method: 'PUT', url }, 'documents.write'), context };
      assert.deepEqual([await reason(write), await reason(write)], ['allowed', 'replay_detected']);
    });

    it('asks for the PoP of a proof', async () => {
      assert.equal(await reason({ ...READ, context: { lemma_proof: header(chain()) } }), 'pop_required');
    });

    it('has no worth for an asserted subject', async () => {
      const { body } = await asking(service)('/access/v1/evaluation', READ);
      assert.equal((body as unknown as Answer).context.reason, 'policy_denied');
    });

    for (const [name, context, message] of [
      ['a member of ours that it does not know', { lemma_prof: 'x' }, /context\.lemma_prof: unknown member/],
      ['a proof that is no text', { lemma_proof: 7 }, /context\.lemma_proof: must be the text/],
      ['a body that is not base64', { lemma_body: '%' }, /context\.lemma_body: must be canonical base64/],
    ] as const) {
      it(`refuses ${name}`, async () => {
        const { status, body } = await ask('/access/v1/evaluation', { ...READ, context });
        assert.equal(status, 400);
        assert.match(String(body.message), message);
      });
    }
  });
});
