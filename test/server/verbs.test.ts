import assert from 'node:assert/strict';
import type { InjectOptions } from 'fastify';
import { publicKeyOf, randomBytes } from '#runtime';
import { createOperators, type Operator } from '../../src/authority/operators.ts';
import { toBase64url } from '../../src/crypto/base64url.ts';
import { signPop } from '../../src/proof/sign-pop.ts';
import { PERMISSIONS, type Permission } from '../../src/schema/access.ts';
import { HOME, NOW, newKey, RUNTIME } from '../authority/support.ts';
import { AUTH, controlWorld, KEY } from './support.ts';

const BASE = '/api/wallet/runtimes';
const API = 'https://api.example.com';
const SUBJECT = `did:lemma:ppid_${'7'.repeat(64)}`;
type Control = Awaited<ReturnType<typeof controlWorld>>;

describe('verbs of the control plane', () => {
  let control: Control;
  beforeEach(async () => {
    control = await controlWorld();
  });
  afterEach(() => control.close());

  const call = (request: InjectOptions) =>
    control.app.inject({ ...request, headers: { ...AUTH, ...request.headers } });
  const post = async (path: string, payload: object = {}, headers: Record<string, string> = {}) => {
    const response = await call({ method: 'POST', url: `${BASE}${path}`, payload, headers });
    return { status: response.statusCode, body: response.json() };
  };
  const get = async (path: string) => (await call({ method: 'GET', url: `${BASE}${path}` })).json();
  const code = async (asked: ReturnType<typeof post>) => {
    const { status, body } = await asked;
    return [status, body.error];
  };
  const grant = (key: string) => ({ runtime_id: 'bot-1', key, scope: ['documents.read'], audience: [API] });
  const events = async (type: string) =>
    (await control.world.store.eventsAfter(0, 1000)).filter((event) => event.type === type);

  describe('with bounded grants', () => {
    const bounded = { scopes: ['documents.*'], audiences: [API], longest_life_s: 600 };
    const reopen = async () => {
      await control.close();
      const { authenticate } = createOperators({ ...HOME, key: KEY });
      const operators = {
        authenticate: (key: string): Operator | null => {
          const operator = authenticate(key);
          return operator === null ? null : { ...operator, grants: bounded };
        },
      };
      control = await controlWorld({ operators });
      await post('/bootstrap', RUNTIME);
    };
    beforeEach(reopen);

    const ask = (over: object) => post('/issue-proof', { ...grant(newKey()), ...over });

    it('issues within them', async () => {
      assert.equal((await ask({ ttl_s: 600 })).status, 200);
    });

    it('lives no longer than they say when nobody asks', async () => {
      const { body } = await ask({});
      assert.equal(body.credential.expires_at - body.credential.issued_at, 600);
    });

    for (const [name, over, message] of [
      ['scope', { scope: ['documents.read', 'mail.send'] }, /^scope\[1\]: you may grant documents\.\*$/],
      ['a wildcard above', { scope: ['*'] }, /./],
      ['audience', { audience: ['https://other.example.com'] }, /^audience\[0\]: /],
      ['life', { ttl_s: 601 }, /^ttl_s: you may grant 600 at most$/],
    ] as const) {
      it(`refuses more: ${name}`, async () => {
        const { status, body } = await ask(over);
        assert.ok(status === 403 || (name === 'a wildcard above' && status === 400), String(status));
        assert.match(body.message, message);
      });
    }

    it('puts no more into a join token', async () => {
      const proof = { scope: ['mail.send'], audience: [API] };
      const asked = post('/join-tokens', { ...RUNTIME, proof });
      assert.deepEqual(await code(asked), [403, 'forbidden']);
    });
  });

  describe('a join token', () => {
    const made = async (over: object = {}) => {
      const { body } = await post('/join-tokens', { ...RUNTIME, runtime_id: 'bot-*', ...over });
      return body as { token: string; id: string };
    };
    const join = (token: string, body: object = RUNTIME) =>
      post('/bootstrap', body, { authorization: `Bearer ${token}` });

    it('registers a runtime without an operator, and says who did', async () => {
      const { token, id } = await made();
      const { status, body } = await join(token);
      const [event] = await events('register');
      assert.deepEqual(
        [status, body.runtime.runtime_id, event?.payload.by],
        [200, 'bot-1', `${id} of owner`],
      );
    });

    it('is good once', async () => {
      const { token } = await made();
      await join(token);
      assert.deepEqual(await code(join(token, { ...RUNTIME, runtime_id: 'bot-2' })), [401, 'auth_required']);
    });

    it('is good once where twenty come at once', async () => {
      const { token } = await made();
      const all = Array.from({ length: 20 }, (_, i) => join(token, { ...RUNTIME, runtime_id: `bot-${i}` }));
      const statuses = (await Promise.all(all)).map(({ status }) => status).sort();
      assert.deepEqual(statuses, [200, ...Array.from({ length: 19 }, () => 401)]);
      assert.equal((await events('register')).length, 1);
    });

    it('is not used up by a registration that is refused', async () => {
      await post('/bootstrap', { ...RUNTIME, agent_id: 'bot2' });
      const { token } = await made({ agent_id: '*' });
      assert.deepEqual(await code(join(token)), [409, 'conflict']);
      assert.equal((await join(token, { ...RUNTIME, runtime_id: 'bot-2' })).status, 200);
    });

    for (const [member, body] of [
      ['runtime_id', { ...RUNTIME, runtime_id: 'other' }],
      ['agent_id', { ...RUNTIME, agent_id: 'other' }],
      ['workspace_id', { ...RUNTIME, workspace_id: 'other' }],
      ['subject', { ...RUNTIME, subject: SUBJECT }],
    ] as const) {
      it(`holds for no other ${member}`, async () => {
        const { token } = await made();
        const { status, body: answer } = await join(token, body);
        assert.deepEqual([status, answer.message.split(':')[0]], [403, member]);
      });
    }

    it('holds for no weaker profile', async () => {
      const { token } = await made({ profile: 'high' });
      assert.deepEqual(await code(join(token)), [403, 'forbidden']);
      assert.equal((await join(token, { ...RUNTIME, profile: 'critical' })).status, 200);
    });

    it('ends', async () => {
      await control.close();
      control = await controlWorld();
      const { token } = await made({ ttl_s: 1 });
      const { documents } = await control.world.store.listDocuments('join_token', HOME, { limit: 10 });
      assert.equal(documents[0]?.expires_at, NOW + 1000);
      assert.equal(JSON.stringify(documents).includes(token), false);
    });

    it('opens no other operation', async () => {
      const { token } = await made();
      const response = await control.app.inject({ url: BASE, headers: { authorization: `Bearer ${token}` } });
      assert.equal(response.statusCode, 401);
    });

    it('brings the first proof where it says so', async () => {
      const key = newKey();
      const { token } = await made({ proof: { scope: ['documents.read'], audience: [API], ttl_s: 60 } });
      const { body } = await join(token, { ...RUNTIME, key });
      assert.deepEqual([body.proof.credential.key, body.proof.credential.scope], [key, ['documents.read']]);
    });

    const proof = { scope: ['documents.read'], audience: [API] };

    it('is tried a hundred times or so by one host, however many addresses it has', async () => {
      const attempt = async (n: number) => {
        const response = await control.app.inject({
          ...{ method: 'POST', url: `${BASE}/bootstrap`, payload: RUNTIME },
          remoteAddress: `2001:db8:0:1::${n.toString(16)}`,
          headers: { authorization: `Bearer lm_jt_${'x'.repeat(42)}A` },
        });
        return response.statusCode;
      };
      const all = await Promise.all(Array.from({ length: 300 }, (_, n) => attempt(n)));
      assert.deepEqual([...new Set(all)].sort(), [401, 429]);
    });

    it('of a fleet makes nobody one of it that is there already', async () => {
      await post('/bootstrap', RUNTIME);
      const { token } = await made({ proof });
      const asked = join(token, { ...RUNTIME, key: newKey() });
      assert.deepEqual(await code(asked), [409, 'conflict']);
      assert.equal((await join(token, { ...RUNTIME, runtime_id: 'bot-2', key: newKey() })).status, 200);
    });

    it('brings a proof for the very runtime that it was made for, and none once that was tainted', async () => {
      await post('/bootstrap', RUNTIME);
      const [first, second] = [
        await made({ runtime_id: 'bot-1', proof }),
        await made({ runtime_id: 'bot-1', proof }),
      ];
      assert.equal((await join(first.token, { ...RUNTIME, key: newKey() })).status, 200);
      await post('/bot-1/taint', { reason: 'a page told it to' });
      const asked = join(second.token, { ...RUNTIME, key: newKey() });
      assert.deepEqual(await code(asked), [409, 'moved']);
      const third = await made({ runtime_id: 'bot-1', proof });
      assert.equal((await join(third.token, { ...RUNTIME, key: newKey() })).status, 200);
    });

    it('brings none that nobody granted', async () => {
      const { token } = await made();
      const { status, body } = await join(token, { ...RUNTIME, key: newKey() });
      assert.deepEqual([status, body.message], [400, 'key: this join token brings no proof']);
    });
  });

  describe('renewal by the runtime itself', () => {
    const seed = randomBytes(32);
    const key = toBase64url(publicKeyOf(seed));
    const other = randomBytes(32);
    let proof: string;
    beforeEach(async () => {
      await post('/bootstrap', RUNTIME);
      const bounds = { methods: ['GET'] };
      const issued = await post('/issue-proof', { ...grant(key), ttl_s: 600, bounds });
      proof = issued.body.header;
    });

    const headersOf = (
      body: object,
      over: { seed?: Uint8Array; nonce?: string; path?: string; proof?: string },
    ) =>
      signPop({
        method: 'POST',
        url: `http://control.example.com${over.path ?? `${BASE}/issue-proof`}`,
        proof: over.proof ?? proof,
        body: Buffer.from(JSON.stringify(body)),
        seed: over.seed ?? seed,
        created: Math.floor(control.world.now / 1000),
        ...(over.nonce === undefined ? {} : { nonce: over.nonce }),
      });
    const send = async (body: object, headers: Record<string, string>) => {
      const response = await control.app.inject({
        method: 'POST',
        url: `${BASE}/issue-proof`,
        headers: { host: 'control.example.com', 'content-type': 'application/json', ...headers },
        payload: JSON.stringify(body),
      });
      return { status: response.statusCode, body: response.json() };
    };
    const renew = (body: object = grant(key), over: Parameters<typeof headersOf>[1] = {}) =>
      send(body, headersOf(body, over));

    it('gives a later proof of the same key, scope, life and bounds', async () => {
      control.world.now += 60_000;
      const { status, body } = await renew();
      const { credential } = body;
      assert.deepEqual(
        [status, credential.key, credential.scope, credential.claims.bounds, credential.issued_at],
        [200, key, ['documents.read'], { methods: ['GET'] }, control.world.now / 1000],
      );
      assert.equal(credential.expires_at - credential.issued_at, 600);
    });

    it('goes on from a renewed proof', async () => {
      const { body } = await renew();
      assert.equal((await renew(grant(key), { proof: body.header })).status, 200);
    });

    it('ends 90 days after the operator had the first one issued, however often', async () => {
      const day = 86_400;
      const first = control.world.now / 1000;
      let last = (await post('/issue-proof', { ...grant(key), ttl_s: day })).body;
      let answer = { status: 200, body: last };
      for (let renewals = 0; answer.status === 200 && renewals < 200; renewals += 1) {
        last = answer.body;
        control.world.now += (day - 100) * 1000;
        answer = await renew(grant(key), { proof: last.header });
      }
      assert.deepEqual([answer.status, answer.body.error], [401, 'proof_expired']);
      assert.equal(last.credential.expires_at, first + 90 * day);
    });

    it('takes each PoP once', async () => {
      const headers = headersOf(grant(key), {});
      const first = await send(grant(key), headers);
      assert.deepEqual(
        [first.status, await code(send(grant(key), headers))],
        [200, [403, 'replay_detected']],
      );
    });

    it('takes a PoP once over a restart of the gate', async () => {
      const nonce = 'n'.repeat(22);
      await renew(grant(key), { nonce });
      const id = `${(await get('/bot-1')).proofs[0].kid} ${nonce}`;
      assert.notEqual(await control.world.store.getDocument('renewal_nonce', id), null);
    });

    const cases: readonly [string, (headers: Record<string, string>) => Promise<unknown>, number, string][] =
      [
        [
          'with another body',
          (headers) => send({ ...grant(key), ttl_s: 60 }, headers),
          401,
          'pop_body_mismatch',
        ],
        [
          'without a PoP',
          ({ 'x-lemma-proof': value }) => send(grant(key), { 'x-lemma-proof': value ?? '' }),
          401,
          'pop_required',
        ],
        [
          "with an operator's key too",
          (headers) => send(grant(key), { ...headers, ...AUTH }),
          401,
          'auth_required',
        ],
      ];
    for (const [name, ask, status, error] of cases) {
      it(`is refused ${name}`, async () => {
        const answer = ask(headersOf(grant(key), {})) as ReturnType<typeof post>;
        assert.deepEqual(await code(answer), [status, error]);
      });
    }

    it('is refused with the PoP of another key', async () => {
      assert.deepEqual(await code(renew(grant(key), { seed: other })), [401, 'pop_invalid']);
    });

    it('is refused with a PoP over another path', async () => {
      assert.deepEqual(await code(renew(grant(key), { path: `${BASE}/bootstrap` })), [401, 'pop_invalid']);
    });

    for (const [field, over] of [
      ['key', { key: newKey() }],
      ['scope[0]', { scope: ['documents.*'] }],
      ['audience[0]', { audience: ['https://other.example.com'] }],
      ['ttl_s', { ttl_s: 601 }],
      ['budget', { budget: { operations: 9 } }],
      ['bounds', { bounds: {} }],
      ['profile', { profile: 'low' }],
      ['runtime_id', { runtime_id: 'bot-2' }],
    ] as const) {
      it(`is refused with another ${field}`, async () => {
        const { status, body } = await renew({ ...grant(key), ...over });
        assert.deepEqual([status, String(body.message).split(':')[0]], [400, field]);
      });
    }

    it('never makes a stale proof fresh', async () => {
      await post('/bot-1/taint', { reason: 'a page said so' });
      assert.deepEqual(await code(renew()), [403, 'taint_stale']);
    });

    it('cannot name the epoch that is to come', async () => {
      const ask = { ...grant(key), taint_epoch: 1 };
      const renewing = renew(ask);
      assert.deepEqual(await code(renewing), [409, 'moved']);
    });

    it('is refused to the killed', async () => {
      await post('/bot-1/kill');
      assert.deepEqual(await code(renew()), [403, 'runtime_killed']);
    });

    it('is refused to the contained', async () => {
      await post('/bot-1/contain');
      assert.deepEqual(await code(renew()), [403, 'runtime_inactive']);
    });

    it('is refused below a revoked link', async () => {
      const { chain } = JSON.parse(Buffer.from(proof, 'base64url').toString());
      await post('/bot-1/revoke', { lemma_id: chain[1].id });
      assert.deepEqual(await code(renew()), [403, 'revoked']);
    });

    it('is refused after the end', async () => {
      control.world.now += 600_000;
      assert.deepEqual(await code(renew()), [401, 'proof_expired']);
    });

    it('is refused to a proof with a budget: it would be given anew', async () => {
      const issued = await post('/issue-proof', { ...grant(key), budget: { operations: 3 } });
      assert.deepEqual(await code(renew(grant(key), { proof: issued.body.header })), [409, 'conflict']);
    });

    it('is bounded in rate', async () => {
      const codes: unknown[] = [];
      for (let i = 0; i < 11; i++) codes.push((await renew()).status);
      assert.deepEqual(codes, [...Array.from({ length: 10 }, () => 200), 429]);
    });
  });

  describe('the list', () => {
    beforeEach(async () => {
      await post('/bootstrap', { ...RUNTIME, runtime_id: 'a', agent_id: 'one' });
      await post('/bootstrap', { ...RUNTIME, runtime_id: 'b', profile: 'high', workspace_id: 'other' });
      await post('/bootstrap', { ...RUNTIME, runtime_id: 'c', subject: SUBJECT });
      await post('/c/kill');
    });
    const ids = async (query: string) =>
      (await get(`?${query}`)).runtimes.map(({ runtime_id }: { runtime_id: string }) => runtime_id);

    for (const [query, expected] of [
      ['status=killed', ['c']],
      ['status=active', ['a', 'b']],
      ['profile=high', ['b']],
      ['agent=one', ['a']],
      ['workspace=other', ['b']],
      [`subject=${SUBJECT}`, ['c']],
      ['status=active&profile=low', ['a']],
    ] as const) {
      it(`filters by ${query.slice(0, 40)}`, async () => assert.deepEqual(await ids(query), expected));
    }

    it('takes no cursor of another question', async () => {
      const { next_cursor } = await get('?limit=1');
      assert.equal((await get(`?limit=1&cursor=${next_cursor}`)).runtimes[0].runtime_id, 'b');
      const answer = await get(`?limit=1&status=active&cursor=${next_cursor}`);
      assert.deepEqual([answer.error, answer.message.split(':')[0]], ['invalid_request', 'cursor']);
    });

    it('takes no cursor that nobody gave', async () => {
      assert.equal(
        (await get(`?cursor=${Buffer.from('0123456789abcdefa').toString('base64url')}`)).error,
        'invalid_request',
      );
    });
  });

  describe('killing below', () => {
    const ofSubject = { ...RUNTIME, runtime_id: 'theirs', subject: SUBJECT };
    beforeEach(async () => {
      await post('/bootstrap', RUNTIME);
      await post('/bootstrap', ofSubject);
    });

    it('a delegator kills all of its runtimes and no other', async () => {
      const { status, body } = await post('/kill', { subject: SUBJECT, reason: 'stolen laptop' });
      assert.deepEqual([status, body.durable, body.runtimes], [200, true, ['theirs']]);
      const states = (await get('')).runtimes.map((r: { runtime_id: string; status: string }) => [
        r.runtime_id,
        r.status,
      ]);
      assert.deepEqual(states, [
        ['bot-1', 'active'],
        ['theirs', 'killed'],
      ]);
    });

    it('keeps who and why', async () => {
      await post('/kill', { subject: SUBJECT, reason: 'stolen laptop' });
      const [kill] = await events('kill');
      const [revoke] = await events('revoke');
      assert.deepEqual(kill?.payload, { runtime_id: 'theirs', reason: 'stolen laptop', by: 'owner' });
      assert.deepEqual(revoke?.payload, {
        kind: 'subject',
        value: SUBJECT,
        reason: 'stolen laptop',
        by: 'owner',
      });
    });

    it('twice gives one kill', async () => {
      await post('/kill', { subject: SUBJECT });
      await post('/kill', { subject: SUBJECT });
      assert.equal((await events('kill')).length, 1);
    });

    it('refuses a new runtime below it, also after a restart', async () => {
      await post('/kill', { subject: SUBJECT });
      assert.deepEqual(await code(post('/bootstrap', { ...ofSubject, runtime_id: 'new' })), [409, 'revoked']);
      const { revocations } = await control.world.store.load();
      assert.deepEqual(revocations, [{ ...HOME, kind: 'subject', value: SUBJECT }]);
    });

    it('a key kills its chains, not the runtime', async () => {
      const key = newKey();
      const { body } = await post('/kill', { key });
      assert.deepEqual([body.enforced, body.runtimes], [true, []]);
      assert.deepEqual(await code(post('/issue-proof', grant(key))), [409, 'revoked']);
    });

    for (const body of [
      {},
      { reason: 'x' },
      { subject: 'did:lemma:ppid_x' },
      { subject: SUBJECT, everything: true },
    ]) {
      it(`needs to know below whom: ${JSON.stringify(body).slice(0, 60)}`, async () => {
        assert.deepEqual(await code(post('/kill', body)), [400, 'invalid_request']);
      });
    }
  });

  describe('taint and approval', () => {
    const key = newKey();
    beforeEach(async () => {
      await post('/bootstrap', RUNTIME);
      await post('/issue-proof', { ...grant(key), ttl_s: 600 });
      await post('/bot-1/taint', { reason: 'a page said so' });
    });

    it('taint raises the epoch, with who and why', async () => {
      const [event] = await events('taint');
      const payload = { runtime_id: 'bot-1', taint_epoch: 1, reason: 'a page said so', by: 'owner' };
      assert.deepEqual([(await get('/bot-1')).runtime.taint_epoch, event?.payload], [1, payload]);
    });

    it('approval at the epoch that was shown gives a short proof for the same key, and what tainted it', async () => {
      const { status, body } = await post('/bot-1/approve', { taint_epoch: 1 });
      const { credential, tainted_by } = body;
      assert.deepEqual(
        [status, credential.key, credential.claims.taint_epoch, credential.expires_at - credential.issued_at],
        [200, key, 1, 900],
      );
      assert.deepEqual(
        tainted_by.map(({ reason }: { reason: string }) => reason),
        ['a page said so'],
      );
    });

    it('approval is void where the epoch moved', async () => {
      await post('/bot-1/taint', { reason: 'another one' });
      assert.deepEqual(await code(post('/bot-1/approve', { taint_epoch: 1 })), [409, 'moved']);
    });

    it('approval needs something to go on from', async () => {
      control.world.now += 1;
      await post('/bootstrap', { ...RUNTIME, runtime_id: 'fresh' });
      assert.deepEqual(await code(post('/fresh/approve', { taint_epoch: 0 })), [409, 'conflict']);
    });

    it('approval is kept with who', async () => {
      await post('/bot-1/approve', { taint_epoch: 1, reason: 'looked at it' });
      const payload = (await events('admin'))
        .map((event) => event.payload)
        .find(({ action }) => action === 'approve');
      assert.deepEqual([payload?.by, payload?.reason, payload?.taint_epoch], ['owner', 'looked at it', 1]);
    });
  });

  describe('containment', () => {
    beforeEach(() => post('/bootstrap', RUNTIME));
    const status = async () => (await get('/bot-1')).runtime.status;

    it('holds until it is resumed', async () => {
      const contained = await post('/bot-1/contain', { reason: 'looking into it' });
      const during = await status();
      await post('/bot-1/resume');
      assert.deepEqual([contained.body.durable, during, await status()], [true, 'inactive', 'active']);
    });

    it('survives a restart', async () => {
      await post('/bot-1/contain');
      assert.equal((await control.world.store.load()).runtimes[0]?.status, 'inactive');
    });

    it('is no way around a kill', async () => {
      await post('/bot-1/kill');
      assert.deepEqual(await code(post('/bot-1/contain')), [409, 'runtime_killed']);
      assert.deepEqual(await code(post('/bot-1/resume')), [409, 'runtime_killed']);
    });

    it('holds for what the file registers, also when it leaves the file and returns', async () => {
      const { authority } = control.world;
      const entry = {
        ...({ ...RUNTIME, ...HOME, runtime_id: 'filed', profile: 'low', keys: null } as const),
        subject: authority.subject,
      };
      authority.registerFromFile([entry]);
      await post('/filed/contain');
      authority.registerFromFile([]);
      authority.registerFromFile([entry]);
      assert.equal((await get('/filed')).runtime.status, 'inactive');
    });

    it('is not resumed for what the file has withdrawn', async () => {
      const { authority } = control.world;
      const entry = {
        ...RUNTIME,
        ...HOME,
        runtime_id: 'filed',
        profile: 'low',
        subject: authority.subject,
        keys: null,
      } as const;
      authority.registerFromFile([entry]);
      authority.registerFromFile([]);
      assert.deepEqual(await code(post('/filed/resume')), [409, 'conflict']);
    });
  });

  describe('reactivation', () => {
    const key = newKey();
    const reason = 'was a false alarm';
    beforeEach(async () => {
      await post('/bootstrap', RUNTIME);
      await post('/issue-proof', grant(key));
    });
    const back = (taint_epoch = 0) => post('/bot-1/reactivate', { taint_epoch, reason });

    it('makes a killed runtime active under the next epoch', async () => {
      await post('/bot-1/kill');
      const { status, body } = await back();
      assert.deepEqual([status, body.runtime.status, body.runtime.taint_epoch], [200, 'active', 1]);
    });

    it('survives a restart, with its fence', async () => {
      await post('/bot-1/kill');
      await back();
      const [runtime] = (await control.world.store.load()).runtimes;
      assert.deepEqual(
        [runtime?.status, runtime?.revived],
        ['active', { taint_epoch: 1, at: control.world.now }],
      );
    });

    it('is void where the epoch moved', async () => {
      await post('/bot-1/kill');
      assert.deepEqual(await code(back(3)), [409, 'moved']);
    });

    it('is for the killed', async () => {
      assert.deepEqual(await code(back()), [409, 'conflict']);
    });

    it('is not for the runtimes of a killed delegator', async () => {
      await post('/kill', { subject: control.world.authority.subject });
      assert.deepEqual(await code(back()), [409, 'revoked']);
    });

    it('gives way to a second kill, which is a new event', async () => {
      const first = await post('/bot-1/kill');
      await back();
      const second = await post('/bot-1/kill');
      assert.ok(second.body.seq > first.body.seq);
      assert.equal((await get('/bot-1')).runtime.status, 'killed');
    });

    it('once for each kill', async () => {
      await post('/bot-1/kill');
      const codes = (await Promise.all([back(), back()])).map(({ status }) => status).sort();
      assert.deepEqual(codes, [200, 409]);
    });

    it('needs a reason', async () => {
      await post('/bot-1/kill');
      const { status, body } = await post('/bot-1/reactivate', { taint_epoch: 0 });
      assert.deepEqual([status, body.message], [400, 'reason: missing']);
    });
  });

  it('shows a runtime with its proofs, budgets, events and delegations', async () => {
    await post('/bootstrap', RUNTIME);
    await post('/issue-proof', { ...grant(newKey()), budget: { operations: 3 } });
    await post('/issue-proof', grant(newKey()));
    const { proofs, delegations, events: shown, tainted_by } = await get('/bot-1');
    assert.deepEqual(
      proofs.map(({ state, by }: { state: string; by: string }) => [state, by]),
      [
        ['current', 'owner'],
        ['current', 'owner'],
      ],
    );
    assert.deepEqual(
      proofs.flatMap(({ budget }: { budget: object | null }) => (budget === null ? [] : [budget])),
      [{ operations: 3, used: 0, remaining: 3, counted_by: 'this_process' }],
    );
    assert.deepEqual(
      [delegations.subject, delegations.below.length, delegations.below[0].below.length],
      [control.world.authority.subject, 1, 2],
    );
    assert.deepEqual(
      [shown.map(({ type }: { type: string }) => type), tainted_by],
      [['register', 'admin', 'admin'], []],
    );
  });

  describe("another organisation's runtime", () => {
    beforeEach(() => {
      const { subject } = control.world.authority;
      control.world.authority.registerFromFile([
        { ...RUNTIME, runtime_id: 'theirs', org: 'other', env: 'prod', profile: 'low', subject, keys: null },
      ]);
    });
    const verbs: readonly [string, object | null][] = [
      ['', null],
      ['/taint', { reason: 'x' }],
      ['/approve', { taint_epoch: 0 }],
      ['/contain', {}],
      ['/resume', {}],
      ['/reactivate', { taint_epoch: 0, reason: 'x' }],
      ['/kill', {}],
    ];
    for (const [verb, payload] of verbs) {
      it(`is told from none by nothing: ${verb || 'show'}`, async () => {
        const answers = await Promise.all(
          ['theirs', 'nobody'].map(async (id) => {
            const url = `${BASE}/${id}${verb}`;
            const response = await call(payload === null ? { url } : { method: 'POST', url, payload });
            const { request_id: _, ...body } = response.json();
            return [response.statusCode, body];
          }),
        );
        assert.equal(answers[0]?.[0], 404);
        assert.deepEqual(answers[0], answers[1]);
      });
    }
  });

  describe('settings', () => {
    const url = (level = 'org') => `/api/wallet/settings/${level}`;
    const put = async (payload: object, level = 'org', headers: Record<string, string> = {}) => {
      const response = await call({ method: 'PUT', url: url(level), payload, headers });
      return { status: response.statusCode, body: response.json(), etag: response.headers.etag };
    };
    const settings = { default_ttl_s: 60, legacy_sunset: '2030-01-01T00:00:00Z' };

    it('are none at first', async () => {
      const { version, settings: found } = (await call({ url: url() })).json();
      assert.deepEqual([version, found], [0, {}]);
    });

    it('are written where the version is still the one that was read', async () => {
      const first = await put({ settings, version: 0 });
      const late = await put({ settings: {}, version: 0 });
      assert.deepEqual([first.status, first.etag, late.status, late.body.error], [200, '"1"', 409, 'moved']);
    });

    it('take the version from If-Match', async () => {
      await put({ settings, version: 0 });
      assert.equal((await put({ settings: {} }, 'org', { 'if-match': '"1"' })).status, 200);
    });

    for (const [name, payload, field] of [
      ['no version', { settings }, 'version'],
      ['an unknown member', { settings: { colour: 'red' }, version: 0 }, 'settings.colour'],
      ['another type', { settings: { default_ttl_s: '60' }, version: 0 }, 'settings.default_ttl_s'],
      [
        'an hour of no clock',
        { settings: { legacy_sunset: '2030-02-28T25:00:00Z' }, version: 0 },
        'settings.legacy_sunset',
      ],
      [
        'a day of no calendar',
        { settings: { legacy_sunset: '2030-02-31T00:00:00Z' }, version: 0 },
        'settings.legacy_sunset',
      ],
    ] as const) {
      it(`refuse ${name}`, async () => {
        const { status, body } = await put(payload);
        assert.deepEqual([status, body.message.split(':')[0]], [400, field]);
      });
    }

    it('of the env go before those of the organisation, for the life of proofs', async () => {
      await put({ settings: { default_ttl_s: 60 }, version: 0 });
      await put({ settings: { default_ttl_s: 30 }, version: 0 }, 'env');
      await post('/bootstrap', RUNTIME);
      const { credential } = (await post('/issue-proof', grant(newKey()))).body;
      assert.equal(credential.expires_at - credential.issued_at, 30);
    });

    it('are kept with who', async () => {
      await put({ settings, version: 0, reason: 'shorter' });
      const [event] = await events('admin');
      assert.deepEqual(
        [event?.payload.action, event?.payload.by, event?.payload.reason],
        ['settings', 'owner', 'shorter'],
      );
    });
  });

  it('each needs a permission of its own', async () => {
    const needed: readonly [string, 'GET' | 'POST' | 'PUT', Permission][] = [
      [`${BASE}/join-tokens`, 'POST', 'runtimes.write'],
      [`${BASE}/kill`, 'POST', 'runtimes.stop'],
      [`${BASE}/bot-1`, 'GET', 'runtimes.read'],
      [`${BASE}/bot-1/taint`, 'POST', 'runtimes.stop'],
      [`${BASE}/bot-1/approve`, 'POST', 'runtimes.approve'],
      [`${BASE}/bot-1/contain`, 'POST', 'runtimes.stop'],
      [`${BASE}/bot-1/resume`, 'POST', 'runtimes.write'],
      [`${BASE}/bot-1/reactivate`, 'POST', 'runtimes.approve'],
      ['/api/wallet/settings/org', 'GET', 'settings.read'],
      ['/api/wallet/settings/org', 'PUT', 'settings.write'],
      ['/api/wallet/policies/history', 'GET', 'policies.read'],
      ['/api/wallet/policies/diff', 'GET', 'policies.read'],
      ['/api/wallet/policies/bundles/{sha256}', 'GET', 'policies.read'],
      ['/api/wallet/policies/publish', 'POST', 'platform.policies'],
      ['/api/wallet/policies/activate', 'POST', 'platform.policies'],
      ['/api/wallet/policies/rollback', 'POST', 'platform.policies'],
    ];
    for (const [url, method, permission] of needed) {
      const may = new Set(PERMISSIONS.filter((one) => one !== permission));
      const by = { kind: 'owner_key', id: null } as const;
      const operator = { id: 'x', ...HOME, may, grants: null, by };
      const limited = await controlWorld({ operators: { authenticate: () => operator } });
      const response = await limited.app.inject({
        method,
        url,
        headers: AUTH,
        ...(method === 'GET' ? {} : { payload: {} }),
      });
      assert.deepEqual(
        [url, response.statusCode, response.json().message],
        [url, 403, `this needs the permission ${permission}`],
      );
      await limited.close();
    }
  });
});
