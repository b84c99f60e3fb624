import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import pg from 'pg';
import { fromBase64url } from '../../src/crypto/base64url.ts';
import { verifyChain } from '../../src/decision-log/verify.ts';
import { loadEmbedded } from '../../src/policy/embedded.ts';
import { signBundle } from '../../src/policy/signature.ts';
import { writeTar } from '../../src/policy/tar.ts';
import { InputError } from '../../src/reason.ts';
import { newKey } from '../authority/support.ts';
import { republished } from '../policy/support.ts';
import { openStream } from '../server/feed-support.ts';
import { idsOf } from '../store/fixture.ts';
import { needPostgres, type Postgres } from '../support/postgres.ts';
import { type Running, running, type VectorCase, vectors } from '../support/running.ts';

function caseNamed(name: string): VectorCase {
  const found = vectors.cases.find((one) => one.name === name);
  if (found === undefined) throw new Error(`no case ${name}`);
  return found;
}

const plain = caseNamed('credential/three-links');
const signed = caseNamed('pop/get');

describe('a service whose store is a PostgreSQL', () => {
  let server: Postgres;
  let url: string;
  let folder: string;
  let lemma: Running | null;

  before(async function () {
    server = await needPostgres(this);
  });
  beforeEach(async () => {
    url = await server.database();
    folder = mkdtempSync(join(tmpdir(), 'lemma-pg-e2e-'));
    lemma = null;
  });
  afterEach(async () => {
    await lemma?.stop();
    rmSync(folder, { recursive: true, force: true });
    await server.drop(url);
  });

  async function start(clock = plain.now): Promise<Running> {
    lemma = await running({ folder, clock: () => clock, config: { store: url, node: 'n1' } });
    return lemma;
  }

  it('decides, kills and explains, over a restart too', async () => {
    let service = await start();
    const answer = await service.grpc(plain.request);
    assert.equal(answer.verdict, 'allow');
    assert.equal((await service.control('/api/wallet/runtimes/bot-1/kill', {})).status, 200);
    assert.equal((await service.grpc(plain.request)).verdict, 'runtime_killed');
    await service.stop();
    service = await start();
    assert.equal((await service.grpc(plain.request)).verdict, 'runtime_killed');
    const explanation = await service.explain(answer.decisionId);
    assert.deepEqual([explanation.decision_id, explanation.verdict], [answer.decisionId, 'allow']);
    const { lines } = await service.records();
    assert.equal(existsSync(join(folder, '.lemma', 'lemma.db')), false);
    assert.deepEqual((await verifyChain(lines, [])).faults, []);
  });

  it('remembers a spent nonce over a restart', async () => {
    // Born well before: what was spent before its birth a database cannot know.
    await (await start(signed.now - 1000)).stop();
    let service = await start();
    assert.equal((await service.grpc(signed.request)).verdict, 'allow');
    await service.stop();
    service = await start();
    assert.equal((await service.grpc(signed.request)).verdict, 'replay_detected');
  });

  it('believes no PoP of before where the database is new and the keys are not', async () => {
    await (await start(signed.now - 1000)).stop();
    await server.drop(url);
    url = await server.database();
    const service = await start();
    assert.equal((await service.grpc(signed.request)).verdict, 'replay_check_unavailable');
  });

  it('remembers a spent nonce of a database that is young, where it is the one of before', async () => {
    let service = await start(signed.now);
    assert.equal((await service.grpc(signed.request)).verdict, 'allow');
    await service.stop();
    service = await start(signed.now + 1);
    assert.equal((await service.grpc(signed.request)).verdict, 'replay_detected');
  });

  describe('that was put back to an older state', () => {
    const epochOf = async () => {
      const client = new pg.Client(url);
      await client.connect();
      const { rows } = await client
        .query("SELECT value FROM lemma.meta WHERE key = 'birth'")
        .finally(() => client.end());
      return Number(rows[0]?.value);
    };
    const fences = (service: Running) => service.logged.filter((line) => /older than what/.test(line)).length;

    it('revives nothing that was killed: a new epoch begins, and what was issued before counts no more', async () => {
      await (await start()).stop();
      const dump = await server.dump(url);
      const before = await epochOf();
      let service = await start();
      assert.equal((await service.control('/api/wallet/runtimes/bot-1/kill', {})).status, 200);
      await service.stop();
      await server.putBack(url, dump);
      service = await start();
      assert.equal((await service.grpc(plain.request)).verdict, 'revoked');
      const fenced = await epochOf();
      assert.deepEqual([fenced > before, fences(service)], [true, 1]);
      await service.stop();
      service = await start();
      assert.equal((await service.grpc(plain.request)).verdict, 'revoked');
      assert.deepEqual([await epochOf(), fences(service)], [fenced, 0]);
    });

    it('gives back no nonce and no budget, though nothing but records came after the dump', async () => {
      const service = await start();
      const dump = await server.dump(url);
      assert.equal((await service.grpc(signed.request)).verdict, 'allow');
      await service.stop();
      await server.putBack(url, dump);
      assert.equal((await (await start()).grpc(signed.request)).verdict, 'revoked');
    });

    it('is not written to by the process that knew another one', async () => {
      const service = await start();
      const dump = await server.dump(url);
      const killed = await service.control('/api/wallet/runtimes/bot-1/kill', {});
      assert.equal(killed.body.durable, true);
      await server.putBack(url, dump);
      const { body } = await service.control('/api/wallet/runtimes/bot-1/contain', {});
      assert.notEqual(body.durable, true, JSON.stringify(body));
      await service.stop();
      assert.equal((await (await start()).grpc(plain.request)).verdict, 'revoked');
    });
  });

  it('makes nothing anew in a database that was emptied under it', async () => {
    const service = await start();
    await server.putBack(url, '');
    const { body } = await service.control('/api/wallet/runtimes/bot-1/contain', {});
    const client = new pg.Client(url);
    await client.connect();
    const { rows } = await client
      .query("SELECT count(*)::int AS schemas FROM pg_namespace WHERE nspname = 'lemma'")
      .finally(() => client.end());
    assert.deepEqual([body.durable === true, rows], [false, [{ schemas: 0 }]], JSON.stringify(body));
  });

  it('shows its password nowhere', async () => {
    const service = await start();
    const password = new URL(url).password;
    assert.equal(service.logged.join().includes(password), false);
  });

  it('says that a backup is for pg_dump', async () => {
    const service = await start();
    const { status, body } = await service.control('/api/wallet/backup', {});
    assert.deepEqual([status, /pg_dump/.test(JSON.stringify(body))], [409, true]);
  });

  describe('by the control API', () => {
    const RUNTIMES = '/api/wallet/runtimes';
    const restarted = async (service: Running): Promise<Running> => {
      await service.stop();
      return start();
    };
    const done = async (service: Running, path: string, body: object) => {
      const answer = await service.control(path, body);
      assert.equal(answer.status, 200, JSON.stringify(answer.body));
      return answer.body;
    };

    it('taints a runtime and approves it, and knows so after a restart', async () => {
      const service = await start();
      await done(service, `${RUNTIMES}/bootstrap`, {
        runtime_id: 'bot-9',
        agent_id: 'bot',
        workspace_id: 'main',
      });
      await done(service, `${RUNTIMES}/issue-proof`, {
        runtime_id: 'bot-9',
        key: newKey(),
        scope: ['documents.read'],
        audience: ['https://api.example.com'],
      });
      await done(service, `${RUNTIMES}/bot-9/taint`, { reason: 'a page said so' });
      const { credential } = await done(service, `${RUNTIMES}/bot-9/approve`, { taint_epoch: 1 });
      assert.equal((credential as { claims: { taint_epoch: number } }).claims.taint_epoch, 1);
      const again = await restarted(service);
      const { runtime, events } = (await again.control(`${RUNTIMES}/bot-9`)).body as {
        runtime: { taint_epoch: number };
        events: { type: string }[];
      };
      const types = new Set(events.map(({ type }) => type));
      assert.deepEqual([runtime.taint_epoch, types.has('taint'), types.has('admin')], [1, true, true]);
    });

    it('reactivates a killed runtime behind a fence, over a restart too', async () => {
      let service = await start();
      await done(service, `${RUNTIMES}/bot-1/kill`, {});
      await done(service, `${RUNTIMES}/bot-1/reactivate`, { taint_epoch: 0, reason: 'a false alarm' });
      const before = (await service.grpc(plain.request)).verdict;
      service = await restarted(service);
      const { body } = await service.control(`${RUNTIMES}/bot-1`);
      const { status, taint_epoch } = body.runtime as { status: string; taint_epoch: number };
      assert.deepEqual([status, taint_epoch], ['active', 1]);
      // What was bound to it before stays dead.
      const dead = ['runtime_killed', 'runtime_killed'];
      assert.deepEqual([before, (await service.grpc(plain.request)).verdict], dead);
    });

    it('kills whatever a subject delegated to, over a restart too', async () => {
      let service = await start();
      const [{ subject }] = vectors.runtimes as [{ subject: string }];
      await done(service, `${RUNTIMES}/kill`, { subject });
      service = await restarted(service);
      const back = { taint_epoch: 0, reason: 'a false alarm' };
      const { status, body } = await service.control(`${RUNTIMES}/bot-1/reactivate`, back);
      assert.deepEqual(
        [(await service.grpc(plain.request)).verdict, status, body.error],
        ['runtime_killed', 409, 'revoked'],
      );
    });

    it('publishes a policy, and goes back, over a restart too', async () => {
      const POLICIES = '/api/wallet/policies';
      const service = await start();
      const low = (await loadEmbedded()).find(({ name }) => name === 'low');
      const seed = fromBase64url(readFileSync(join(folder, '.lemma/keys/bundle.key'), 'utf8').trim());
      assert.ok(low !== undefined && seed !== null);
      for (const serial of [100, 101]) {
        const bundle = signBundle(republished(low, serial, `low-${serial}`), seed);
        await done(service, `${POLICIES}/publish`, {
          bundle_base64: gzipSync(writeTar(bundle.files)).toString('base64'),
        });
        await done(service, `${POLICIES}/activate`, { bundles: [bundle.sha256], reason: 'better' });
      }
      await done(service, `${POLICIES}/rollback`, { profile: 'low', reason: 'worse' });
      const again = await restarted(service);
      const { body } = await again.control(`${POLICIES}/history?profile=low`);
      const bundles = body.bundles as { revision: string; active: boolean }[];
      assert.deepEqual(
        bundles.filter(({ active }) => active).map(({ revision }) => revision),
        ['low-100'],
      );
    });

    it('streams decisions as they are made, and goes on where a reader was', async () => {
      const service = await start();
      const open = (query: string) =>
        openStream(`http://${service.app.addresses.control}${RUNTIMES}/decisions/stream${query}`, {
          authorization: `Bearer ${service.operatorKey}`,
        });
      const first = await open('?verdict=allow');
      await first.next();
      await service.grpc(plain.request);
      const { id } = await first.next(({ event }) => event === 'decision');
      first.close();
      const late = await service.grpc(plain.request);
      const second = await open(`?verdict=allow&after=${id}`);
      assert.deepEqual(await second.decisions(1), [late.decisionId]);
      second.close();
    });

    it('exports what filters ask for, and later what came since', async () => {
      const service = await start();
      const exported = async (query: string) => {
        const answer = await fetch(
          `http://${service.app.addresses.control}${RUNTIMES}/decisions/export?verdict=allow&marks=true${query}`,
          { headers: { authorization: `Bearer ${service.operatorKey}` } },
        );
        const lines = (await answer.text()).split('\n').filter((line) => line !== '');
        const { next_cursor } = JSON.parse(lines.at(-1) ?? '{}') as { next_cursor?: string };
        return { ids: idsOf(lines.slice(0, -1)), next: next_cursor };
      };
      const early = await service.grpc(plain.request);
      const first = await exported('');
      const late = await service.grpc(plain.request);
      const second = await exported(`&after=${first.next}`);
      assert.deepEqual([first.ids, second.ids], [[early.decisionId], [late.decisionId]]);
    });
  });

  it('does not leave a database behind that knows of kills', async () => {
    const service = await start();
    await service.stop();
    writeFileSync(join(folder, '.lemma', 'lemma.db'), '');
    lemma = null;
    await assert.rejects(
      start(),
      (error) => error instanceof InputError && /move it away/.test(error.message),
    );
  });
});
