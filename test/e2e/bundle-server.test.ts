import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { gzipSync } from 'node:zlib';
import { sha256 } from '#runtime';
import { toBase64url } from '../../src/crypto/base64url.ts';
import { loadEmbedded } from '../../src/policy/embedded.ts';
import { signBundle } from '../../src/policy/signature.ts';
import { writeTar } from '../../src/policy/tar.ts';
import { InputError } from '../../src/reason.ts';
import { PUBLISHER, PUBLISHER_JWK } from '../pdp/support.ts';
import { republished } from '../policy/support.ts';
import { keyNamed } from '../support/kit.ts';
import { type Running, running } from '../support/running.ts';

/** What is asked of it, and what it has: `<profile>.tar.gz` below /bundles. */
interface Web {
  readonly server: Server;
  readonly url: string;
  readonly files: Map<string, Uint8Array>;
  readonly asked: { path: string; status: number }[];
}

async function web(): Promise<Web> {
  const files = new Map<string, Uint8Array>();
  const asked: Web['asked'] = [];
  const server = createServer((question, answer) => {
    const path = question.url ?? '';
    const bytes = files.get(path);
    const etag = `"${toBase64url(sha256(bytes ?? new Uint8Array()))}"`;
    const status = bytes === undefined ? 404 : question.headers['if-none-match'] === etag ? 304 : 200;
    asked.push({ path, status });
    answer.writeHead(status, { etag });
    answer.end(status === 200 ? bytes : undefined);
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  return { server, files, asked, url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/bundles` };
}

describe('bundles from a web server', () => {
  let there: Web;
  let service: Running | null = null;

  beforeEach(async () => {
    there = await web();
    await put(5);
  });
  afterEach(async () => {
    await service?.stop();
    service = null;
    there.server.closeAllConnections();
    there.server.close();
  });

  async function put(serial: number, seed = PUBLISHER.seed): Promise<void> {
    for (const bundle of await loadEmbedded()) {
      const { files } = signBundle(republished(bundle, serial, `${bundle.name}-${serial}`), seed);
      there.files.set(`/bundles/${bundle.name}.tar.gz`, gzipSync(writeTar(files)));
    }
  }
  const configOf = (more: object = {}) => ({
    bundles: { source: there.url, keys: [PUBLISHER_JWK], ...more },
  });
  async function start(): Promise<Running> {
    service = await running({ config: configOf() });
    return service;
  }
  async function inForce({ control }: Running): Promise<string[]> {
    const { body } = await control('/api/wallet/policies/history');
    const bundles = body.bundles as { revision: string; active: boolean }[];
    return bundles.flatMap(({ revision, active }) => (active ? [revision] : [])).sort();
  }
  const all = (serial: number) => ['critical', 'high', 'low'].map((name) => `${name}-${serial}`);

  it('are in force from the start', async () => {
    assert.deepEqual(await inForce(await start()), all(5));
  });

  it('are taken again when they are others, and not sent again when they are not', async () => {
    const { app } = await start();
    there.asked.length = 0;
    assert.deepEqual(await app.reloadBundles(), []);
    assert.deepEqual([...new Set(there.asked.map(({ status }) => status))], [304]);
    await put(6);
    const taken = await app.reloadBundles();
    assert.deepEqual(taken.map(({ revision }) => revision).sort(), all(6));
  });

  for (const [what, spoil, complaint] of [
    ['one is missing', () => void there.files.delete('/bundles/high.tar.gz'), /high: .* answered 404/],
    ['one is no bundle', () => void there.files.set('/bundles/low.tar.gz', Buffer.from('x')), /low: /],
    ['another key signed them', () => put(6, keyNamed('a stranger').seed), /bundle_rejected/],
    ['they are of an older serial', () => put(4), /bundle_rollback/],
    [
      'nobody answers',
      () => there.server.closeAllConnections() ?? there.server.close(),
      /no answer from http/,
    ],
  ] as const) {
    it(`leave those that are in force when ${what}`, async () => {
      const started = await start();
      await spoil();
      await assert.rejects(started.app.reloadBundles(), (error: unknown) => {
        assert.ok(error instanceof InputError);
        assert.equal(error.problems[0]?.field, 'bundles.source');
        assert.match(error.message, complaint);
        return true;
      });
      assert.deepEqual(await inForce(started), all(5));
    });
  }

  it('start no service that has none', async () => {
    there.files.clear();
    await assert.rejects(start(), /bundles\.source: .*answered 404/);
  });
});
