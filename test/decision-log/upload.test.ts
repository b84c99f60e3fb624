import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as wait } from 'node:timers/promises';
import { signEd25519 } from '#runtime';
import { toBase64url } from '../../src/crypto/base64url.ts';
import { type DecisionLog, openLog } from '../../src/decision-log/log.ts';
import { startUpload, type Upload, type UploadTarget } from '../../src/decision-log/upload.ts';
import type { PolicyInput } from '../../src/schema/input.ts';
import type { Store } from '../../src/store/store.ts';
import { TENANT, type Workspace, workspace } from '../store/fixture.ts';
import { recordBody } from './fixture.ts';

const RECEIVER = join(import.meta.dirname, 'receiver.ts');

describe('the upload of the decision log', () => {
  let at: Workspace;
  let store: Store;
  let log: DecisionLog;
  let upload: Upload | null;
  let receiver: ChildProcess;
  let port: string;
  let errors: unknown[];
  let made: string[];

  const mode = (text: string) => writeFileSync(join(at.folder, 'mode'), text);
  const linesOf = (file: string) =>
    existsSync(join(at.folder, file)) ? readFileSync(join(at.folder, file), 'utf8').trim().split('\n') : [];
  const got = () => linesOf('got').map((line) => line.split(' ')[0] ?? '');

  async function receive(on = '0'): Promise<void> {
    receiver = spawn(process.execPath, [RECEIVER, at.folder, on], { stdio: ['ignore', 'pipe', 'inherit'] });
    if (receiver.stdout === null) throw new Error('no output');
    [port] = (await once(createInterface({ input: receiver.stdout }), 'line')) as [string];
  }

  async function kill(): Promise<void> {
    const ended = once(receiver, 'exit');
    receiver.kill('SIGKILL');
    await ended;
  }

  async function start(over: Partial<UploadTarget> = {}): Promise<void> {
    store = await at.open();
    const key = {
      keyid: 'k',
      sign: (bytes: Uint8Array) => toBase64url(signEd25519(bytes, new Uint8Array(32))),
    };
    log = openLog({ store, node: 'n1', key: () => key, clock: Date.now });
    upload = startUpload({
      target: {
        url: `http://127.0.0.1:${port}`,
        partition_name: null,
        token: () => null,
        min_delay_ms: 0,
        max_delay_ms: 20,
        size_limit_bytes: 1_048_576,
        timeout_ms: 5000,
        ...over,
      },
      store,
      log,
      home: TENANT,
      clock: Date.now,
      version: '0.0.0',
      onError: (error) => errors.push(error),
      onRecovered: () => errors.push('recovered'),
    });
  }

  async function stop(): Promise<void> {
    await upload?.close();
    upload = null;
    await log.close();
    await store.close();
  }

  async function decide(count: number, input: PolicyInput | null = null): Promise<void> {
    const ids = Array.from({ length: count }, (_, n) => `d${made.length + n}`);
    await Promise.all(
      ids.map((decision_id) => log.append(recordBody({ decision_id, input }), { durable: true })),
    );
    made.push(...ids);
  }

  /** Resolves once all that was made has been acknowledged. */
  async function uploaded(): Promise<void> {
    for (;;) {
      const kept = await store.getDocument('decision-log-upload', `http://127.0.0.1:${port}/logs`);
      if ((kept?.body as { position?: number } | undefined)?.position === made.length) return;
      await wait(5);
    }
  }

  const asked = async (pattern: RegExp, count = 1) => {
    while (linesOf('asked').filter((line) => pattern.test(line)).length < count) await wait(5);
  };

  beforeEach(async () => {
    at = workspace();
    errors = [];
    made = [];
    upload = null;
    await receive();
  });
  afterEach(async () => {
    await upload?.close();
    if (receiver.exitCode === null && receiver.signalCode === null) await kill();
    await log.close();
    await at.end();
  });

  it('sends each record once, gzip, to <url>/logs', async () => {
    await start();
    await decide(450);
    await uploaded();
    assert.deepEqual(got(), made);
    assert.match(linesOf('asked')[0] ?? '', /^POST\|\/logs\|gzip\|-\|ok$/);
    assert.deepEqual(upload?.state(), {
      behind: 0,
      failing_since: null,
      error: null,
      uploaded: 450,
      refused: 0,
    });
  });

  it('sends to the partition, with the token of now', async () => {
    let token = 'first';
    await start({ partition_name: 'prod', token: () => token });
    await decide(1);
    await asked(/^POST\|\/logs\/prod\|gzip\|Bearer first\|/);
    token = 'second';
    await decide(1);
    await asked(/^POST\|\/logs\/prod\|gzip\|Bearer second\|/);
  });

  for (const status of ['500', '503', '429', '401', '404'])
    it(`tries again after ${status}, until it is taken`, async () => {
      mode(status);
      await start();
      await decide(3);
      await asked(new RegExp(`\\|${status}$`), 3);
      assert.deepEqual(got(), []);
      const { behind, failing_since, error } = upload?.state() ?? {};
      assert.deepEqual([behind, typeof failing_since, error], [3, 'number', `status ${status}`]);
      mode('ok');
      await uploaded();
      assert.deepEqual(got(), made);
      while (errors.length < 2) await wait(5);
      assert.equal(errors[1], 'recovered');
    });

  it('keeps no decision waiting for a receiver that hangs, and goes on when it answers', async () => {
    mode('hang');
    await start({ timeout_ms: 300 });
    await decide(1);
    await asked(/hang$/);
    // Each of these resolves while the upload hangs.
    await decide(500);
    mode('ok');
    await uploaded();
    assert.deepEqual([...new Set(got())], made);
  });

  it('survives the receiver being killed and started again', async () => {
    await start();
    await decide(100);
    await uploaded();
    await kill();
    await decide(100);
    while (upload?.state().failing_since === null) await wait(5);
    await receive(port);
    await uploaded();
    assert.deepEqual(got(), made);
  });

  it('goes on after a restart of its own where the receiver had acknowledged', async () => {
    await start();
    await decide(100);
    await uploaded();
    mode('500');
    await decide(100);
    await asked(/500$/);
    await stop();
    mode('ok');
    await start();
    await uploaded();
    assert.deepEqual(got(), made);
  });

  it('sends again what was taken without an acknowledgement: at least once', async () => {
    mode('drop');
    await start();
    await decide(10);
    await asked(/drop$/, 2);
    mode('ok');
    await uploaded();
    assert.ok(got().length > made.length);
    assert.deepEqual([...new Set(got())], made);
  });

  it('splits what the receiver finds too large', async () => {
    mode('limit 1500');
    await start();
    await decide(100);
    await uploaded();
    assert.deepEqual(got(), made);
    assert.ok(linesOf('got').every((line) => Number(line.split(' ')[1]) <= 1500));
  });

  it('keeps an upload below its own limit', async () => {
    await start({ size_limit_bytes: 1500 });
    await decide(100);
    await uploaded();
    assert.deepEqual(got(), made);
    assert.ok(linesOf('got').every((line) => Number(line.split(' ')[1]) <= 1500));
  });

  it('leaves out the input of a record that is too large alone', async () => {
    mode('limit 4000');
    await start();
    await decide(1);
    // What does not compress.
    const noise = randomBytes(8000).toString('base64');
    await decide(1, { request: { source: {} }, noise } as unknown as PolicyInput);
    await decide(1);
    await uploaded();
    assert.deepEqual(got(), made);
    assert.deepEqual(
      linesOf('got').map((line) => line.split(' ')[2] ?? ''),
      ['', '/input', ''],
    );
  });
});
