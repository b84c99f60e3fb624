import assert from 'node:assert/strict';
import { StoreWriteError } from '../../src/store/errors.ts';
import { RUNTIME } from '../authority/support.ts';
import { join, person, signIn } from './people.ts';
import { AUTH, accessOf, controlWorld, timedWorld } from './support.ts';

const AUDIT = '/api/wallet/audit';
const RUNTIMES = '/api/wallet/runtimes';

describe('the audit trail', () => {
  let control: Awaited<ReturnType<typeof controlWorld>>;
  let time: { now: number };
  beforeEach(async () => {
    ({ control, time } = await timedWorld());
  });
  afterEach(() => control.close());

  const post = (url: string, payload: object = {}, headers: Record<string, string> = AUTH) =>
    control.app.inject({ method: 'POST', url, headers, payload });
  const trail = async (query = '') =>
    (await control.app.inject({ url: `${AUDIT}${query}`, headers: AUTH })).json();

  it('says who did what to what, when, in which request, and how it ended', async () => {
    await post(`${RUNTIMES}/bootstrap`, RUNTIME);
    const killed = await post(`${RUNTIMES}/bot-1/kill`);
    const [latest] = (await trail()).entries;
    const { id, ...entry } = latest;
    assert.match(id, /^aud_/);
    assert.deepEqual(entry, {
      who: { operator_id: 'owner', by: { kind: 'owner_key', id: null } },
      what: 'kill',
      target: 'bot-1',
      time: new Date(time.now).toISOString(),
      request_id: killed.headers['x-request-id'],
      outcome: 'done',
    });
  });

  it('names the key or the session, not only the operator', async () => {
    const made = (await post('/api/wallet/api-keys', { name: 'ci', permissions: ['runtimes.stop'] })).json();
    await post(`${RUNTIMES}/none/kill`, {}, { 'x-api-key': made.token });
    const [latest] = (await trail()).entries;
    assert.deepEqual(latest.who, { operator_id: 'owner', by: { kind: 'api_key', id: made.api_key.id } });
  });

  it('keeps what was refused, and as what', async () => {
    await join(control.app, person('a'), { role: 'auditor' });
    const { writing } = await signIn(control.app, person('a'));
    await post(`${RUNTIMES}/bot-1/kill`, {}, writing);
    await post(`${RUNTIMES}/none/kill`);
    const outcomes = (await trail('?limit=2')).entries.map(({ outcome }: { outcome: string }) => outcome);
    assert.deepEqual(outcomes, ['not_found', 'forbidden']);
  });

  it('cannot be filled by somebody who may do nothing', async () => {
    await join(control.app, person('a'), { role: 'auditor' });
    const { writing } = await signIn(control.app, person('a'));
    const codes = [];
    for (let i = 0; i < 61; i += 1)
      codes.push((await post(`${RUNTIMES}/bot-1/kill`, {}, writing)).statusCode);
    assert.deepEqual(codes, [...Array(60).fill(403), 429]);
  });

  it('keeps sign-ins', async () => {
    const { id } = await join(control.app, person('a'));
    const { session } = await signIn(control.app, person('a'));
    const [latest] = (await trail()).entries;
    assert.deepEqual([latest.what, latest.target, latest.who.operator_id], ['signIn', session, id]);
  });

  it('keeps nothing of what is only read, or of strangers', async () => {
    await control.app.inject({ url: RUNTIMES, headers: AUTH });
    await post(`${RUNTIMES}/bot-1/kill`, {}, {});
    assert.deepEqual((await trail()).entries, []);
  });

  it('keeps nothing of what a node asks each second, or a resource server for each request', async () => {
    const process = { node: 'n1', instance: 'A'.repeat(22) };
    const lease = { ...process, nonce: 'B'.repeat(22), epoch: 1, seq: 0, version: '1' };
    assert.equal((await post('/api/wallet/nodes/lease', lease)).statusCode, 200);
    assert.equal((await post('/api/auth/introspect', { token: 'lm_at_none' })).statusCode, 200);
    assert.deepEqual((await trail()).entries, []);
  });

  it('keeps who asked in the place of a node and may not', async () => {
    await join(control.app, person('a'), { role: 'auditor' });
    const { writing } = await signIn(control.app, person('a'));
    await post('/api/wallet/nodes/lease', {}, writing);
    const [latest] = (await trail()).entries;
    assert.deepEqual([latest.what, latest.outcome], ['nodeLease', 'forbidden']);
  });

  it('keeps no secret of a request', async () => {
    const made = await post('/api/wallet/api-keys', { name: 'ci', permissions: ['runtimes.read'] });
    assert.equal(JSON.stringify(await trail()).includes(made.json().token), false);
  });

  it('is read page by page, the latest first, also within one moment', async () => {
    for (const id of ['a', 'b', 'c', 'd', 'e']) await post(`${RUNTIMES}/${id}/kill`);
    const first = await trail('?limit=2');
    time.now += 1;
    await post(`${RUNTIMES}/f/kill`);
    const second = await trail(`?limit=2&cursor=${first.next_cursor}`);
    const third = await trail(`?limit=2&cursor=${second.next_cursor}`);
    const targets = [first, second, third].map(({ entries }) =>
      entries.map(({ target }: { target: string }) => target),
    );
    assert.deepEqual([targets, third.next_cursor], [[['e', 'd'], ['c', 'b'], ['a']], null]);
  });

  for (const [name, change] of [
    ['that was altered', (cursor: string) => `${cursor.slice(0, -1)}${cursor.endsWith('A') ? 'B' : 'A'}`],
    ['of our own making', () => Buffer.from('aud_0').toString('base64url')],
  ] as const) {
    it(`takes no cursor ${name}`, async () => {
      for (const id of ['a', 'b']) await post(`${RUNTIMES}/${id}/kill`);
      const { next_cursor } = await trail('?limit=1');
      assert.equal((await trail(`?cursor=${change(next_cursor)}`)).error, 'invalid_request');
    });
  }

  it('takes no cursor of another list', async () => {
    for (const id of ['a', 'b']) await join(control.app, person(id));
    const list = await control.app.inject({ url: '/api/wallet/operators?limit=1', headers: AUTH });
    assert.equal((await trail(`?cursor=${list.json().next_cursor}`)).error, 'invalid_request');
  });

  it('forgets what is older than the decision log keeps', async () => {
    await post(`${RUNTIMES}/a/kill`);
    time.now += 86_400_000;
    assert.deepEqual((await trail()).entries, []);
  });

  it('that cannot be written keeps no kill from its answer, and is in the operational log', async () => {
    await control.close();
    control = await controlWorld({}, (world) => {
      const access = accessOf(world);
      const append = () => Promise.reject(new StoreWriteError('SQLITE_FULL', 'full'));
      return { access: { ...access, audit: { ...access.audit, append } } };
    });
    await post(`${RUNTIMES}/bootstrap`, RUNTIME);
    const killed = await post(`${RUNTIMES}/bot-1/kill`);
    const lost = control.lines().filter((line) => line.includes('not in the audit trail'));
    assert.deepEqual([killed.statusCode, lost.length], [200, 2]);
    assert.match(lost[1] ?? '', /"what":"kill","target":"bot-1"/);
  });
});
