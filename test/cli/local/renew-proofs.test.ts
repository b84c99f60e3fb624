import { deepEqual, equal, rejects } from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { renewInPlace } from '../../../src/cli/local/renew-proofs.ts';
import { type RuntimeFiles, runtimeFiles } from '../../../src/cli/local/runtime-files.ts';
import { type Laptop, laptop } from './laptop.ts';

describe('the proof of a set-up agent', function () {
  this.timeout(120_000);
  let computer: Laptop;
  let files: RuntimeFiles;
  before(async () => {
    computer = laptop();
    await computer.start();
    await computer.connect();
    files = runtimeFiles(computer.home, 'bot-1');
  });
  after(() => computer.close());

  const id = () => JSON.parse(readFileSync(files.proof, 'utf8')).id as string;
  const renew = (after: number, now = Date.now) =>
    renewInPlace(files, { control: computer.state().control_plane, after, now });

  it('stays as it is until it is due', async () => {
    const before = id();
    deepEqual([await renew(0.6), id()], [false, before]);
  });

  it('is renewed in place, and holds', async () => {
    const before = id();
    equal(await renew(0), true);
    const { status } = await computer.ask('/firewall/hello/');
    deepEqual([id() === before, status], [false, 200]);
    const header = Buffer.from(readFileSync(files.credential, 'utf8'), 'base64url').toString();
    equal(header, readFileSync(files.proof, 'utf8'));
  });

  it('is not renewed once it has ended', async () => {
    equal(await renew(0, () => Date.now() + 86_400_000), false);
  });

  it('is not renewed where its key is sealed', async () => {
    const key = readFileSync(files.key, 'utf8');
    const identity = ['--runtime-id', 'sealed', '--agent-id', 'a', '--workspace-id', 'w'];
    const passphrase = { LEMMA_KEY_PASSPHRASE: 'a passphrase of a test' };
    const sealed = await computer.run(['firewall-connect', ...identity, '--seal-key'], passphrase);
    equal(sealed.code, 0, sealed.err);
    writeFileSync(files.key, readFileSync(join(computer.home, 'sealed.key')));
    equal(await renew(0), false);
    writeFileSync(files.key, key);
  });

  it('is not renewed past a taint: a person looks at that', async () => {
    await computer.run(['taint', 'bot-1', '--reason', 'a page']);
    const before = id();
    await rejects(renew(0), { code: 'renewal_stopped' });
    equal(id(), before);
  });
});
