import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { createPublicKey } from 'node:crypto';
import { EventEmitter, once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { type Agent, Agent as HttpAgent, request as httpRequest } from 'node:http';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { filesInTar } from '../../src/policy/bundle.ts';
import { loadEmbedded } from '../../src/policy/embedded.ts';
import { verifyForOpa } from '../../src/policy/opa-signature.ts';
import { regoOnlyOf } from '../../src/policy/rego-only.ts';
import type { DecisionRecord } from '../../src/schema/decision.ts';
import { folders, publish, tokened, tokenFor, withRun, writing } from '../pdp/support.ts';
import { bearing, chain, keys, proving, request, type WireRequest } from '../support/kit.ts';
import { stockOpa } from '../support/opa.ts';
import { type Running, running } from '../support/running.ts';

const PROFILES = ['low', 'high', 'critical'] as const;
const RECORDED = 1_000;

async function embeddedLow() {
  const low = (await loadEmbedded()).find(({ name }) => name === 'low');
  assert.ok(low);
  return low;
}

describe('bundles for stock OPA', () => {
  const temporary = folders();
  let service: Running;
  let folder: string;

  before(async () => {
    folder = temporary.make();
    service = await running({
      config: { bundles: await publish(folder, await embeddedLow(), { serial: 5 }) },
    });
  });
  after(async () => {
    await service.stop();
    temporary.remove();
  });

  const pull = (profile: string, headers: Record<string, string> = {}) =>
    fetch(`http://${service.app.addresses.control}/bundles/${profile}`, {
      headers: { authorization: `Bearer ${service.operatorKey}`, ...headers },
    });
  /** Another revision of the low policy, in force. */
  let serial = 5;
  async function activate() {
    serial += 1;
    await publish(folder, await embeddedLow(), { serial });
    await service.app.reloadBundles();
  }
  const opaKey = async () => (await service.control('/api/wallet/keys/opa')).body as Record<string, string>;

  it('are what is in force, signed by the key that is published', async () => {
    const { keyid, key = '' } = await opaKey();
    for (const profile of PROFILES) {
      const answer = await pull(profile);
      assert.deepEqual([answer.status, answer.headers.get('content-type')], [200, 'application/gzip']);
      const bundle = regoOnlyOf(filesInTar(new Uint8Array(await answer.arrayBuffer())));
      assert.deepEqual(verifyForOpa(bundle, { algorithm: 'ES256', key: createPublicKey(key) }), {
        keyid,
        scope: null,
      });
      assert.equal(bundle.name, profile);
    }
  });

  it('ask for a key', async () => {
    assert.equal((await pull('low', { authorization: '' })).status, 401);
  });

  it('are not there for another name', async () => assert.equal((await pull('medium')).status, 404));

  it('are not sent again: 304', async () => {
    const tag = (await pull('low')).headers.get('etag') ?? '';
    for (const tags of [tag, `"x", ${tag}`, '*']) {
      const again = await pull('low', { 'if-none-match': tags });
      assert.deepEqual([again.status, again.headers.get('etag'), await again.text()], [304, tag, '']);
    }
  });

  it('are sent once they are others', async () => {
    const tag = (await pull('low')).headers.get('etag') ?? '';
    await activate();
    const next = await pull('low', { 'if-none-match': tag });
    assert.equal(next.status, 200);
    assert.notEqual(next.headers.get('etag'), tag);
  });

  it('are waited for', async () => {
    const first = await pull('low', { prefer: 'modes=snapshot,delta;wait=60' });
    assert.equal(first.headers.get('content-type'), 'application/vnd.openpolicyagent.bundles');
    const headers = {
      prefer: 'modes=snapshot,delta;wait=60',
      'if-none-match': first.headers.get('etag') ?? '',
    };
    const waiting = pull('low', headers);
    // Another profile's exchange does not end it, its own does.
    await activate();
    assert.equal((await waiting).status, 200);
  });

  it('are waited for as long as was asked', async () => {
    const tag = (await pull('high')).headers.get('etag') ?? '';
    assert.equal((await pull('high', { prefer: 'wait=1', 'if-none-match': tag })).status, 304);
  });

  it('keep no stop waiting', async () => {
    const other = await running();
    const url = `http://${other.app.addresses.control}/bundles/low`;
    const authorization = `Bearer ${other.operatorKey}`;
    const tag = (await fetch(url, { headers: { authorization } })).headers.get('etag') ?? '';
    const waiting = fetch(url, { headers: { authorization, prefer: 'wait=300', 'if-none-match': tag } });
    await fetch(url, { headers: { authorization } });
    await other.stop();
    assert.equal((await waiting).status, 304);
  });

  it('have the same key after a restart', async () => {
    const place = temporary.make();
    const keyids: unknown[] = [];
    for (let i = 0; i < 2; i += 1) {
      const one = await running({ folder: place });
      keyids.push((await one.control('/api/wallet/keys/opa')).body.keyid);
      await one.stop();
    }
    assert.equal(keyids[0], keyids[1]);
  });

  it('have another key once the bundle key is rotated', async () => {
    const other = await running();
    try {
      const before = (await other.control('/api/wallet/keys/opa')).body.keyid;
      await other.control('/api/wallet/keys/rotate', { use: 'bundle' });
      assert.notEqual((await other.control('/api/wallet/keys/opa')).body.keyid, before);
    } finally {
      await other.stop();
    }
  });

  describe('in a running opa', () => {
    let opa: ChildProcess;
    let socket: string;
    let agent: Agent;
    const activations: string[] = [];
    const bus = new EventEmitter();
    const activated = async (profile: string, times: number) => {
      while (activations.filter((name) => name === profile).length < times) await once(bus, 'activated');
    };

    before(async function () {
      this.timeout(300_000);
      const binary = await stockOpa();
      if (binary === null) return this.skip();
      const { keyid = '', key } = await opaKey();
      const place = temporary.make();
      socket = join(place, 'opa.sock');
      const polling = { min_delay_seconds: 600, max_delay_seconds: 600, long_polling_timeout_seconds: 60 };
      const config = {
        services: {
          lemma: {
            url: `http://${service.app.addresses.control}`,
            credentials: { bearer: { token: service.operatorKey } },
          },
        },
        keys: { [keyid]: { algorithm: 'ES256', key } },
        bundles: Object.fromEntries(
          PROFILES.map((profile) => [
            profile,
            { service: 'lemma', resource: `bundles/${profile}`, signing: { keyid }, polling },
          ]),
        ),
      };
      writeFileSync(join(place, 'opa.json'), JSON.stringify(config));
      opa = spawn(
        binary,
        [
          'run',
          '--server',
          '--skip-version-check',
          '--addr',
          `unix://${socket}`,
          '--config-file',
          join(place, 'opa.json'),
        ],
        { stdio: ['ignore', 'ignore', 'pipe'] },
      );
      agent = new HttpAgent({ keepAlive: true, maxSockets: 8 });
      const said: string[] = [];
      createInterface({ input: opa.stderr ?? process.stdin }).on('line', (line) => {
        said.push(line);
        if (!line.startsWith('{')) return;
        const { msg, name } = JSON.parse(line) as { msg?: string; name?: string };
        if (msg?.startsWith('Bundle loaded and activated') && name !== undefined) activations.push(name);
        bus.emit('activated');
      });
      const gone = once(opa, 'exit').then(() => {
        throw new Error(`opa ended: ${said.join('\n')}`);
      });
      gone.catch(() => undefined);
      await Promise.race([Promise.all(PROFILES.map((profile) => activated(profile, 1))), gone]);
    });
    after(async () => {
      agent?.destroy();
      if (opa === undefined) return;
      opa.kill('SIGKILL');
      if (opa.exitCode === null && opa.signalCode === null) await once(opa, 'exit');
    });

    function evaluate(profile: string, input: unknown): Promise<unknown> {
      const { promise, resolve, reject } = Promise.withResolvers<unknown>();
      const asked = httpRequest(
        { socketPath: socket, path: `/v1/data/lemma/${profile}/decision`, method: 'POST', agent },
        async (answer) => {
          const chunks: Buffer[] = [];
          for await (const chunk of answer as AsyncIterable<Buffer>) chunks.push(chunk);
          resolve((JSON.parse(Buffer.concat(chunks).toString()) as { result?: unknown }).result);
        },
      );
      asked.on('error', reject);
      asked.end(JSON.stringify({ input }));
      return promise;
    }

    it(`give equal results on ${RECORDED} recorded inputs`, async function () {
      this.timeout(120_000);
      for (let i = 0; i < RECORDED; i += 1) {
        await service.grpc(oneOf(i));
      }
      const { records } = await service.records();
      const recorded = records.filter(({ input, result }) => input !== null && result !== null);
      assert.ok(recorded.length >= RECORDED, `${recorded.length} inputs only`);
      const seen = new Set<string>();
      for (let at = 0; at < recorded.length; at += 8) {
        await Promise.all(recorded.slice(at, at + 8).map((record) => same(record, seen)));
      }
      assert.ok(seen.size >= 8, [...seen].join('\n'));
    });

    async function same({ profile, input, result }: DecisionRecord, seen: Set<string>): Promise<void> {
      assert.deepEqual(await evaluate(profile ?? '', input), result);
      seen.add(`${profile} ${JSON.stringify(result?.reasons)}`);
    }

    it('are taken as soon as they are in force', async function () {
      this.timeout(60_000);
      const before = activations.filter((name) => name === 'low').length;
      await activate();
      await activated('low', before + 1);
    });
  });
});

/** Requests that come as far as a policy, of every kind that the profiles tell apart. */
function oneOf(i: number): WireRequest {
  const path = `/v1/documents/${i}`;
  const old = {
    issued_at: 1_790_000_000 - 4_000,
    not_before: 1_790_000_000 - 4_000,
    expires_at: 1_790_003_000,
  };
  const parents = { root: {}, delegation: { issued_at: old.issued_at, not_before: old.not_before } };
  const links = chain({
    runtime: { claims: { profile: PROFILES[i % 3] ?? 'low', taint_epoch: i % 5 === 0 ? 1 : 0 } },
  });
  const purge = { method: 'POST', path: '/v1/purge/all', text: '{"all":true}' };
  switch (i % 10) {
    case 0:
      return bearing(links, { path });
    case 1:
      return proving(links, keys.runtime, { path });
    case 2:
      return writing(links, keys.runtime, { path });
    case 3:
      return bearing(links, { path, method: 'PUT', headers: [['content-length', '0']] });
    case 4:
      return bearing(chain({ ...parents, runtime: { ...old, claims: { profile: 'high' } } }), { path });
    case 5:
      return proving(chain({ runtime: { scope: ['documents.admin'] } }), keys.runtime, purge);
    case 6:
      return proving(withRun(5, { profile: 'critical' }), keys.run, { path });
    case 7:
      return request({ path: '/healthz' });
    case 8:
      return tokened(tokenFor(links), { path });
    default:
      return bearing(withRun(2), { path, headers: [['content-length', '5']] });
  }
}
