import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { apiAt, type Envelope, type Laptop, laptop, upstream } from './laptop.ts';

const outcomes = ({ data }: Envelope) =>
  data.decisions.map((row: { now: { reason: string } | null }) => row.now?.reason ?? null);

describe('lemma replay, through the local firewall', () => {
  let computer: Laptop;
  let behind: Awaited<ReturnType<typeof upstream>>;
  const seen: string[] = [];

  before(async function () {
    this.timeout(120_000);
    behind = await upstream((request, response) => {
      seen.push(`${request.method} ${request.url}`);
      response.end('ok');
    });
    computer = laptop();
    computer.configure({ firewall: { apis: [apiAt(behind.origin, { risk: 'high' })] } });
    await computer.start();
    await computer.connect('--scope', 'notes.use', '--audience', behind.origin);
  });
  after(async () => {
    await computer.close();
    await behind.close();
  });

  const at = (name: string) => join(computer.folder, name);
  const urlOf = (path: string) => `http://${computer.state().listen}/firewall${path}`;
  const capture = (name: string, ...lines: object[]) => {
    writeFileSync(at(name), lines.map((line) => `${JSON.stringify(line)}\n`).join(''));
    return name;
  };
  const records = async () => (await computer.json(['decisions', 'list'])).data.decisions.length;

  it('judges captured requests with the proof that is here, and a PoP for each', async () => {
    const file = capture(
      'three.ndjson',
      { method: 'GET', url: urlOf('/notes/1') },
      { method: 'POST', url: urlOf('/notes/1'), headers: { 'content-type': 'text/plain' }, body: 'text' },
      { method: 'DELETE', url: urlOf('/notes/1') },
    );
    const before = await records();
    const answer = await computer.json(['replay', file]);
    assert.deepEqual(outcomes(answer), ['allowed', 'allowed', 'method_not_allowed']);
    assert.deepEqual([seen, await records()], [[], before]);
  });

  it('takes an HTTP archive, with what the firewall answered then', async () => {
    const entry = (url: string, status: number, text: string) => ({
      request: { method: 'GET', url, headers: [{ name: 'Host', value: 'elsewhere' }] },
      response: {
        status,
        headers: [{ name: 'X-Lemma-Decision-Id', value: `dec_${status}` }],
        content: { text },
      },
    });
    const denied = JSON.stringify({ success: false, error: 'route_unknown', decision_id: 'dec_403' });
    const entries = [
      entry(urlOf('/notes/1'), 403, denied),
      entry(urlOf('/notes/2'), 404, '{"error":"revoked"}'),
    ];
    writeFileSync(at('saved.har'), JSON.stringify({ log: { entries } }));
    const { data } = await computer.json(['replay', 'saved.har']);
    assert.deepEqual(
      data.decisions.map((row: Record<string, unknown>) => [row.decision_id, row.was, row.change]),
      [
        ['dec_403', { verdict: 'deny', reason: 'route_unknown' }, 'newly_allowed'],
        ['dec_404', { verdict: 'allow', reason: 'allowed' }, null],
      ],
    );
  });

  it('judges recorded decisions of the firewall by the api that they were for', async () => {
    await computer.ask('/firewall/notes/1');
    const answer = await computer.json(['replay', '--through', 'firewall', '--verdict', 'allow']);
    assert.deepEqual(
      answer.data.decisions.map((row: Record<string, unknown>) => [row.route, row.changed]),
      [['firewall.notes', false]],
    );
  });

  it('sends nothing unless told, and then to the upstream, with a record', async () => {
    const file = capture('one.ndjson', { method: 'POST', url: urlOf('/notes/7'), body: 'text' });
    seen.length = 0;
    await computer.json(['replay', file]);
    assert.deepEqual(seen, []);
    const before = await records();
    const answer = await computer.json(['replay', file, '--send']);
    assert.deepEqual([outcomes(answer), seen, await records()], [['allowed'], ['POST /7'], before + 1]);
  });

  it('sends nowhere but to the firewall, and no records', async () => {
    const file = capture('straight.ndjson', { method: 'GET', url: `${behind.origin}/1` });
    seen.length = 0;
    const straight = await computer.json(['replay', file, '--send']);
    const recorded = await computer.json(['replay', '--send']);
    assert.deepEqual([straight.code, recorded.code, seen], [2, 2, []]);
  });

  it('shows what a kill changes', async () => {
    const log = await computer.json(['decisions', 'export', '--out', 'log.ndjson', '--verdict', 'allow']);
    assert.equal(log.code, 0);
    await computer.run(['kill', 'bot-1']);
    const { code, error_code, data } = await computer.json(['replay', 'log.ndjson', '--fail-on', 'changed']);
    assert.deepEqual([code, error_code, data.counts.newly_denied], [1, 'replay_changed', data.counts.total]);
    assert.ok(readFileSync(at('log.ndjson'), 'utf8').includes('firewall.notes'));
  });
});

describe('lemma replay of requests for another protocol', () => {
  /** RFC 6455, section 1.3. */
  const handshake = {
    Connection: 'Upgrade',
    Upgrade: 'websocket',
    'Sec-WebSocket-Version': '13',
    'Sec-WebSocket-Key': 'dGhlIHNhbXBsZSBub25jZQ==',
  };
  const granted =
    'connection: upgrade\r\nupgrade: websocket\r\nsec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=';
  let computer: Laptop;
  let behind: Awaited<ReturnType<typeof upstream>>;
  const seen: string[] = [];

  before(async function () {
    this.timeout(120_000);
    behind = await upstream();
    behind.server.on('upgrade', (request, socket) => {
      seen.push(`${request.method} ${request.url} ${request.headers.upgrade}`);
      socket.end(`HTTP/1.1 101 Switching Protocols\r\n${granted}\r\n\r\n`);
    });
    computer = laptop();
    const live = apiAt(behind.origin, { id: 'live', upgrade: 'allow' });
    computer.configure({ firewall: { apis: [apiAt(behind.origin), live] } });
    await computer.start();
    await computer.connect('--scope', 'notes.use', '--audience', behind.origin);
    const asking = [
      ['http', 'notes'],
      ['ws', 'live'],
    ].map(([scheme, api]) =>
      JSON.stringify({
        method: 'GET',
        url: `${scheme}://${computer.state().listen}/firewall/${api}/1`,
        headers: handshake,
      }),
    );
    writeFileSync(join(computer.folder, 'upgrade.ndjson'), `${asking.join('\n')}\n`);
  });
  after(async () => {
    await computer.close();
    await behind.close();
  });

  it('judges them as such', async () => {
    assert.deepEqual(outcomes(await computer.json(['replay', 'upgrade.ndjson'])), [
      'method_not_allowed',
      'allowed',
    ]);
  });

  it('sends them as such, and lets go of what they would become', async () => {
    seen.length = 0;
    const answer = await computer.json(['replay', 'upgrade.ndjson', '--send']);
    assert.deepEqual(
      [outcomes(answer), answer.data.decisions[1].why, seen],
      [['method_not_allowed', 'allowed'], 'status 101', ['GET /1 websocket']],
    );
  });
});
