import assert from 'node:assert/strict';
import type { InjectOptions } from 'fastify';
import { listen } from '../../src/server/http.ts';
import { OPERATIONS, type Operation } from '../../src/server/operations.ts';
import { StoreReadError } from '../../src/store/errors.ts';
import type { RecordQuery } from '../../src/store/model.ts';
import { HOME, newKey, RUNTIME, tempFolder } from '../authority/support.ts';
import { AUTH, CURSORS, controlWorld, DECISION_ID, KEY, scripted } from './support.ts';

const BASE = '/api/wallet/runtimes';
type Control = Awaited<ReturnType<typeof controlWorld>>;

describe('the control plane', () => {
  let control: Control;
  const open = async (over: Parameters<typeof controlWorld>[0] = {}) => {
    control = await controlWorld(over);
    return control;
  };
  afterEach(() => control.close());

  const call = (request: InjectOptions) =>
    control.app.inject({ ...request, headers: { ...AUTH, ...request.headers } });
  const post = (path: string, payload?: object) =>
    call({ method: 'POST', url: `${BASE}${path}`, ...(payload && { payload }) });
  const get = (path: string) => call({ method: 'GET', url: `${BASE}${path}` });

  describe('without the key', () => {
    const guarded = Object.entries<Operation>(OPERATIONS).filter(([, { needs }]) => needs !== null);
    for (const [id, { method, path }] of guarded) {
      it(`refuses ${id} before it reads anything`, async () => {
        const { app } = await open();
        const url = path.replace('{id}', 'bot-1');
        const response = await app.inject({
          method,
          url,
          ...(method === 'POST' && { payload: '{', headers: { 'content-type': 'application/json' } }),
        });
        assert.deepEqual([response.statusCode, response.json().error], [401, 'auth_required']);
        assert.match(String(response.headers['www-authenticate']), /^Bearer/);
      });
    }

    for (const authorization of [`Bearer ${KEY}x`, `Basic ${KEY}`, KEY, 'Bearer ', `Bearer ${KEY} ${KEY}`]) {
      it(`refuses Authorization: ${authorization.replace(KEY, 'KEY')}`, async () => {
        const { app } = await open();
        assert.equal((await app.inject({ url: BASE, headers: { authorization } })).statusCode, 401);
      });
    }

    it('refuses HEAD as it refuses GET', async () => {
      const { app } = await open();
      assert.equal((await app.inject({ method: 'HEAD', url: `${BASE}/decisions/export` })).statusCode, 401);
    });

    for (const url of ['/healthz', '/readyz', '/metrics', '/openapi.json']) {
      it(`serves ${url}`, async () => {
        const { app } = await open();
        assert.equal((await app.inject({ url })).statusCode, 200);
      });
    }
  });

  describe('verbs', () => {
    beforeEach(() => open());
    const proof = () => ({
      runtime_id: 'bot-1',
      key: newKey(),
      scope: ['documents.read'],
      audience: ['https://api.example.com'],
    });

    it('register a runtime, with times in RFC 3339', async () => {
      const response = await post('/bootstrap', RUNTIME);
      assert.equal(response.statusCode, 200);
      assert.equal(response.json().runtime.registered_at, new Date(control.world.now).toISOString());
    });

    it('say a conflict', async () => {
      await post('/bootstrap', RUNTIME);
      const response = await post('/bootstrap', { ...RUNTIME, agent_id: 'other' });
      assert.deepEqual([response.statusCode, response.json().error], [409, 'conflict']);
    });

    it('coerce nothing and drop nothing', async () => {
      const response = await post('/bootstrap', { ...RUNTIME, agent_id: 7, admin: true });
      assert.equal(response.statusCode, 400);
      const problems = String(response.json().message).split('\n').sort();
      assert.deepEqual(problems, ['admin: unknown member', 'agent_id: must be string']);
    });

    it('issue a proof', async () => {
      await post('/bootstrap', RUNTIME);
      const body = (await post('/issue-proof', proof())).json();
      assert.equal(Buffer.from(body.header, 'base64url').toString(), JSON.stringify(body.credential));
      assert.equal(body.expires_at, new Date(body.credential.expires_at * 1000).toISOString());
    });

    it('issue a proof with bounds and a budget', async () => {
      await post('/bootstrap', RUNTIME);
      const limits = {
        bounds: { methods: ['GET'], path_prefixes: ['/v1'], pop: true },
        budget: { operations: 3 },
      };
      const { claims } = (await post('/issue-proof', { ...proof(), ...limits })).json().credential;
      assert.deepEqual({ bounds: claims.bounds, budget: claims.budget }, limits);
    });

    it('list runtimes page by page', async () => {
      for (const id of ['a', 'b', 'c']) await post('/bootstrap', { ...RUNTIME, runtime_id: id });
      const first = (await get('?limit=2')).json();
      const second = (await get(`?limit=2&cursor=${first.next_cursor}`)).json();
      const ids = [first, second].map(({ runtimes }) =>
        runtimes.map((r: { runtime_id: string }) => r.runtime_id),
      );
      assert.deepEqual([ids, second.next_cursor], [[['a', 'b'], ['c']], null]);
    });

    for (const query of ['limit=0', 'limit=1001', 'limit=1&limit=2', 'colour=red', 'cursor=../x']) {
      it(`refuse ?${query}`, async () => {
        assert.equal((await get(`?${query}`)).statusCode, 400);
      });
    }

    it('kill, with or without a reason, and give the same answer again', async () => {
      await post('/bootstrap', RUNTIME);
      const first = await post('/bot-1/kill', { reason: 'went astray' });
      const second = await post('/bot-1/kill');
      assert.deepEqual([first.statusCode, first.json().durable, second.json()], [200, true, first.json()]);
    });

    it('keep who killed and why', async () => {
      await post('/bootstrap', RUNTIME);
      await post('/bot-1/kill', { reason: 'went astray' });
      const event = (await control.world.store.eventsAfter(0, 10)).find(({ type }) => type === 'kill');
      assert.deepEqual(event?.payload, { runtime_id: 'bot-1', reason: 'went astray', by: 'owner' });
    });

    it('issue nothing to the killed', async () => {
      await post('/bootstrap', RUNTIME);
      await post('/bot-1/kill');
      const response = await post('/issue-proof', proof());
      assert.deepEqual([response.statusCode, response.json().error], [409, 'runtime_killed']);
    });

    it('revoke a key', async () => {
      await post('/bootstrap', RUNTIME);
      const { key, ...rest } = proof();
      const revoked = await post('/bot-1/revoke', { key });
      const response = await post('/issue-proof', { key, ...rest });
      assert.deepEqual([revoked.json().durable, response.json().error], [true, 'revoked']);
    });

    for (const [name, body] of [
      ['nothing', {}],
      ['both', { key: newKey(), lemma_id: `lem_${'A'.repeat(22)}` }],
    ] as const) {
      it(`refuse to revoke ${name}`, async () => {
        await post('/bootstrap', RUNTIME);
        assert.equal((await post('/bot-1/revoke', body)).statusCode, 400);
      });
    }
  });

  describe("another organisation's runtime", () => {
    beforeEach(async () => {
      await open();
      const subject = control.world.authority.subject;
      control.world.authority.registerFromFile([
        { ...RUNTIME, org: 'other', env: 'prod', profile: 'low', subject, keys: null },
      ]);
    });
    const cases: readonly [string, object][] = [
      ['/bootstrap', { ...RUNTIME, org: 'other' }],
      [
        '/issue-proof',
        { runtime_id: 'bot-1', key: newKey(), scope: [], audience: ['https://api.example.com'] },
      ],
      ['/bot-1/kill', {}],
      ['/bot-1/revoke', { key: newKey() }],
      ['/bot-1/authorize', { method: 'GET', url: 'https://a.example/' }],
    ];
    for (const [path, payload] of cases) {
      it(`is not found by ${path}`, async () => {
        const response = await post(path, payload);
        assert.deepEqual([response.statusCode, response.json().error], [404, 'not_found']);
      });
    }

    it('is not listed', async () => {
      assert.deepEqual((await get('')).json().runtimes, []);
    });
  });

  it('decides for a runtime of its own', async () => {
    const { decide, asked } = scripted();
    await open({ decide });
    await post('/bootstrap', RUNTIME);
    const response = await post('/bot-1/authorize', { method: 'GET', url: 'https://a.example/' });
    assert.deepEqual([response.statusCode, asked[0]?.runtimeId], [200, 'bot-1']);
  });

  describe('decisions', () => {
    it('are shown exactly as stored', async () => {
      const lines = ['{"v":1,"z":1.0,"a":"\\u00e9"}', '{"v":1, "spaced" : true}'];
      await open({ queryDecisions: async () => ({ lines, next_cursor: '5.1' }) });
      const { body } = await get('/decisions');
      const next = CURSORS.seal({ kind: 'decisions', ...HOME, asked: { order: 'desc' } }, '5.1');
      assert.equal(body, `{"success":true,"decisions":[${lines.join(',')}],"next_cursor":"${next}"}`);
    });

    it('are asked for within the tenant, by every filter', async () => {
      const queries: RecordQuery[] = [];
      await open({
        queryDecisions: async (query) => {
          queries.push(query);
          return { lines: [], next_cursor: null };
        },
      });
      const subject = `did:lemma:ppid_${'0'.repeat(64)}`;
      const wanted = {
        runtime_id: 'r',
        agent_id: 'a',
        workspace_id: 'w',
        subject,
        verdict: 'deny',
        reason: 'scope_denied',
        route: 'x',
        since: Date.UTC(2026, 9, 1),
        until: Date.UTC(2026, 9, 1) + 500,
      } as const;
      const scope = { kind: 'decisions', ...HOME, asked: { ...wanted, order: 'asc' } } as const;
      const cursor = CURSORS.seal(scope, '1.2');
      const filters = `runtime=r&agent=a&workspace=w&verdict=deny&reason=scope_denied&route=x&cursor=${cursor}&limit=7&order=asc`;
      const times = 'since=2026-10-01T00:00:00Z&until=2026-10-01T02:00:00.5%2B02:00';
      for (const named of [subject, subject.slice('did:lemma:'.length)])
        await get(`/decisions?${filters}&subject=${named}&${times}`);
      const query = { ...HOME, ...wanted, cursor: '1.2', limit: 7, order: 'asc' };
      assert.deepEqual(queries, [query, query]);
    });

    for (const query of [
      'since=yesterday',
      'since=1790000000',
      'since=2026-02-30T00:00:00Z',
      'since=2026-10-01T25:00:00Z',
      'since=2026-10-01T24:00:00Z',
      'verdict=maybe',
      'cursor=x',
      'org=other',
    ]) {
      it(`refuse ?${query}`, async () => {
        await open();
        const response = await get(`/decisions?${query}`);
        assert.deepEqual([response.statusCode, response.json().error], [400, 'invalid_request']);
      });
    }

    it('are 503 when the store cannot be read', async () => {
      await open({
        queryDecisions: async () => {
          throw new StoreReadError('SQLITE_IOERR', 'disk gone');
        },
      });
      const response = await get('/decisions');
      assert.deepEqual([response.statusCode, response.json().error], [503, 'store_unavailable']);
    });

    it('are explained within the tenant', async () => {
      const asked: unknown[] = [];
      await open({
        explain: async (...args) => {
          asked.push(args);
          return { verdict: 'allow' };
        },
      });
      const response = await get(`/decisions/${DECISION_ID}/explain?trace=fails`);
      const expected = [[DECISION_ID, HOME, 'fails']];
      assert.deepEqual([asked, response.json().explanation], [expected, { verdict: 'allow' }]);
    });

    for (const query of ['trace=true', 'trace=', 'trace=fails&trace=full', 'traces=full'])
      it(`are not explained with ${query}`, async () => {
        await open();
        assert.equal((await get(`/decisions/${DECISION_ID}/explain?${query}`)).statusCode, 400);
      });

    it('that nobody made are not found', async () => {
      await open();
      assert.equal((await get(`/decisions/${DECISION_ID}/explain`)).statusCode, 404);
    });
  });

  describe('export', () => {
    it('is every line as it is stored', async () => {
      const lines = ['{"v":1,"z":1.0}', '{"v":1, "spaced" : true}'];
      await open({
        exportDecisions: async function* () {
          for (const line of lines) yield { line };
        },
      });
      const response = await get('/decisions/export');
      assert.deepEqual(
        [response.headers['content-type'], response.body],
        ['application/x-ndjson', `${lines.join('\n')}\n`],
      );
    });

    it('of an empty log is empty', async () => {
      await open();
      const response = await get('/decisions/export');
      assert.deepEqual([response.statusCode, response.body], [200, '']);
    });

    it('is an error in the one shape when the log cannot be read', async () => {
      await open({
        // biome-ignore lint/correctness/useYield: it fails before it could
        exportDecisions: async function* () {
          throw new StoreReadError('SQLITE_IOERR', 'disk gone');
        },
      });
      const response = await get('/decisions/export');
      assert.deepEqual([response.statusCode, response.json().error], [503, 'store_unavailable']);
    });

    it('is read no faster than it is taken, and ends when the client goes', async () => {
      let made = 0;
      const ended = Promise.withResolvers<number>();
      const line = 'x'.repeat(10_000);
      const folder = tempFolder();
      const { app } = await open({
        exportDecisions: async function* () {
          try {
            for (; made < 1_000_000; made++) {
              yield { line };
              // The loop must turn for the socket to take anything.
              if (made % 100 === 0) await new Promise(setImmediate);
            }
          } finally {
            ended.resolve(made);
          }
        },
      });
      const server = await listen(app, '127.0.0.1:0', 'listen.control');
      const abort = new AbortController();
      const response = await fetch(`http://${server.address}${BASE}/decisions/export`, {
        headers: AUTH,
        signal: abort.signal,
      });
      const reader = response.body?.getReader();
      const first = await reader?.read();
      assert.ok((first?.value?.length ?? 0) > 0);
      abort.abort();
      // 10 GB were there to be read; only what buffers hold was.
      assert.ok((await ended.promise) < 20_000);
      await server.close();
      folder.remove();
    });

    it('that breaks on its way is cut, not ended', async () => {
      const { app } = await open({
        exportDecisions: async function* () {
          yield { line: 'x'.repeat(100_000) };
          throw new StoreReadError('SQLITE_IOERR', 'disk gone');
        },
      });
      const server = await listen(app, '127.0.0.1:0', 'listen.control');
      const response = await fetch(`http://${server.address}${BASE}/decisions/export`, { headers: AUTH });
      await assert.rejects(response.text());
      await server.close();
    });
  });

  describe('its log', () => {
    it('has a line for each answer, without what was sent', async () => {
      const { lines } = await open();
      await post('/bot-1/kill?token=tell-nobody', { reason: 'also-secret' });
      const text = lines().join('');
      const line = JSON.parse(lines().find((l) => l.includes('answered')) ?? '{}');
      assert.deepEqual([line.method, line.route, line.status], ['POST', `${BASE}/:id/kill`, 404]);
      for (const secret of [KEY, 'tell-nobody', 'also-secret']) assert.equal(text.includes(secret), false);
    });
  });
});
