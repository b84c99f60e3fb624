import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type IncomingMessage, request } from 'node:http';
import { listen } from '../../src/server/http.ts';
import { AUTH, controlWorld } from './support.ts';

const BASE = '/api/wallet/api-keys';

describe('API keys', () => {
  let control: Awaited<ReturnType<typeof controlWorld>>;
  beforeEach(async () => {
    control = await controlWorld();
  });
  afterEach(() => control.close());

  const make = async (permissions: readonly string[], over: object = {}) => {
    const payload = { name: 'ci', permissions, ...over };
    const response = await control.app.inject({ method: 'POST', url: BASE, headers: AUTH, payload });
    assert.equal(response.statusCode, 200, response.body);
    return response.json();
  };
  const get = (url: string, headers: Record<string, string>) => control.app.inject({ url, headers });
  const runtimes = '/api/wallet/runtimes';

  it('open what they were made for, as X-API-Key and as Bearer', async () => {
    const { token } = await make(['runtimes.read']);
    const answers = await Promise.all([
      get(runtimes, { 'x-api-key': token }),
      get(runtimes, { authorization: `Bearer ${token}` }),
    ]);
    assert.deepEqual(
      answers.map(({ statusCode }) => statusCode),
      [200, 200],
    );
  });

  it('open nothing else', async () => {
    const { token } = await make(['runtimes.read']);
    const response = await get(`${runtimes}/decisions`, { 'x-api-key': token });
    assert.deepEqual([response.statusCode, response.json().error], [403, 'forbidden']);
  });

  it('are not kept, only their digests', async () => {
    const { token, api_key } = await make(['runtimes.read']);
    const kept = JSON.stringify(await control.world.store.getDocument('api_key', api_key.id));
    assert.equal(kept.includes(token.slice(api_key.prefix.length)), false);
  });

  it('are listed without their secrets', async () => {
    const { api_key } = await make(['runtimes.read']);
    assert.deepEqual((await get(BASE, AUTH)).json().api_keys, [api_key]);
  });

  it('tell when they were used', async () => {
    const { token } = await make(['runtimes.read']);
    await get(runtimes, { 'x-api-key': token });
    const [key] = (await get(BASE, AUTH)).json().api_keys;
    assert.notEqual(key.last_used_at, null);
  });

  it('end when they are revoked', async () => {
    const { token, api_key } = await make(['runtimes.read']);
    const url = `${BASE}/${api_key.id}/revoke`;
    const revoked = await control.app.inject({ method: 'POST', url, headers: AUTH });
    const after = await get(runtimes, { 'x-api-key': token });
    assert.deepEqual([revoked.statusCode, after.statusCode, after.json().error], [200, 401, 'auth_required']);
  });

  it('end for a request, too, that holds its body back', async () => {
    const { token, api_key } = await make(['runtimes.stop']);
    const server = await listen(control.app, '127.0.0.1:0', 'listen.control');
    const asked = request(`http://${server.address}${runtimes}/bot-1/kill`, {
      ...{ method: 'POST', agent: false },
      headers: { 'x-api-key': token, 'content-type': 'application/json', 'content-length': 2 },
    });
    asked.write('{');
    const used = async () => (await get(BASE, AUTH)).json().api_keys[0].last_used_at;
    while ((await used()) === null);
    await control.app.inject({ method: 'POST', url: `${BASE}/${api_key.id}/revoke`, headers: AUTH });
    const answered = once(asked, 'response');
    asked.end('}');
    const [response] = (await answered) as [IncomingMessage];
    response.resume();
    await server.close();
    assert.equal(response.statusCode, 401);
  });

  it('are never given what makes more of them', async () => {
    const payload = { name: 'ci', permissions: ['api_keys.write'] };
    const response = await control.app.inject({ method: 'POST', url: BASE, headers: AUTH, payload });
    assert.deepEqual([response.statusCode, response.json().error], [403, 'forbidden']);
  });

  it('do not go with an Authorization header', async () => {
    const { token } = await make(['runtimes.read']);
    assert.equal((await get(runtimes, { ...AUTH, 'x-api-key': token })).statusCode, 401);
  });

  describe('that are guessed', () => {
    const guess = (n: number) => get(runtimes, { 'x-api-key': `lm_ak_${String(n).padStart(51, 'A')}` });
    const flood = async () => {
      for (let n = 0; n < 30; n += 1) assert.equal((await guess(n)).statusCode, 401);
    };

    it('are 429 with Retry-After after some', async () => {
      await flood();
      const response = await guess(31);
      assert.deepEqual(
        [response.statusCode, response.json().error, response.headers['retry-after']],
        [429, 'rate_limited', '1'],
      );
    });

    it('shut out neither the owner nor a key that is one', async () => {
      const { token } = await make(['runtimes.read']);
      await flood();
      const answers = await Promise.all([get(runtimes, AUTH), get(runtimes, { 'x-api-key': token })]);
      assert.deepEqual(
        answers.map(({ statusCode }) => statusCode),
        [200, 200],
      );
    });

    it('are as few when they come at once', async () => {
      const answers = await Promise.all(Array.from({ length: 60 }, (_, n) => guess(n)));
      const looked = answers.filter(({ statusCode }) => statusCode === 401);
      assert.ok(looked.length >= 30 && looked.length < 60, String(looked.length));
    });

    it('are no better for having been keys once', async () => {
      const { token, api_key } = await make(['runtimes.read']);
      await control.app.inject({ method: 'POST', url: `${BASE}/${api_key.id}/revoke`, headers: AUTH });
      const codes = new Set<number>();
      for (let n = 0; n < 32; n += 1) codes.add((await get(runtimes, { 'x-api-key': token })).statusCode);
      assert.deepEqual([...codes], [401, 429]);
    });
  });
});
