import assert from 'node:assert/strict';
import { DEVICE_GRANT } from '../../src/schema/api-access.ts';
import { BROWSER, join, person, type SignedIn, signIn } from './people.ts';
import { AUTH, type controlWorld, timedWorld } from './support.ts';

const DEVICE = '/api/auth/device';
const SECOND = 1000;
type Headers = Record<string, string>;

describe('the device flow', () => {
  let control: Awaited<ReturnType<typeof controlWorld>>;
  let time: { now: number };
  let alice: SignedIn;
  beforeEach(async () => {
    ({ control, time } = await timedWorld());
    await join(control.app, person('alice'));
    alice = await signIn(control.app, person('alice'));
  });
  afterEach(() => control.close());

  const post = (url: string, payload: object, headers: Headers = BROWSER) =>
    control.app.inject({ method: 'POST', url, headers, payload });
  const begin = async (scope = 'runtimes.read runtimes.stop') => {
    const response = await post(`${DEVICE}/code`, { client_id: 'lemma on laptop', scope });
    assert.equal(response.statusCode, 200, response.body);
    return response.json() as { device_code: string; user_code: string; interval: number };
  };
  const poll = (device_code: string, over: object = {}) =>
    post(`${DEVICE}/token`, { grant_type: DEVICE_GRANT, device_code, client_id: 'lemma on laptop', ...over });
  const polled = async (device_code: string, over: object = {}) => {
    const response = await poll(device_code, over);
    return [response.statusCode, response.json().error];
  };
  const approve = (user_code: string, over: object = {}, headers: Headers = alice.writing) =>
    post(`${DEVICE}/approve`, { user_code, ...over }, headers);
  const show = (user_code: string, headers: Headers = alice.reading) =>
    control.app.inject({ url: `${DEVICE}?user_code=${user_code}`, headers });

  it('gives a program what was approved, for as long as was said', async () => {
    const { device_code, user_code } = await begin();
    await approve(user_code, { permissions: ['runtimes.read'], hours: 2 });
    const answer = (await poll(device_code)).json();
    assert.match(answer.access_token, /^lm_cs_[\w-]{51}$/);
    assert.deepEqual([answer.token_type, answer.expires_in, answer.scope], ['Bearer', 7200, 'runtimes.read']);
    const ask = async (method: 'GET' | 'POST', url: string) =>
      (
        await control.app.inject({
          method,
          url: `/api/wallet/runtimes${url}`,
          headers: { authorization: `Bearer ${answer.access_token}` },
        })
      ).statusCode;
    const codes = [await ask('GET', ''), await ask('POST', '/bot-1/kill')];
    time.now += 7200 * SECOND;
    assert.deepEqual([...codes, await ask('GET', '')], [200, 403, 401]);
  });

  it('takes forms, as RFC 8628 has them', async () => {
    const form = (url: string, members: Record<string, string>) =>
      control.app.inject({
        method: 'POST',
        url,
        headers: { ...BROWSER, 'content-type': 'application/x-www-form-urlencoded' },
        payload: new URLSearchParams(members).toString(),
      });
    const { device_code } = (await form(`${DEVICE}/code`, { client_id: 'a b&c', scope: '' })).json();
    const answer = await form(`${DEVICE}/token`, {
      grant_type: DEVICE_GRANT,
      device_code,
      client_id: 'a b&c',
    });
    assert.deepEqual([answer.statusCode, answer.json().error], [400, 'authorization_pending']);
  });

  it('takes no form in which a member stands twice, and none elsewhere', async () => {
    const headers = { ...BROWSER, 'content-type': 'application/x-www-form-urlencoded' };
    const ask = (url: string, payload: string) =>
      control.app.inject({ method: 'POST', url, headers, payload });
    const answers = [
      await ask(`${DEVICE}/code`, 'client_id=a&client_id=b'),
      await ask('/api/wallet/session', 'subject=a'),
    ];
    assert.deepEqual(
      answers.map(({ statusCode }) => statusCode),
      [400, 415],
    );
  });

  it('has user codes of eight letters that make no words', async () => {
    const codes = await Promise.all([1, 2, 3, 4].map(() => begin()));
    for (const { user_code } of codes)
      assert.match(user_code, /^[BCDFGHJKLMNPQRSTVWXZ]{4}-[BCDFGHJKLMNPQRSTVWXZ]{4}$/);
    assert.equal(new Set(codes.map(({ user_code }) => user_code)).size, 4);
  });

  it('shows who asks for what, and what the operator cannot give', async () => {
    const { user_code } = await begin('runtimes.read settings.write');
    const { client, asked, lacking } = (await show(user_code)).json();
    assert.deepEqual(
      [client.name, asked, lacking],
      ['lemma on laptop', ['runtimes.read', 'settings.write'], ['settings.write']],
    );
  });

  it('takes the code as people type it', async () => {
    const { device_code, user_code } = await begin();
    await approve(` ${user_code.toLowerCase().replace('-', ' ')}`);
    assert.equal((await poll(device_code)).statusCode, 200);
  });

  it('keeps neither code', async () => {
    const { device_code, user_code } = await begin();
    const { documents } = await control.world.store.listDocuments(
      'device',
      { org: 'acme', env: 'prod' },
      { limit: 10 },
    );
    const kept = JSON.stringify(documents);
    const secrets = [user_code, user_code.replace('-', ''), device_code, device_code.slice(-51)];
    assert.deepEqual(
      secrets.filter((secret) => kept.includes(secret)),
      [],
    );
  });

  describe('answers a poll with', () => {
    it('authorization_pending, before anybody has said anything', async () => {
      const { device_code } = await begin();
      assert.deepEqual(await polled(device_code), [400, 'authorization_pending']);
    });
    it('slow_down for one that comes too soon, and asks for more time from then on', async () => {
      const { device_code } = await begin();
      const codes = [];
      for (const wait of [0, 4, 9, 14, 20]) {
        time.now += wait * SECOND;
        codes.push((await polled(device_code))[1]);
      }
      const [pending, slow] = ['authorization_pending', 'slow_down'];
      assert.deepEqual(codes, [pending, slow, slow, slow, pending]);
    });
    it('access_denied after a no', async () => {
      const { device_code, user_code } = await begin();
      await post(`${DEVICE}/deny`, { user_code }, alice.writing);
      assert.deepEqual(await polled(device_code), [400, 'access_denied']);
    });
    it('access_denied when the operator is gone by then', async () => {
      const { device_code, user_code } = await begin();
      await approve(user_code);
      const [me] = (await control.app.inject({ url: '/api/wallet/operators', headers: AUTH }))
        .json()
        .operators.filter(({ id }: { id: string }) => id !== 'owner');
      await post(`/api/wallet/operators/${me.id}/remove`, {}, AUTH);
      assert.deepEqual(await polled(device_code), [400, 'access_denied']);
    });
    it('expired_token after ten minutes', async () => {
      const { device_code } = await begin();
      time.now += 600 * SECOND;
      assert.deepEqual(await polled(device_code), [400, 'expired_token']);
    });
    it('expired_token for a code that is none, or half another', async () => {
      const [first, second] = [await begin(), await begin()];
      const mixed = first.device_code.slice(0, -51) + second.device_code.slice(-51);
      const answers = await Promise.all(['x', `lm_dc_${'A'.repeat(94)}`, mixed].map((code) => polled(code)));
      assert.deepEqual(answers, Array(3).fill([400, 'expired_token']));
    });
    it('expired_token the second time', async () => {
      const { device_code, user_code } = await begin();
      await approve(user_code);
      const codes = [(await poll(device_code)).statusCode, ...(await polled(device_code))];
      assert.deepEqual(codes, [200, 400, 'expired_token']);
    });
    it('invalid_grant to another client', async () => {
      const { device_code } = await begin();
      assert.deepEqual(await polled(device_code, { client_id: 'other' }), [400, 'invalid_grant']);
    });
    it('unsupported_grant_type for another grant', async () => {
      const { device_code } = await begin();
      const grant_type = 'password';
      assert.deepEqual(await polled(device_code, { grant_type }), [400, 'unsupported_grant_type']);
    });
    it('429 and Retry-After to a flood', async () => {
      let last = await poll('x');
      for (let i = 0; i < 80 && last.statusCode !== 429; i += 1) last = await poll('x');
      assert.deepEqual([last.statusCode, last.json().error], [429, 'rate_limited']);
      assert.match(String(last.headers['retry-after']), /^[1-9]\d*$/);
    });
    it('what it would have given, also after a page of another site asked again and again', async () => {
      const { device_code } = await begin();
      const headers = { ...BROWSER, origin: 'https://evil.example', 'sec-fetch-site': 'cross-site' };
      const codes = new Set<number>();
      for (let i = 0; i < 100; i += 1)
        for (const url of [`${DEVICE}/token`, `${DEVICE}/code`])
          codes.add((await post(url, {}, headers)).statusCode);
      assert.deepEqual([[...codes], await polled(device_code)], [[403], [400, 'authorization_pending']]);
    });
  });

  describe('approves', () => {
    it('nothing that the operator lacks', async () => {
      const { user_code } = await begin('settings.write');
      const response = await approve(user_code);
      assert.deepEqual([response.statusCode, response.json().error], [403, 'forbidden']);
    });
    it('nothing that was not asked for', async () => {
      const { user_code } = await begin('runtimes.read');
      assert.equal((await approve(user_code, { permissions: ['runtimes.stop'] })).statusCode, 403);
    });
    it('only what the operator names, where the program asked for nothing', async () => {
      const { user_code } = await begin('');
      const codes = [
        (await approve(user_code)).statusCode,
        (await approve(user_code, { permissions: ['runtimes.read'] })).statusCode,
      ];
      assert.deepEqual(codes, [400, 200]);
    });
    it('once', async () => {
      const { user_code } = await begin();
      const codes = [(await approve(user_code)).statusCode, (await approve(user_code)).statusCode];
      assert.deepEqual(codes, [200, 404]);
    });
    it('not by an API key, which may be a program itself', async () => {
      const made = await post('/api/wallet/api-keys', { name: 'ci', permissions: ['runtimes.read'] }, AUTH);
      const { user_code } = await begin('runtimes.read');
      const response = await approve(user_code, {}, { 'x-api-key': made.json().token });
      assert.deepEqual([response.statusCode, response.json().error], [403, 'forbidden']);
    });
    it('not by a page of another site', async () => {
      const { user_code } = await begin();
      const headers = { ...alice.writing, origin: 'https://evil.example' };
      assert.equal((await approve(user_code, {}, headers)).statusCode, 403);
    });
  });

  it('lets an operator guess a few codes, then waits', async () => {
    const codes = [];
    for (let i = 0; i < 11; i += 1) codes.push((await show('BCDFGHJK')).statusCode);
    assert.deepEqual(codes, [...Array(10).fill(404), 429]);
  });

  it('gives out a few codes to one address, then waits', async () => {
    const ask = () => post(`${DEVICE}/code`, { client_id: 'x' });
    const codes = [];
    for (let i = 0; i < 11; i += 1) codes.push((await ask()).statusCode);
    assert.deepEqual(codes, [...Array(10).fill(200), 429]);
  });

  it('knows no permission by another name', async () => {
    const response = await post(`${DEVICE}/code`, { client_id: 'x', scope: 'runtimes.read everything' });
    assert.deepEqual(
      [response.statusCode, response.json().message],
      [400, 'scope: no permission is called everything'],
    );
  });

  it('has its token listed and revoked as a key is', async () => {
    const { device_code, user_code } = await begin();
    await approve(user_code);
    const { access_token } = (await poll(device_code)).json();
    const keys = (await control.app.inject({ url: '/api/wallet/api-keys', headers: AUTH })).json().api_keys;
    await post(`/api/wallet/api-keys/${keys[0].id}/revoke`, {}, AUTH);
    const headers = { authorization: `Bearer ${access_token}` };
    const after = await control.app.inject({ url: '/api/wallet/runtimes', headers });
    assert.deepEqual([keys.length, keys[0].kind, after.statusCode], [1, 'device', 401]);
  });
});
