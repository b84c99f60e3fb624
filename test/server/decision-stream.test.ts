import assert from 'node:assert/strict';
import { HOME } from '../authority/support.ts';
import { recordBody } from '../decision-log/fixture.ts';
import { DECISIONS, type FeedWorld, feedWorld, type OpenStream, openStream } from './feed-support.ts';
import { join, person, signIn } from './people.ts';
import { CURSORS } from './support.ts';

const STREAM = `${DECISIONS}/stream`;
const isDecision = ({ event }: { event: string | null }) => event === 'decision';

describe('the live decision feed', () => {
  let world: FeedWorld;
  const streams: OpenStream[] = [];
  const start = async (...args: Parameters<typeof feedWorld>) => {
    world = await feedWorld(...args);
  };
  const open = async (path = STREAM, headers: Record<string, string> = {}) => {
    const stream = await world.open(path, headers);
    streams.push(stream);
    return stream;
  };
  afterEach(async () => {
    for (const stream of streams.splice(0)) stream.close();
    await world.close();
  });

  it('shows each decision as it is stored, from now on', async () => {
    await start();
    await world.decide(1);
    const stream = await open();
    assert.equal(stream.response.headers['content-type'], 'text/event-stream');
    await stream.next();
    const [id] = await world.decide(1);
    const { data } = await stream.next(isDecision);
    const [stored] = await world.control.world.store.recordById(String(id), HOME);
    assert.equal(data, stored);
  });

  for (const [how, resume] of [
    ['the header Last-Event-ID', (id: string) => ({ path: STREAM, headers: { 'last-event-id': id } })],
    ['the query', (id: string) => ({ path: `${STREAM}?after=${id}`, headers: {} })],
  ] as const)
    it(`goes on without loss or repetition after the event that ${how} names`, async () => {
      await start();
      const first = await open();
      await first.next();
      const ids = await world.decide(5);
      assert.deepEqual(await first.decisions(2), ids.slice(0, 2));
      const third = await first.next(isDecision);
      first.close();
      const later = await world.decide(200);
      const { path, headers } = resume(third.id ?? '');
      const second = await open(path, headers);
      const all = [...ids.slice(3), ...later, ...(await world.decide(1))];
      assert.deepEqual(await second.decisions(all.length), all);
    });

  it('goes on from an id that came with no decision', async () => {
    await start({ quietMs: 1 });
    const quiet = await open(`${STREAM}?runtime=nobody`);
    await world.decide(3);
    const heartbeat = await quiet.next(({ id, data }) => id !== null && data === null);
    const again = await open(`${STREAM}?runtime=nobody`, { 'last-event-id': heartbeat.id ?? '' });
    assert.equal((await again.next(({ id }) => id !== null)).event, null);
  });

  const PPID = `ppid_${'7'.repeat(64)}`;
  const actor = {
    ...recordBody().actor,
    runtime_id: 'bot-9',
    agent_id: 'a9',
    workspace_id: 'w9',
    run_id: null,
    scope: [],
  };
  const other = { verdict: 'deny', reason: 'revoked', route: { id: 'r9', revision: 'r' } } as const;
  for (const query of [
    'runtime=bot-9',
    'agent=a9',
    'workspace=w9',
    `subject=${PPID}`,
    `subject=did:lemma:${PPID}`,
    'verdict=deny',
    'reason=revoked',
    'route=r9',
    'since=2099-01-01T00:00:00Z',
  ])
    it(`shows what ?${query} asks for alone`, async () => {
      await start();
      const stream = await open(`${STREAM}?${query}`);
      await stream.next();
      await world.decide(2);
      const time = Date.UTC(2100, 0, 1);
      const wanted = await world.decide(1, {
        ...other,
        time,
        actor: { ...actor, subject: `did:lemma:${PPID}` },
      });
      assert.deepEqual(await stream.decisions(1), wanted);
    });

  it('shows nothing of another tenant', async () => {
    await start();
    const stream = await open();
    await stream.next();
    await world.decide(2, { org: 'other' });
    const own = await world.decide(1);
    assert.deepEqual(await stream.decisions(1), own);
  });

  it('lets a client that takes nothing fall behind alone, tells it and when it has caught up, and loses nothing', async () => {
    await start({ keep: 100 });
    const slow = await open();
    await slow.next();
    const fast = await open();
    await fast.next();
    const path = `/${'x'.repeat(10_000)}`;
    const request = { method: 'GET', host: 'api.example.com', path };
    const ids: string[] = [];
    for (let round = 0; round < 8; round++) {
      const more = await world.decide(500, { request });
      assert.deepEqual(await fast.decisions(500), more);
      ids.push(...more);
    }
    const lags: number[] = [];
    const seen: string[] = [];
    while (seen.length < ids.length) {
      const { event, data } = await slow.next();
      if (event === 'lag') lags.push((JSON.parse(data ?? '') as { behind: number }).behind);
      else if (event === 'decision')
        seen.push((JSON.parse(data ?? '') as { decision_id: string }).decision_id);
    }
    assert.deepEqual(seen, ids);
    assert.equal(lags.length, 2);
    assert.ok((lags[0] ?? 0) > 1000);
    assert.equal(lags[1], 0);
  });

  it('cuts off a client that takes nothing for long', async () => {
    await start({ stallMs: 50 });
    const stalled = await open();
    const request = { method: 'GET', host: 'api.example.com', path: `/${'x'.repeat(20_000)}` };
    await world.decide(1000, { request });
    while (world.streams.open > 0) await world.decide(1);
    await stalled.ended();
  });

  it('refuses more streams than may be open, until one is closed', async () => {
    await start({ atMost: 1 });
    const only = await open();
    const refused = await world.get(STREAM);
    const { error } = (await refused.json()) as { error: string };
    assert.deepEqual(
      [refused.status, error, refused.headers.get('retry-after')],
      [429, 'rate_limited', '10'],
    );
    only.close();
    while (world.streams.open > 0) await world.decide(1);
    assert.equal((await open()).response.statusCode, 200);
  });

  it('keeps half of the streams for others', async () => {
    await start({ atMost: 2 });
    await open();
    const refused = await world.get(STREAM);
    await join(world.control.app, person('a'));
    const { reading } = await signIn(world.control.app, person('a'));
    const other = await openStream(`${world.base}${STREAM}`, reading);
    streams.push(other);
    assert.deepEqual([refused.status, other.response.statusCode], [429, 200]);
  });

  it('ends by itself, and with the service', async () => {
    await start({ lifeMs: 20 });
    await (await open()).ended();
  });

  for (const [name, id] of [
    ['a made up one', 'A'.repeat(30)],
    ['one of other filters', CURSORS.seal({ kind: 'stream', ...HOME, asked: { runtime_id: 'x' } }, '1')],
    ['one of another tenant', CURSORS.seal({ kind: 'stream', org: 'other', env: 'prod', asked: {} }, '1')],
    ['one of an export', CURSORS.seal({ kind: 'export', ...HOME, asked: {} }, '1')],
  ] as const)
    it(`refuses ${name} as the last event`, async () => {
      await start();
      const answer = await world.get(STREAM, { 'last-event-id': id });
      const { error, message } = (await answer.json()) as { error: string; message: string };
      assert.deepEqual([answer.status, error], [400, 'invalid_request']);
      assert.match(message, /^Last-Event-ID: is not one of this query/);
    });
});
