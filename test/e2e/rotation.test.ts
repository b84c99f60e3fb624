import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { lemma } from '../cli/lemma.ts';
import { folders } from '../pdp/support.ts';
import { type Agent, type Serving, serving } from '../support/serving.ts';

interface Told {
  readonly use: string;
  readonly kid: string;
  readonly status: string;
}

describe('keys that are rotated while the service runs', () => {
  const temporary = folders();
  let folder: string;
  let service: Serving;
  let before_: Agent;
  let after_: Agent;
  let old: string;
  const seen: Record<string, string> = {};

  const run = (...args: string[]) => lemma(folder, args, { LEMMA_BASE_URL: service.controlBase });
  const keys = async () => {
    const { out } = await run('keys', 'list', '--json');
    return (JSON.parse(out) as { data: { keys: Told[] } }).data.keys;
  };
  const ask = async (agent: Agent) => (await service.grpc(agent.writing())).verdict;
  const signers = (lines: readonly string[]) =>
    new Set(lines.flatMap((line) => /^\{"checkpoint":.*"keyid":"([\w-]{43})"/.exec(line)?.[1] ?? []));

  before(async () => {
    folder = temporary.make();
    service = await serving(folder);
    before_ = await service.onboard('bot-1');
    seen.first = await ask(before_);
    await run('decisions', 'export', '--out', 'before.ndjson');
    old = (await keys()).find(({ use, status }) => use === 'authority' && status === 'current')?.kid ?? '';
    for (const use of ['authority', 'checkpoint', 'bundle']) await run('keys', 'rotate', use);
    after_ = await service.onboard('bot-2');
    seen.oldChain = await ask(before_);
    seen.newChain = await ask(after_);
  });
  after(async () => {
    await service.end('SIGKILL');
    temporary.remove();
  });

  it('leave chains of the key before valid, and sign new ones', () => {
    assert.deepEqual(seen, { first: 'allow', oldChain: 'allow', newChain: 'allow' });
  });

  it('are listed, with those of before', async () => {
    const found = (await keys()).map(({ use, status }) => `${use} ${status}`).sort();
    assert.deepEqual(found, [
      'authority current',
      'authority previous',
      'bundle current',
      'bundle previous',
      'checkpoint current',
      'checkpoint previous',
    ]);
  });

  it('leave a log whose checkpoints two keys signed, and it verifies', async () => {
    await run('decisions', 'export', '--out', 'after.ndjson');
    const lines = readFileSync(join(folder, 'after.ndjson'), 'utf8').split('\n');
    const { code, out } = await run('decisions', 'verify', '--file', 'after.ndjson');
    assert.deepEqual([signers(lines).size, code], [2, 0], out);
  });

  it('leave an older export that verifies still', async () => {
    assert.equal((await run('decisions', 'verify', '--file', 'before.ndjson')).code, 0);
  });

  it('do not retire the one that signs', async () => {
    const current = (await keys()).find(({ use, status }) => use === 'authority' && status === 'current');
    const { code, err } = await run('keys', 'retire', current?.kid ?? '');
    assert.equal(code, 1);
    assert.match(err, /conflict: .* signs now: rotate the authority key first/);
  });

  it('are named as they are called', async () => {
    const { code, err } = await run('keys', 'rotate', 'issuer');
    assert.equal(code, 2);
    assert.match(err, /there is no key "issuer" to rotate: authority, checkpoint, bundle/);
  });

  describe('once the one before is retired', () => {
    before(() => run('keys', 'retire', old, '--reason', 'it may have leaked'));

    it('deny its chains', async () => assert.equal(await ask(before_), 'root_untrusted'));

    it('allow those of the new one', async () => assert.equal(await ask(after_), 'allow'));

    it('give the same answers after a kill -9', async () => {
      await service.end('SIGKILL');
      service = await serving(folder);
      assert.deepEqual([await ask(before_), await ask(after_)], ['root_untrusted', 'allow']);
    });
  });
});
