import assert from 'node:assert/strict';
import { StoreWriteError } from '../../src/store/errors.ts';
import { askToSignIn, BROWSER, headersOf, join, ORIGIN, person, secretIn, signIn } from './people.ts';
import { AUTH, accessOf, controlWorld, timedWorld } from './support.ts';

const MINUTE = 60_000;
const RUNTIMES = '/api/wallet/runtimes';
const SESSION = '/api/wallet/session';

describe('a session', () => {
  let control: Awaited<ReturnType<typeof controlWorld>>;
  let time: { now: number };
  const alice = person('alice');
  beforeEach(async () => {
    ({ control, time } = await timedWorld());
  });
  afterEach(() => control.close());

  const get = (url: string, headers: Record<string, string>) => control.app.inject({ url, headers });
  const post = (url: string, headers: Record<string, string>, payload: object = {}) =>
    control.app.inject({ method: 'POST', url, headers, payload });
  const kill = (headers: Record<string, string>) => post(`${RUNTIMES}/bot-1/kill`, headers);

  it('begins with a signature of a site key, and opens what its operator may do', async () => {
    await join(control.app, alice);
    const { reading } = await signIn(control.app, alice);
    assert.equal((await get(RUNTIMES, reading)).statusCode, 200);
  });

  it('has a cookie that only this host can set, and no script can read', async () => {
    await join(control.app, alice);
    const response = await askToSignIn(control.app, alice);
    assert.match(
      String(response.headers['set-cookie']),
      /^__Host-lemma-session=[\w-]{51}; Path=\/; HttpOnly; Secure; SameSite=Strict; Max-Age=43200$/,
    );
  });

  it('is open to the owner of the deployment by the wallet that it was made with', async () => {
    const { keys } = control.world;
    const { operatorSeed, subjectOf } = await import('../../src/proof/ppid.ts');
    const { publicKeyOf } = await import('#runtime');
    const seed = operatorSeed(keys.rootSecret, 'localhost', 0);
    const key = Buffer.from(publicKeyOf(seed)).toString('base64url');
    const response = await askToSignIn(control.app, {
      seed,
      key,
      subject: subjectOf(keys.rootSecret, 'localhost'),
    });
    assert.equal(response.json().operator.id, 'owner');
  });

  it('is kept as a digest', async () => {
    await join(control.app, alice);
    const { secret } = await signIn(control.app, alice);
    const { documents } = await control.world.store.listDocuments(
      'session',
      { org: 'acme', env: 'prod' },
      { limit: 10 },
    );
    assert.deepEqual([documents.length, JSON.stringify(documents).includes(secret)], [1, false]);
  });

  describe('is refused', () => {
    const refused = async (...args: [signed?: object, sent?: object, headers?: object]) => {
      const response = await askToSignIn(control.app, alice, ...args);
      assert.equal(response.headers['set-cookie'], undefined);
      return [response.statusCode, response.json().error];
    };
    beforeEach(() => join(control.app, alice));

    it('to a stranger', async () => {
      const response = await askToSignIn(control.app, person('mallory'));
      assert.deepEqual([response.statusCode, response.json().error], [401, 'auth_required']);
    });
    it("to a stranger in an operator's name", async () => {
      const { seed, key } = person('mallory');
      const response = await askToSignIn(control.app, { ...alice, seed, key });
      assert.equal(response.statusCode, 401);
    });
    for (const [name, signed] of [
      ['another site', { origin: 'https://evil.example' }],
      ['another organisation', { org: 'other' }],
      ['another env', { env: 'test' }],
      ['another expiry', { expires_at: 1 }],
      ['another challenge', { challenge: 'AAAA' }],
    ] as const) {
      it(`for a signature over ${name}`, async () => {
        assert.deepEqual(await refused(signed), [401, 'auth_required']);
      });
    }
    it('for a challenge of our own making', async () => {
      const challenge = Buffer.alloc(56, 1).toString('base64url');
      assert.deepEqual(await refused({ challenge }, { challenge }), [401, 'auth_required']);
    });
    it('in an organisation where one is nobody', async () => {
      assert.deepEqual(await refused({ org: 'other' }, { org: 'other' }), [401, 'auth_required']);
    });
    it('from a page of another site', async () => {
      assert.deepEqual(await refused({}, {}, { origin: 'https://evil.example' }), [403, 'forbidden']);
    });
    it('by a name that is not of this machine', async () => {
      const response = await post(`${SESSION}/challenge`, { host: 'rebound.example:8080' });
      assert.deepEqual([response.statusCode, response.json().error], [403, 'forbidden']);
    });

    it('the second time with one challenge', async () => {
      const given = (await post(`${SESSION}/challenge`, BROWSER)).json();
      const same = { challenge: given.challenge, expires_at: given.expires_at };
      const sent = { challenge: given.challenge };
      const codes = [];
      for (let i = 0; i < 2; i += 1)
        codes.push((await askToSignIn(control.app, alice, same, sent)).statusCode);
      assert.deepEqual(codes, [200, 401]);
    });

    it('for all but one of those who answer a challenge at once', async () => {
      const given = (await post(`${SESSION}/challenge`, BROWSER)).json();
      const same = { challenge: given.challenge, expires_at: given.expires_at };
      const all = await Promise.all(
        [1, 2, 3].map(() => askToSignIn(control.app, alice, same, { challenge: given.challenge })),
      );
      assert.deepEqual(all.map(({ statusCode }) => statusCode).sort(), [200, 401, 401]);
    });

    it('once the challenge has expired', async () => {
      const given = (await post(`${SESSION}/challenge`, BROWSER)).json();
      time.now = given.expires_at * 1000;
      const { challenge, expires_at } = given;
      const response = await askToSignIn(control.app, alice, { challenge, expires_at }, { challenge });
      assert.equal(response.statusCode, 401);
    });
  });

  describe('takes nothing from another site:', () => {
    let writing: Record<string, string>;
    let reading: Record<string, string>;
    beforeEach(async () => {
      await join(control.app, alice);
      ({ writing, reading } = await signIn(control.app, alice));
    });
    const without = (headers: Record<string, string>, name: string) =>
      Object.fromEntries(Object.entries(headers).filter(([key]) => key !== name));

    it('what is right passes', async () => assert.equal((await kill(writing)).statusCode, 404));
    for (const name of ['x-csrf-token', 'origin'])
      it(`no ${name} is 403`, async () => {
        assert.equal((await kill(without(writing, name))).statusCode, 403);
      });
    for (const [name, value] of [
      ['x-csrf-token', 'A'.repeat(43)],
      ['x-csrf-token', ''],
      ['origin', 'http://localhost:9999'],
      ['origin', 'null'],
      ['sec-fetch-site', 'same-site'],
      ['sec-fetch-site', 'cross-site'],
      ['sec-fetch-site', 'none'],
    ] as const) {
      it(`${name} "${value}" is 403`, async () => {
        assert.equal((await kill({ ...writing, [name]: value })).statusCode, 403);
      });
    }
    it("another session's token is 403", async () => {
      const other = await signIn(control.app, alice);
      const token = other.writing['x-csrf-token'] ?? '';
      assert.equal((await kill({ ...writing, 'x-csrf-token': token })).statusCode, 403);
    });
    it('a cross-site read is 403, the address bar is not', async () => {
      const codes = await Promise.all(
        ['cross-site', 'none'].map((from) => get(RUNTIMES, { ...reading, 'sec-fetch-site': from })),
      );
      assert.deepEqual(
        codes.map(({ statusCode }) => statusCode),
        [403, 200],
      );
    });
    it('two cookies of its name are none', async () => {
      const cookie = `${reading.cookie}; ${reading.cookie}`;
      assert.equal((await get(RUNTIMES, { ...reading, cookie })).statusCode, 401);
    });
  });

  describe('ends', () => {
    it('after half an hour in which nobody asked', async () => {
      await join(control.app, alice);
      const { reading } = await signIn(control.app, alice);
      time.now += 30 * MINUTE;
      assert.equal((await get(RUNTIMES, reading)).statusCode, 401);
    });

    it('after twelve hours, whatever was asked', async () => {
      await join(control.app, alice);
      let { secret, writing } = await signIn(control.app, alice);
      const csrf = writing['x-csrf-token'] ?? '';
      const codes = new Set<number>();
      for (let passed = 0; passed < 720; passed += 10) {
        const response = await get(RUNTIMES, headersOf(secret, csrf).reading);
        codes.add(response.statusCode);
        if (response.headers['set-cookie'] !== undefined) secret = secretIn(response.headers['set-cookie']);
        time.now += 10 * MINUTE;
      }
      codes.add((await get(RUNTIMES, headersOf(secret, csrf).reading)).statusCode);
      assert.deepEqual([...codes], [200, 401]);
    });

    it('when its operator is removed', async () => {
      const { id } = await join(control.app, alice);
      const { reading } = await signIn(control.app, alice);
      await post(`/api/wallet/operators/${id}/remove`, AUTH);
      assert.equal((await get(RUNTIMES, reading)).statusCode, 401);
    });

    it('when the key that signed in is replaced', async () => {
      const { id } = await join(control.app, alice);
      const { reading } = await signIn(control.app, alice);
      await post(`/api/wallet/operators/${id}`, AUTH, { keys: [person('alice', 'localhost', 1).key] });
      assert.equal((await get(RUNTIMES, reading)).statusCode, 401);
    });

    it('when it is signed out, and clears the cookie', async () => {
      await join(control.app, alice);
      const { reading, writing } = await signIn(control.app, alice);
      const out = await post(`${SESSION}/sign-out`, writing);
      assert.match(String(out.headers['set-cookie']), /^__Host-lemma-session=; .*Max-Age=0$/);
      assert.equal((await get(RUNTIMES, reading)).statusCode, 401);
    });

    it('when another one of the same browser begins', async () => {
      await join(control.app, alice);
      const { reading } = await signIn(control.app, alice);
      await askToSignIn(control.app, alice, {}, {}, { cookie: reading.cookie });
      assert.equal((await get(RUNTIMES, reading)).statusCode, 401);
    });

    it('when it is revoked by an owner, under its present secret too', async () => {
      await join(control.app, alice);
      const { reading, session } = await signIn(control.app, alice);
      time.now += 16 * MINUTE;
      const renewed = secretIn((await get(RUNTIMES, reading)).headers['set-cookie']);
      await post(`/api/wallet/sessions/${session}/revoke`, AUTH);
      const codes = await Promise.all([
        get(RUNTIMES, reading),
        get(RUNTIMES, headersOf(renewed, '').reading),
      ]);
      assert.deepEqual(
        codes.map(({ statusCode }) => statusCode),
        [401, 401],
      );
    });
  });

  describe('changes its secret every quarter of an hour', () => {
    const renew = async () => {
      await join(control.app, alice);
      const { reading, writing, session } = await signIn(control.app, alice);
      time.now += 15 * MINUTE;
      const response = await get(RUNTIMES, reading);
      const secret = secretIn(response.headers['set-cookie']);
      return { reading, session, next: headersOf(secret, writing['x-csrf-token'] ?? '') };
    };

    it('and stays the same session, with the same CSRF token', async () => {
      const { next, session } = await renew();
      assert.equal((await kill(next.writing)).statusCode, 404);
      assert.equal((await get(SESSION, next.reading)).json().session.id, session);
    });
    it('and takes the old one for what was under way', async () => {
      const { reading } = await renew();
      assert.equal((await get(RUNTIMES, reading)).statusCode, 200);
    });
    it('and no longer than that', async () => {
      const { reading, next } = await renew();
      time.now += 30_000;
      const codes = [
        (await get(RUNTIMES, reading)).statusCode,
        (await get(RUNTIMES, next.reading)).statusCode,
      ];
      assert.deepEqual(codes, [401, 200]);
    });
    it('unless the store cannot write, and opens everything still', async () => {
      await control.close();
      const errors: unknown[] = [];
      const clock = () => time.now;
      let full = false;
      control = await controlWorld(
        {},
        (world) => {
          const putDocument: typeof world.store.putDocument = (document) =>
            full
              ? Promise.reject(new StoreWriteError('SQLITE_FULL', 'full'))
              : world.store.putDocument(document);
          const store = { ...world.store, putDocument };
          return { access: accessOf({ ...world, store }, clock, (error) => errors.push(error)) };
        },
        clock,
      );
      await join(control.app, alice);
      const { reading } = await signIn(control.app, alice);
      time.now += 15 * MINUTE;
      full = true;
      const response = await get(RUNTIMES, reading);
      assert.deepEqual(
        [response.statusCode, response.headers['set-cookie'], errors.length],
        [200, undefined, 1],
      );
    });
    it('once, however many ask at once', async () => {
      await join(control.app, alice);
      const { reading } = await signIn(control.app, alice);
      time.now += 15 * MINUTE;
      const all = await Promise.all([1, 2, 3, 4].map(() => get(RUNTIMES, reading)));
      const renewed = all.filter(({ headers }) => headers['set-cookie'] !== undefined);
      assert.deepEqual([all.map(({ statusCode }) => statusCode), renewed.length], [[200, 200, 200, 200], 1]);
    });
  });

  describe('lists', () => {
    it('show an operator his own, and the owner those of all', async () => {
      const bob = person('bob');
      await join(control.app, alice);
      await join(control.app, bob);
      const a = await signIn(control.app, alice);
      const b = await signIn(control.app, bob);
      const ids = async (headers: Record<string, string>) =>
        (await get('/api/wallet/sessions', headers))
          .json()
          .sessions.map(({ id }: { id: string }) => id)
          .sort();
      assert.deepEqual([await ids(a.reading), await ids(AUTH)], [[a.session], [a.session, b.session].sort()]);
    });

    it('do not let one operator end the session of another, or tell that it is there', async () => {
      const bob = person('bob');
      await join(control.app, alice);
      await join(control.app, bob);
      const a = await signIn(control.app, alice);
      const b = await signIn(control.app, bob);
      const answers = await Promise.all(
        [b.session, `ses_${'A'.repeat(22)}`].map((id) =>
          post(`/api/wallet/sessions/${id}/revoke`, a.writing),
        ),
      );
      const bodies = answers.map((answer) => ({ ...answer.json(), request_id: '' }));
      assert.deepEqual([answers[0]?.statusCode, bodies[0]], [404, bodies[1]]);
    });
  });

  describe('is asked for again and again', () => {
    const mallory = person('mallory');
    const flood = async (times: number, headers: Record<string, string> = {}) => {
      let last = await askToSignIn(control.app, mallory, {}, {}, headers);
      for (let i = 1; i < times; i += 1) last = await askToSignIn(control.app, mallory, {}, {}, headers);
      return last;
    };

    it('by a stranger: 429 with Retry-After, while kills and decisions go on', async () => {
      await join(control.app, alice);
      const { writing } = await signIn(control.app, alice);
      const last = await flood(25);
      assert.deepEqual([last.statusCode, last.json().error], [429, 'rate_limited']);
      assert.match(String(last.headers['retry-after']), /^[1-9]\d*$/);
      assert.deepEqual([(await kill(AUTH)).statusCode, (await kill(writing)).statusCode], [404, 404]);
    });

    it('by a stranger at the address of an operator who was here before: he signs in still', async () => {
      await join(control.app, alice);
      await signIn(control.app, alice);
      await flood(25);
      assert.equal((await askToSignIn(control.app, alice)).statusCode, 200);
    });

    it("in his name by a stranger who lacks his key: that counts as the stranger's", async () => {
      await join(control.app, alice);
      await signIn(control.app, alice);
      for (let i = 0; i < 25; i += 1) await askToSignIn(control.app, { ...alice, key: mallory.key });
      assert.equal((await askToSignIn(control.app, alice)).statusCode, 200);
    });

    it("by the operator himself: he uses up his own, and nobody else's", async () => {
      const bob = person('bob');
      await join(control.app, alice);
      await join(control.app, bob);
      let last = await askToSignIn(control.app, alice);
      for (let i = 0; i < 25; i += 1) last = await askToSignIn(control.app, alice);
      assert.deepEqual([last.statusCode, (await askToSignIn(control.app, bob)).statusCode], [429, 200]);
    });

    for (const [who, headers] of [
      ['another site', { origin: 'https://evil.example', 'sec-fetch-site': 'cross-site' }],
      ['another port of this machine', { origin: 'http://localhost:9999', 'sec-fetch-site': 'same-site' }],
      ['a sandbox', { origin: 'null', 'sec-fetch-site': 'cross-site' }],
    ] as const) {
      it(`by a page of ${who}: it counts for nothing`, async () => {
        await join(control.app, alice);
        const codes = new Set<number>();
        for (let i = 0; i < 300; i += 1)
          for (const path of ['/challenge', ''])
            codes.add((await post(`${SESSION}${path}`, { ...BROWSER, ...headers })).statusCode);
        assert.deepEqual([[...codes], (await askToSignIn(control.app, alice)).statusCode], [[403], 200]);
      });
    }

    it('with challenges that are not of here: it counts for nothing', async () => {
      await join(control.app, alice);
      const challenge = Buffer.alloc(56, 1).toString('base64url');
      for (let i = 0; i < 300; i += 1) await askToSignIn(control.app, mallory, {}, { challenge });
      assert.equal((await askToSignIn(control.app, alice)).statusCode, 200);
    });
  });

  it('names its site by public_url where there is one', async () => {
    await control.close();
    control = await controlWorld({ publicUrl: 'https://lemma.example.com' });
    const headers = { host: 'lemma.example.com', origin: 'https://lemma.example.com' };
    const right = await post(`${SESSION}/challenge`, headers);
    const wrong = await post(`${SESSION}/challenge`, { ...headers, origin: ORIGIN });
    assert.deepEqual([right.json().origin, wrong.statusCode], ['https://lemma.example.com', 403]);
  });
});
