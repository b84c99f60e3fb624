import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { randomBytes } from '#runtime';
import { publicJwk } from '../../src/authority/keys.ts';
import { fromBase64url } from '../../src/crypto/base64url.ts';
import type { Bundle } from '../../src/policy/bundle.ts';
import { loadEmbedded } from '../../src/policy/embedded.ts';
import { signBundle } from '../../src/policy/signature.ts';
import { writeTar } from '../../src/policy/tar.ts';
import { writeBundles } from '../../src/policy/write-bundle.ts';
import { DATA_FILE } from '../../src/schema/bundle.ts';
import { bytes, republished, withFile } from '../policy/support.ts';
import { NOW } from '../support/kit.ts';
import { type Running, running } from '../support/running.ts';

const BASE = '/api/wallet/policies';

describe('policies by API', () => {
  let service: Running;
  let folder: string;
  let seed: Uint8Array;
  let low: Bundle;
  let first: Bundle;
  let second: Bundle;

  const start = async () => {
    service = await running({ folder });
  };
  const restart = async () => {
    await service.stop();
    await start();
  };
  const packed = (bundle: Bundle) => gzipSync(writeTar(bundle.files)).toString('base64');
  const publish = (bundle: Bundle) => service.control(`${BASE}/publish`, { bundle_base64: packed(bundle) });
  const activate = (...bundles: Bundle[]) =>
    service.control(`${BASE}/activate`, { bundles: bundles.map(({ sha256 }) => sha256), reason: 'better' });
  const rollback = (to?: string) =>
    service.control(`${BASE}/rollback`, {
      profile: 'low',
      reason: 'worse',
      ...(to === undefined ? {} : { to }),
    });
  const history = async () =>
    (await service.control(`${BASE}/history?profile=low`)).body as unknown as {
      bundles: { revision: string; active: boolean }[];
      acts: Record<string, { act: string; revision: string; by: string; reason: string }[]>;
    };
  const active = async () => (await history()).bundles.find((bundle) => bundle.active)?.revision;
  const signed = (serial: number, by = seed) => signBundle(republished(low, serial, `low-${serial}`), by);

  before(async () => {
    low = (await loadEmbedded()).find(({ name }) => name === 'low') as Bundle;
  });
  beforeEach(async () => {
    folder = mkdtempSync(join(tmpdir(), 'lemma-policies-'));
    await start();
    seed =
      fromBase64url(readFileSync(join(folder, '.lemma/keys/bundle.key'), 'utf8').trim()) ?? new Uint8Array();
    first = signed(100);
    second = signed(101);
  });
  afterEach(async () => {
    await service.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  it('are kept by publish, and nothing comes into force', async () => {
    const { status, body } = await publish(first);
    assert.deepEqual([status, (body.bundle as { sha256: string }).sha256], [200, first.sha256]);
    assert.equal(await active(), low.revision);
  });

  it('come into force by activate, and decide from then on', async () => {
    await publish(first);
    assert.equal((await activate(first)).status, 200);
    assert.equal(await active(), 'low-100');
    const metrics = await fetch(`http://${service.app.addresses.control}/metrics`);
    assert.match(await metrics.text(), /low-100/);
  });

  it('are taken as files too', async () => {
    const files = [...first.files].map(([path, content]) => [path, Buffer.from(content).toString('base64')]);
    const { status } = await service.control(`${BASE}/publish`, { files_base64: Object.fromEntries(files) });
    assert.equal(status, 200);
  });

  it('stay over a restart, although bundles.source holds older ones', async () => {
    await publish(first);
    await activate(first);
    await restart();
    assert.equal(await active(), 'low-100');
  });

  it('go back by rollback, in one act with who and why, and stay so over a restart', async () => {
    for (const bundle of [first, second]) {
      await publish(bundle);
      await activate(bundle);
    }
    const { status, body } = await rollback();
    assert.deepEqual([status, (body.bundle as { revision: string }).revision], [200, 'low-100']);
    await restart();
    const { acts } = await history();
    assert.deepEqual(
      [await active(), acts.low?.map(({ act, revision, by, reason }) => [act, revision, by, reason])],
      [
        'low-100',
        [
          ['rollback', 'low-100', 'owner', 'worse'],
          ['activate', 'low-101', 'owner', 'better'],
          ['activate', 'low-100', 'owner', 'better'],
        ],
      ],
    );
  });

  it('go back to those of the package', async () => {
    await publish(first);
    await activate(first);
    assert.equal((await rollback()).status, 200);
    assert.equal(await active(), low.revision);
  });

  it('do not go forward again by what was rolled back from, unless on purpose', async () => {
    for (const bundle of [first, second]) {
      await publish(bundle);
      await activate(bundle);
    }
    await rollback();
    await restart();
    const { status, body } = await activate(second);
    assert.deepEqual([status, body.error, await active()], [409, 'bundle_rollback', 'low-100']);
    assert.equal((await rollback(second.sha256)).status, 200);
    assert.equal(await active(), 'low-101');
  });

  it('give way to a newer one from bundles.source', async () => {
    await publish(first);
    await activate(first);
    const all = (await loadEmbedded()).map((bundle) =>
      signBundle(republished(bundle, 200, `${bundle.name}-200`), seed),
    );
    await writeBundles(join(folder, 'bundles'), all);
    await service.reload({ bundles: { source: './bundles', keys: [publicJwk(seed)] } });
    assert.equal(await active(), 'low-200');
  });

  it('hold against an older one from bundles.source', async () => {
    await publish(first);
    await activate(first);
    const all = (await loadEmbedded()).map((bundle) =>
      signBundle(republished(bundle, 50, `${bundle.name}-50`), seed),
    );
    await writeBundles(join(folder, 'bundles'), all);
    await service.reload({ bundles: { source: './bundles', keys: [publicJwk(seed)] } });
    assert.equal(await active(), 'low-100');
  });

  const broken = (bundle: Bundle) => signBundle(withFile(bundle, 'policy.wasm', bytes('no module')), seed);
  const cases: readonly [string, () => Bundle, number, string, RegExp][] = [
    [
      'that nobody signed',
      () => republished(low, 100, 'low-x'),
      409,
      'bundle_rejected',
      /sign it with a trusted key/,
    ],
    [
      'signed by a stranger',
      () => signed(100, randomBytes(32)),
      409,
      'bundle_rejected',
      /key that is not trusted/,
    ],
    ['that does not load', () => broken(first), 400, 'invalid_request', /policy\.wasm/],
    [
      'with a known revision and another content',
      () => signBundle(republished(first, 102, 'low-100'), seed),
      409,
      'conflict',
      /new revision/,
    ],
  ];
  for (const [what, bundle, status, error, message] of cases) {
    it(`refuse one ${what}, and stay`, async () => {
      await publish(first);
      const answer = await publish(bundle());
      assert.deepEqual([answer.status, answer.body.error], [status, error]);
      assert.match(String(answer.body.message), message);
      assert.equal(await active(), low.revision);
    });
  }

  it('refuse to activate what is not kept', async () => {
    const { status, body } = await activate(first);
    assert.deepEqual([status, body.error], [404, 'not_found']);
  });

  it('refuse all of a set of which one is wrong', async () => {
    const high = (await loadEmbedded()).find(({ name }) => name === 'high') as Bundle;
    await publish(first);
    const { status } = await service.control(`${BASE}/activate`, {
      bundles: [first.sha256, high.sha256, '0'.repeat(64)],
    });
    assert.deepEqual([status, await active()], [404, low.revision]);
  });

  it('are compared: data line by line, capabilities by name, the module by its bytes', async () => {
    const data = new TextDecoder().decode(first.files.get(DATA_FILE));
    const changed = withFile(second, DATA_FILE, bytes(data.replace('30000', '20000')));
    const other = signBundle(changed, seed);
    await publish(first);
    await publish(other);
    const { body } = await service.control(`${BASE}/diff?from=${first.sha256}&to=${other.sha256}`);
    const [file] = body.data as { path: string; change: string; lines: string[] }[];
    const lines = file?.lines
      .filter((line) => /^[+-] /.test(line))
      .map((line) => line.replace(/[^+\-0-9]/g, ''));
    assert.deepEqual([file?.path, lines], ['data.json', ['-30000', '+20000']]);
    assert.deepEqual(body.capabilities, [{ member: 'serial', from: 100, to: 101 }]);
    assert.deepEqual([body.rego, body.module_equal], [[], true]);
  });

  it('announce each change as an event', async () => {
    await publish(first);
    await activate(first);
    await rollback();
    await service.stop();
    const { openStore } = await import('../../src/store/store.ts');
    const store = await openStore({ path: join(folder, '.lemma/lemma.db'), clock: () => NOW * 1000 });
    const events = (await store.eventsAfter(0, 1000)).filter(({ type }) => type === 'bundle').slice(-2);
    await store.close();
    await start();
    assert.deepEqual(
      events.map(({ payload }) => [payload.act, payload.sha256, payload.by, payload.reason]),
      [
        ['activate', first.sha256, 'owner', 'better'],
        ['rollback', low.sha256, 'owner', 'worse'],
      ],
    );
  });

  for (const [payload, field] of [
    [{}, ''],
    [{ bundle_base64: '%%%' }, 'bundle_base64'],
    [{ bundle_base64: 'AAAA', files_base64: {} }, ''],
    [{ bundle_base64: 'AAAA', force: true }, 'force'],
  ] as const) {
    it(`refuse to publish ${JSON.stringify(payload)}`, async () => {
      const { status, body } = await service.control(`${BASE}/publish`, payload);
      assert.deepEqual([status, body.error], [400, 'invalid_request']);
      if (field !== '') assert.match(String(body.message), new RegExp(`^${field}: `));
    });
  }
});
