import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { verifyChain } from '../../src/decision-log/verify.ts';
import { InputError } from '../../src/reason.ts';
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
