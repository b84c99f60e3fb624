import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { loadEmbedded } from '../../src/policy/embedded.ts';
import { regoOnly } from '../../src/policy/rego-only.ts';
import { writeTar } from '../../src/policy/tar.ts';
import { PROFILES, type Profile } from '../../src/schema/common.ts';
import { PATIENT_MS } from '../policy/compiler/support.ts';
import { buildStock, OPA_KEYS } from '../policy/stock-opa.ts';
import { opaFolder } from '../support/opa.ts';
import { type Running, running, vectors } from '../support/running.ts';

const PEM = OPA_KEYS.RS256.publicKey.export({ type: 'spki', format: 'pem' }).toString();
const BUNDLES = { opa_keys: { default: { algorithm: 'RS256', key: 'ci.pub.pem' } } };

describe('bundles of stock `opa build` in a service', function () {
  this.timeout(PATIENT_MS);
  const opa = opaFolder();
  const packed = new Map<Profile, Uint8Array>();
  let folder: string;
  let service: Running;

  before(async () => {
    folder = mkdtempSync(join(tmpdir(), 'lemma-stock-'));
    writeFileSync(join(folder, 'ci.pub.pem'), PEM);
    for (const own of await loadEmbedded()) {
      const lemma = { ...own.manifest.metadata.lemma, serial: 100, reasons: undefined };
      const plain = [...regoOnly(own).files].map(([path, bytes]) => [path, new TextDecoder().decode(bytes)]);
      const manifest = JSON.stringify({ roots: own.manifest.roots, metadata: { lemma } });
      const files = await buildStock(opa, {
        files: { ...Object.fromEntries(plain), '.manifest': manifest },
        entrypoints: [own.entrypoint],
        algorithm: 'RS256',
        revision: `${own.name}-of-opa`,
      });
      packed.set(own.name, gzipSync(writeTar(files)));
    }
    service = await running({ folder, config: { bundles: BUNDLES } });
  });
  after(async () => {
    await service.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  const base64 = (profile: Profile) => Buffer.from(packed.get(profile) ?? []).toString('base64');
  const active = () => service.app.live.bundles().map(({ revision }) => revision);
  const allowed = vectors.cases.find(({ level, expect }) => level === 'full' && expect === 'allow');

  it('are published and come into force', async () => {
    const { status, body } = await service.control('/api/wallet/policies/publish', {
      bundle_base64: base64('low'),
    });
    assert.equal(status, 200, JSON.stringify(body));
    const bundles = [(body.bundle as { sha256: string }).sha256];
    assert.equal((await service.control('/api/wallet/policies/activate', { bundles })).status, 200);
    assert.ok(active().includes('low-of-opa'));
  });

  it('are not served to stock OPA: the Rego of their entrypoint is not there', async () => {
    const { status, body } = await service.control('/bundles/low');
    assert.deepEqual([status, body.error], [409, 'conflict']);
  });

  it('are taken from a folder, as `opa build -o` wrote them', async () => {
    mkdirSync(join(folder, 'bundles'));
    for (const profile of PROFILES)
      writeFileSync(join(folder, 'bundles', `${profile}.tar.gz`), packed.get(profile) ?? '');
    await service.reload({ bundles: { ...BUNDLES, source: './bundles' } });
    assert.deepEqual(active().sort(), ['critical-of-opa', 'high-of-opa', 'low-of-opa']);
  });

  it('decide, and explain equal', async () => {
    assert.ok(allowed !== undefined);
    const { verdict, decisionId } = await service.grpc(allowed.request);
    const { evaluated_again, bundle } = await service.explain(decisionId);
    assert.deepEqual([verdict, evaluated_again?.equal], ['allow', true]);
    assert.match(bundle?.revision ?? '', /-of-opa$/);
  });

  it('are refused once their key is gone from the configuration, and what runs stays', async () => {
    const without = { source: './bundles' };
    await assert.rejects(service.reload({ bundles: without }), /bundle_rejected: .*bundles\.opa_keys lacks/);
    assert.equal(active().length, 3);
    assert.ok(active().every((revision) => revision.endsWith('-of-opa')));
  });
});
