import assert from 'node:assert/strict';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { gunzipSync } from 'node:zlib';
import { stringify } from 'yaml';
import { emptyFolder, lemma, lemmaGoing } from '../cli/lemma.ts';
import { openStream } from '../server/feed-support.ts';
import { type Agent, type Serving, servedConfig, serving } from '../support/serving.ts';

const DECISIONS = '/api/wallet/runtimes/decisions';

describe('what operators see of a running service', () => {
  let folder: ReturnType<typeof emptyFolder>;
  let receiver: Server;
  const received: string[] = [];
  let service: Serving;
  let agent: Agent;

  before(async () => {
    folder = emptyFolder();
    receiver = createServer(async (request, response) => {
      const events = JSON.parse(gunzipSync(await buffer(request)).toString()) as { decision_id: string }[];
      received.push(...events.map(({ decision_id }) => decision_id));
      response.writeHead(204).end();
      receiver.emit('received');
    });
    receiver.listen(0, '127.0.0.1');
    await once(receiver, 'listening');
    const { port } = receiver.address() as AddressInfo;
    const config = {
      ...servedConfig(),
      decision_logs: {
        url: `http://127.0.0.1:${port}/v1/`,
        reporting: { min_delay_seconds: 0, max_delay_seconds: 1 },
      },
    };
    writeFileSync(join(folder.path, 'lemma.yaml'), stringify(config));
    service = await serving(folder.path);
    agent = await service.onboard('bot-1');
  });
  after(async () => {
    await service.end('SIGTERM');
    receiver.closeAllConnections();
    receiver.close();
    folder.remove();
  });

  const auth = () => ({ authorization: `Bearer ${service.operatorKey}` });
  const decide = async () => (await service.grpc(agent.reading())).decisionId;

  it('each decision is uploaded', async () => {
    const ids = [await decide(), await decide()];
    while (!ids.every((id) => received.includes(id))) await once(receiver, 'received');
  });

  it('the monitor streams decisions and control events, ids and codes alone', async () => {
    const stream = await openStream(`${service.controlBase}/api/agent/monitor/events`, auth());
    const id = await decide();
    const decision = await stream.next(({ event }) => event === 'decision');
    assert.deepEqual(Object.keys(JSON.parse(decision.data ?? '') as object).sort(), [
      'agent_id',
      'decision_id',
      'env',
      'node',
      'org',
      'reason',
      'route',
      'runtime_id',
      'seq',
      'time',
      'verdict',
      'workspace_id',
    ]);
    assert.equal((JSON.parse(decision.data ?? '') as { decision_id: string }).decision_id, id);
    await service.onboard('bot-2');
    await service.control('/api/wallet/runtimes/bot-2/kill', { reason: 'a secret of ours' });
    const seen: Record<string, unknown>[] = [];
    let last: string | null = null;
    while (seen.at(-1)?.type !== 'kill') {
      const { id: at, data } = await stream.next(({ event }) => event === 'control');
      seen.push(JSON.parse(data ?? '') as Record<string, unknown>);
      last = at;
    }
    stream.close();
    assert.deepEqual(
      seen.map(({ type, runtime_id }) => [type, runtime_id]),
      [
        ['register', 'bot-2'],
        ['admin', 'bot-2'], // a proof was issued
        ['kill', 'bot-2'],
      ],
    );
    assert.ok(!JSON.stringify(seen).includes('secret'));
    const again = await openStream(`${service.controlBase}/api/agent/monitor/events`, {
      ...auth(),
      'last-event-id': last ?? '',
    });
    await service.control('/api/wallet/runtimes/bot-2/kill', {});
    const next = await decide();
    const { data } = await again.next(({ event }) => event !== null);
    assert.equal((JSON.parse(data ?? '') as { decision_id: string }).decision_id, next);
    again.close();
  });

  it('the monitor counts', async () => {
    const before = (await service.control('/api/agent/monitor/summary')).body as {
      decisions: { last_hour: { allow: number } };
    };
    await decide();
    const { body } = await service.control('/api/agent/monitor/summary');
    const after = body as typeof before & { runtimes_active: number; top_reasons: { reason: string }[] };
    // The record of a decision of low risk is written behind its answer.
    await service.control(DECISIONS);
    const counted = ((await service.control('/api/agent/monitor/summary')).body as typeof before).decisions;
    assert.equal(counted.last_hour.allow, before.decisions.last_hour.allow + 1);
    assert.deepEqual([after.runtimes_active, after.top_reasons[0]?.reason], [1, 'allowed']);
  });

  it('alerts are a list, and the queries that they name are those of the feed', async () => {
    const { status, body } = await service.control('/api/wallet/runtimes/alerts/summary');
    assert.deepEqual([status, body.success, body.alerts], [200, true, []]);
  });

  it('a cursor that was changed is refused, and one of other filters', async () => {
    await decide();
    await decide();
    const first = (await service.control(`${DECISIONS}?limit=1`)).body as { next_cursor: string };
    const cursor = first.next_cursor;
    const forged = `${cursor.startsWith('A') ? 'B' : 'A'}${cursor.slice(1)}`;
    assert.equal((await service.control(`${DECISIONS}?limit=1&cursor=${cursor}`)).status, 200);
    for (const query of [`cursor=${forged}`, `cursor=${cursor}&verdict=allow`, `cursor=${cursor}&order=asc`])
      assert.equal((await service.control(`${DECISIONS}?${query}`)).status, 400, query);
  });

  const common = () => ['--api-base', service.controlBase];

  it('lemma decisions tail shows them as they are made', async () => {
    const tail = lemmaGoing(folder.path, ['decisions', 'tail', '--runtime', 'bot-1', '--json', ...common()]);
    const line = tail.line();
    let ids: string[] = [];
    const shown = line.then((text) => (JSON.parse(text) as { decision_id: string }).decision_id);
    let found = false;
    void shown.then(() => {
      found = true;
    });
    // It says nothing when it has begun to listen: decisions are made until it shows one.
    while (!found) {
      ids = [...ids, await decide()];
      await Promise.race([shown, new Promise((go) => setImmediate(go))]);
    }
    assert.ok(ids.includes(await shown));
    assert.equal((await tail.end('SIGINT')).code, 0);
  });

  it('lemma decisions export writes other formats, and says where to go on', async () => {
    const csv = await lemma(folder.path, [
      'decisions',
      'export',
      '--format',
      'csv',
      '--runtime',
      'bot-1',
      ...common(),
    ]);
    assert.match(csv.out, /^time,decision_id,/);
    const first = await lemma(folder.path, [
      'decisions',
      'export',
      '--runtime',
      'bot-1',
      '-o',
      'part',
      '--json',
      ...common(),
    ]);
    const { next_cursor, records } = (
      JSON.parse(first.out) as { data: { next_cursor: string; records: number } }
    ).data;
    assert.ok(records > 0);
    const id = await decide();
    const rest = await lemma(folder.path, [
      'decisions',
      'export',
      '--runtime',
      'bot-1',
      '--after',
      next_cursor,
      ...common(),
    ]);
    assert.deepEqual(
      rest.out
        .trim()
        .split('\n')
        .map((line) => (JSON.parse(line) as { decision_id: string }).decision_id),
      [id],
    );
  });
});
