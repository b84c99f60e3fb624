import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fromBase64url } from '../../src/crypto/base64url.ts';
import type { Bundle } from '../../src/policy/bundle.ts';
import { loadEmbedded } from '../../src/policy/embedded.ts';
import { signBundle } from '../../src/policy/signature.ts';
import { writeBundles } from '../../src/policy/write-bundle.ts';
import { republished } from '../policy/support.ts';
import { type Agent, type Serving, serving } from '../support/serving.ts';
import { emptyFolder, lemma } from './lemma.ts';

const SUBJECT = `did:lemma:ppid_${'5'.repeat(64)}`;

describe('verbs on the command line', () => {
  let folder: ReturnType<typeof emptyFolder>;
  let service: Serving;
  let agent: Agent;
  before(async () => {
    folder = emptyFolder();
    service = await serving(folder.path);
    agent = await service.onboard('bot');
  });
  after(async () => {
    await service.end('SIGTERM');
    folder.remove();
  });

  const run = (...args: string[]) => lemma(folder.path, [...args, '--api-base', service.controlBase]);
  const json = async (...args: string[]) => {
    const { code, out } = await run(...args, '--json');
    return { code, ...(JSON.parse(out) as { error_code: string | null; data: Record<string, unknown> }) };
  };
  const verdict = async () => (await service.grpc(agent.reading())).verdict;

  it('contain and resume a runtime', async () => {
    const { out } = await run('contain', 'bot', '--reason', 'looking into it');
    assert.match(out, /^bot is contained until it is resumed \(event \d+\)$/m);
    assert.equal(await verdict(), 'runtime_inactive');
    assert.equal((await run('resume', 'bot')).out, 'bot is active\n');
    assert.equal(await verdict(), 'allow');
  });

  it('taint, show what tainted, approve at the epoch that was shown', async () => {
    await run('taint', 'bot', '--reason', 'a page said so');
    assert.match(
      (await run('approve', 'bot')).out,
      /bot is at taint epoch 1\n {2}epoch 1 {2}\S+ {2}a page said so\n/,
    );
    const { code, data } = await json('approve', 'bot', '--epoch', '1', '--out', 'new.proof.json');
    const written = JSON.parse(readFileSync(join(folder.path, 'new.proof.json'), 'utf8'));
    assert.deepEqual([code, data.taint_epoch, written], [0, 1, data.credential]);
  });

  it('approve nothing that moved', async () => {
    const { code, error_code } = await json('approve', 'bot', '--epoch', '7');
    assert.deepEqual([code, error_code], [1, 'moved']);
  });

  it('list runtimes, filtered', async () => {
    await service.onboard('other');
    await run('kill', 'other');
    assert.match(
      (await run('runtimes', 'list', '--status', 'killed')).out,
      /^other\tkilled\tlow\tbot\tprod\tepoch 0\n$/,
    );
  });

  it('let a killed runtime be bound anew', async () => {
    const late = await service.onboard('late');
    await run('kill', 'late');
    const { out } = await run('resume', 'late', '--killed', '--epoch', '0', '--reason', 'a false alarm');
    assert.equal(out, 'late is active, under epoch 1: issue a new proof\n');
    assert.equal((await service.grpc(late.reading())).verdict, 'runtime_killed');
    const fresh = await service.onboard('late');
    assert.equal((await service.grpc(fresh.reading())).verdict, 'allow');
  });

  it('kill all below a delegator', async () => {
    const about = { runtime_id: 'theirs', agent_id: 'bot', workspace_id: 'prod', subject: SUBJECT };
    await service.control('/api/wallet/runtimes/bootstrap', about);
    const { out } = await run('kill', '--ppid', SUBJECT);
    assert.equal(out, `Killed: everything below ${SUBJECT}\n  theirs\n`);
  });

  for (const args of [
    ['kill'],
    ['kill', 'bot', '--ppid', SUBJECT],
    ['resume', 'bot', '--killed'],
    ['taint', 'bot'],
  ]) {
    it(`are used wrongly: ${args.join(' ').slice(0, 40)}`, async () => {
      assert.equal((await run(...args)).code, 2);
    });
  }

  describe('on policies', () => {
    let low: Bundle;
    before(async () => {
      low = (await loadEmbedded()).find(({ name }) => name === 'low') as Bundle;
      const text = readFileSync(join(folder.path, '.lemma/keys/bundle.key'), 'utf8').trim();
      const seed = fromBase64url(text) ?? new Uint8Array();
      for (const serial of [100, 101]) {
        await writeBundles(join(folder.path, `b${serial}`), [
          signBundle(republished(low, serial, `low-${serial}`), seed),
        ]);
      }
    });

    it('publish, activate, roll back, tell the history', async () => {
      assert.equal((await run('policy', 'publish', 'b100/low', '--activate')).code, 0);
      assert.match((await run('policy', 'publish', 'b101/low')).out, /Kept; in force after: /);
      assert.equal((await run('policy', 'activate', 'low-101')).out, 'Policy low is now low-101\n');
      const back = await run('policy', 'rollback', 'low', '--reason', 'worse');
      assert.equal(back.out, 'Policy low is back at low-100\n');
      const { out } = await run('policy', 'history', '--profile', 'low');
      assert.match(out, /^low\tlow-100\tserial 100\tin force\t/m);
      assert.match(out, /\trollback\tlow-100\towner\tworse$/m);
    });

    it('compare two that lie here, and two that were published', async () => {
      const local = await run('policy', 'diff', 'b100/low', 'b101/low');
      const published = await run('policy', 'diff', 'low-100', 'low-101');
      assert.deepEqual([local.out, published.out], ['serial: 100 -> 101\n', 'serial: 100 -> 101\n']);
    });

    it('compare no bundle here with one there', async () => {
      assert.equal((await run('policy', 'diff', 'b100/low', 'low-101')).code, 2);
    });
  });
});
