import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import type { IncomingMessage } from 'node:http';
import { type Answered, apiAt, type Laptop, laptop, upstream } from './laptop.ts';

/** The validation checklist of the developer documents, line by line, as a new user would go through it. */
describe('the validation checklist', () => {
  let computer: Laptop;
  let behind: Awaited<ReturnType<typeof upstream>>;
  const reached: string[] = [];

  before(async () => {
    behind = await upstream((request: IncomingMessage, response) => {
      reached.push(`${request.method} ${request.url}`);
      response.end('{"notes":[]}');
    });
    computer = laptop();
    const elsewhere = apiAt(behind.origin, { id: 'mail', scope: ['mail.send'], action: 'mail.send' });
    const other = apiAt('https://files.example', { id: 'files' });
    computer.configure({ firewall: { apis: [apiAt(behind.origin), elsewhere, other] } });
    await computer.start();
    const { code, err } = await computer.connect(
      '--scope',
      'notes.use',
      '--audience',
      new URL(behind.origin).origin,
    );
    assert.equal(code, 0, err);
  });
  after(async () => {
    await computer.close();
    await behind.close();
  });

  /** The wallet's REST, as Agent Ops calls it. */
  const wallet = async (path: string): Promise<Answered> => {
    const { control_plane, operator_key_file } = computer.state();
    const key = readFileSync(operator_key_file ?? '', 'utf8').trim();
    const answer = await fetch(`${control_plane}/api/wallet/runtimes${path}`, {
      headers: { authorization: `Bearer ${key}` },
    });
    return { status: answer.status, body: (await answer.json()) as Record<string, unknown> };
  };
  const read = () => computer.ask('/firewall/notes/list');

  it('a protected request with a valid proof: allowed, with the normal response', async () => {
    assert.deepEqual([await read(), reached.at(-1)], [{ status: 200, body: { notes: [] } }, 'GET /list']);
  });

  for (const [lacking, api, code] of [
    ['a missing scope', 'mail', 'scope_denied'],
    ['a wrong audience', 'files', 'audience_mismatch'],
  ] as const)
    it(`${lacking}: denied, with a reason that a machine can read`, async () => {
      const before = reached.length;
      const { status, body } = await computer.ask(`/firewall/${api}/list`);
      assert.deepEqual([status, body.success, body.error, reached.length], [403, false, code, before]);
    });

  it('decision query and explain: what the runtime asked for is visible to operators', async () => {
    await read();
    const feed = await wallet('/decisions?runtime=bot-1&verdict=allow&limit=1');
    assert.equal(feed.status, 200, JSON.stringify(feed.body));
    const [decision] = feed.body.decisions as { decision_id: string; verdict: string }[];
    const explained = await wallet(`/decisions/${decision?.decision_id}/explain`);
    assert.deepEqual([feed.status, decision?.verdict, explained.status], [200, 'allow', 200]);
  });

  it('the kill switch: the next privileged action is denied', async () => {
    const before = await read();
    const killed = await computer.run(['kill', 'bot-1']);
    const after = await read();
    assert.deepEqual(
      [before.status, killed.code, after.status, after.body.error],
      [200, 0, 403, 'runtime_killed'],
    );
  });

  it('the containment suite of lemma demo: 6 of 6', async () => {
    const { code, data } = await computer.json(['demo']);
    assert.deepEqual([code, data.passed, data.total], [0, 6, 6]);
  });
});
