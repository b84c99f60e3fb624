import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { verifyChain } from '../../src/decision-log/verify.ts';
import { InputError } from '../../src/reason.ts';
import { needPostgres, type Postgres } from '../support/postgres.ts';
import { type Running, running, vectors } from '../support/running.ts';

const allowed = vectors.cases.filter(({ expect, level }) => expect === 'allow' && level === 'full');
const [first, second] = allowed;

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

  async function start(clock = first?.now ?? 0): Promise<Running> {
    lemma = await running({ folder, clock: () => clock, config: { store: url, node: 'n1' } });
    return lemma;
  }

  it('decides, remembers spent nonces and kills over a restart, and explains', async () => {
    assert.ok(first && second);
    let service = await start();
    const answer = await service.grpc(first.request);
    assert.equal(answer.verdict, 'allow');
    const { status } = await service.control('/api/wallet/runtimes/bot-1/kill', {});
    assert.equal(status, 200);
    assert.equal((await service.grpc(second.request)).verdict, 'runtime_killed');
    await service.stop();
    service = await start();
    assert.equal((await service.grpc(second.request)).verdict, 'runtime_killed');
    const explanation = await service.explain(answer.decisionId);
    assert.equal(explanation.decision_id, answer.decisionId);
    const { lines } = await service.records();
    assert.deepEqual((await verifyChain(lines, [])).faults, []);
    assert.equal(existsSync(join(folder, '.lemma', 'lemma.db')), false);
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
