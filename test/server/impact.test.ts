import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { fromBase64url } from '../../src/crypto/base64url.ts';
import type { Bundle } from '../../src/policy/bundle.ts';
import { signBundle } from '../../src/policy/signature.ts';
import { writeTar } from '../../src/policy/tar.ts';
import { told } from '../pdp/support.ts';
import { republished } from '../policy/support.ts';
import { bearing, chain } from '../support/kit.ts';
import { type Running, running } from '../support/running.ts';
import { eventually } from '../support/waiting.ts';

const BASE = '/api/wallet/policies';

interface Job {
  readonly state: string;
  readonly error: string | null;
  readonly report: {
    readonly records: number;
    readonly counts: Readonly<Record<string, number>>;
    readonly changes: readonly { readonly decision_id: string }[];
  } | null;
}

interface Shadowed {
  readonly bundles: readonly { readonly revision: string }[];
  readonly counts: Readonly<Record<string, number>>;
  readonly changes: readonly {
    readonly decision_id: string;
    readonly kind: string;
    readonly now: { readonly reason: string };
  }[];
}

/** The default policy decides; the candidate answers what the query's `tell` says. */
describe('policies that are tried', () => {
  let service: Running;
  let folder: string;
  let candidate: Bundle;

  const asking = (tell: string) => bearing(chain(), { path: `/v1/documents/42?tell=${tell}` });
  const publish = (bundle: Bundle) =>
    service.control(`${BASE}/publish`, {
      bundle_base64: gzipSync(writeTar(bundle.files)).toString('base64'),
    });
  const impactPath = (sha256 = candidate.sha256) => `${BASE}/${sha256}/impact`;
  const job = async () => (await service.control(impactPath())).body.impact as Job;
  const shadowed = async () => (await service.control(`${BASE}/shadow`)).body as unknown as Shadowed;
  const shadow = (...bundles: string[]) => service.control(`${BASE}/shadow`, { bundles });

  async function ended(): Promise<Job> {
    await eventually(async () => (await job()).state !== 'running');
    return job();
  }

  beforeEach(async () => {
    folder = mkdtempSync(join(tmpdir(), 'lemma-tried-'));
    service = await running({ folder });
    const seed = fromBase64url(readFileSync(join(folder, '.lemma/keys/bundle.key'), 'utf8').trim());
    candidate = signBundle(republished(told, 100, 'low-100'), seed ?? new Uint8Array());
    await publish(candidate);
  });
  afterEach(async () => {
    await service.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  describe('on the log', () => {
    it('say what they would change about it', async () => {
      await service.grpc(asking('allow'));
      const { decisionId, verdict } = await service.grpc(asking('x_own'));
      const { status, body } = await service.control(impactPath(), {});
      const { state, report } = await ended();
      assert.deepEqual(
        [verdict, status, (body.impact as Job).state, state],
        ['allow', 200, 'running', 'done'],
      );
      assert.deepEqual([report?.counts.same, report?.counts.newly_denied], [1, 1]);
      assert.deepEqual(
        report?.changes.map((change) => change.decision_id),
        [decisionId],
      );
    });

    it('look at the latest decisions, as many as are asked for', async () => {
      await service.grpc(asking('x_own'));
      await service.grpc(asking('allow'));
      await service.control(impactPath(), { last: 1 });
      const { report } = await ended();
      assert.deepEqual([report?.records, report?.counts.same], [1, 1]);
    });

    it('are told of after a restart too', async () => {
      await service.grpc(asking('x_own'));
      await service.control(impactPath(), {});
      await ended();
      await service.stop();
      service = await running({ folder });
      assert.equal((await job()).report?.counts.newly_denied, 1);
    });

    it('can be cancelled, if they have not ended yet, and begun again', async () => {
      await service.control(impactPath(), {});
      const { status } = await service.control(`${impactPath()}/cancel`, {});
      assert.ok([200, 404].includes(status));
      assert.equal((await service.control(impactPath(), {})).status, 200);
      assert.equal((await ended()).state, 'done');
    });

    it('are evaluated one at a time', async () => {
      const both = await Promise.all([0, 1].map(() => service.control(impactPath(), {})));
      assert.deepEqual(both.map(({ status }) => status).sort(), [200, 409]);
      await ended();
    });

    it('must be kept, and must have been tried', async () => {
      const unknown = await service.control(impactPath('0'.repeat(64)), {});
      const untried = await service.control(impactPath());
      assert.deepEqual([unknown.status, untried.status], [404, 404]);
    });

    for (const body of [{ last: 0 }, { last: 100_001 }, { since: 'yesterday' }, { all: true }]) {
      it(`refuse ${JSON.stringify(body)}`, async () => {
        assert.equal((await service.control(impactPath(), body)).status, 400);
      });
    }
  });

  describe('as a shadow', () => {
    it('are asked about what is decided from then on; counted, listed, and no answer changes', async () => {
      await service.grpc(asking('x_own'));
      await shadow(candidate.sha256);
      const { verdict, decisionId } = await service.grpc(asking('x_own'));
      await service.grpc(asking('allow'));
      await eventually(async () => (await shadowed()).counts.same === 1);
      const { bundles, counts, changes } = await shadowed();
      assert.equal(verdict, 'allow');
      assert.deepEqual([bundles.map(({ revision }) => revision), counts.newly_denied], [['low-100'], 1]);
      assert.deepEqual(
        changes.map((change) => [change.decision_id, change.kind, change.now.reason]),
        [[decisionId, 'newly_denied', 'x_own']],
      );
    });

    it('are in the metrics', async () => {
      await shadow(candidate.sha256);
      await service.grpc(asking('x_own'));
      await eventually(async () => (await shadowed()).counts.newly_denied === 1);
      const text = await (await fetch(`http://${service.app.addresses.control}/metrics`)).text();
      assert.match(text, /^lemma_shadow_decisions_total\{outcome="newly_denied"\} 1$/m);
      assert.match(text, /^lemma_shadow_bundle_info\{name="low",revision="low-100",/m);
      assert.match(text, /^lemma_shadow_dropped_total 0$/m);
    });

    it('go on after a restart', async () => {
      await shadow(candidate.sha256);
      await service.stop();
      service = await running({ folder });
      await service.grpc(asking('x_own'));
      await eventually(async () => (await shadowed()).counts.newly_denied === 1);
    });

    it('end', async () => {
      await shadow(candidate.sha256);
      await service.grpc(asking('x_own'));
      await eventually(async () => (await shadowed()).counts.newly_denied === 1);
      assert.deepEqual((await shadow()).body.bundles, []);
      assert.deepEqual((await shadowed()).bundles, []);
    });

    it('must be kept, and one a profile', async () => {
      const seed = fromBase64url(readFileSync(join(folder, '.lemma/keys/bundle.key'), 'utf8').trim());
      const second = signBundle(republished(told, 101, 'low-101'), seed ?? new Uint8Array());
      await publish(second);
      const unknown = await shadow('0'.repeat(64));
      const twice = await shadow(candidate.sha256, second.sha256);
      assert.deepEqual([unknown.status, twice.status, (await shadowed()).bundles], [404, 409, []]);
    });
  });
});
