import assert from 'node:assert/strict';
import { toBase64url } from '../../src/crypto/base64url.ts';
import { lemma } from '../cli/lemma.ts';
import { folders, times } from '../pdp/support.ts';
import { keyNamed } from '../support/kit.ts';
import { type Agent, type Serving, serving } from '../support/serving.ts';

/** CI runs all of them; a local run may have fewer. */
const CYCLES = process.env.CI === undefined ? Number(process.env.LEMMA_KILL_CYCLES ?? 50) : 50;
const LANES = 8;
/** Allows that are acknowledged before the signal comes. */
const ENOUGH = 40;
const OPERATIONS = 1_000_000;
/** Cycles between two looks at the database as the kill left it. */
const LOOK_EVERY = 10;

interface Acknowledged {
  readonly decisions: string[];
  /** Nonces of allowed requests, of the last cycle. */
  nonces: string[];
  killed: string | null;
  /** Whose key was revoked, with a proof of its, and whose epoch was raised. */
  revoked: Agent | null;
  tainted: string | null;
}

describe(`lemma serve, killed ${CYCLES} times under load`, function () {
  this.timeout(CYCLES * 12_000);
  const temporary = folders();
  const known: Acknowledged = { decisions: [], nonces: [], killed: null, revoked: null, tainted: null };
  let folder: string;
  let agent: Agent;
  let service: Serving;
  const wrong: string[] = [];
  const broken: string[] = [];

  before(async () => {
    folder = temporary.make();
    service = await serving(folder);
    agent = await service.onboard('bot-1', { operations: OPERATIONS });
    for (let cycle = 1; cycle <= CYCLES; cycle += 1) {
      await loadAndKill(cycle);
      if (cycle % LOOK_EVERY === 0) await look();
      service = await serving(folder);
      await checkState(cycle);
    }
  });
  after(async () => {
    await service.end('SIGKILL');
    temporary.remove();
  });

  /** Parallel writes and a kill of another runtime; the signal comes in the midst of them. */
  async function loadAndKill(cycle: number): Promise<void> {
    const victim = `victim-${cycle}`;
    await service.onboard(victim);
    const revoked = await service.onboard(`revoked-${cycle}`);
    await service.onboard(`tainted-${cycle}`);
    known.nonces = [];
    const enough = Promise.withResolvers<void>();
    let count = 0;
    const lane = async (_: unknown, id: number) => {
      for (let n = 0; ; n += 1) {
        const nonce = `n-${cycle}-${id}-${n}`.padEnd(22, 'x');
        const answer = await service.grpc(agent.writing(nonce)).catch(() => null);
        if (answer === null) return;
        if (answer.verdict !== 'allow') wrong.push(`cycle ${cycle}: ${answer.verdict}`);
        known.decisions.push(answer.decisionId);
        known.nonces.push(nonce);
        count += 1;
        if (count >= ENOUGH) enough.resolve();
      }
    };
    const lanes = Array.from({ length: LANES }, lane);
    const { body } = await service.control(`/api/wallet/runtimes/${victim}/kill`, {});
    known.killed = body.durable === true ? victim : null;
    const key = toBase64url(keyNamed(`revoked-${cycle}`).public);
    const taking = await service.control(`/api/wallet/runtimes/revoked-${cycle}/revoke`, { key });
    known.revoked = taking.body.durable === true ? revoked : null;
    const tainting = await service.control(`/api/wallet/runtimes/tainted-${cycle}/taint`, {
      reason: 'a page',
    });
    known.tainted = tainting.body.durable === true ? `tainted-${cycle}` : null;
    await enough.promise;
    await service.kill('SIGKILL');
    await Promise.all(lanes);
    await service.end('SIGKILL');
  }

  async function look(): Promise<void> {
    const { code, out } = await lemma(folder, ['decisions', 'verify', '--json'], {
      LEMMA_BASE_URL: 'http://127.0.0.1:9',
    });
    if (code !== 0) broken.push(out);
  }

  /** What was acknowledged in this cycle, asked of the process that came after it. */
  async function checkState(cycle: number): Promise<void> {
    const { runtimes } = (await service.control('/api/wallet/runtimes?limit=1000')).body;
    const all = runtimes as { runtime_id: string; status: string; taint_epoch: number }[];
    const { revoked, tainted } = known;
    const verdict = revoked === null ? 'none' : (await service.grpc(revoked.reading())).verdict;
    if (verdict !== 'revoked') wrong.push(`cycle ${cycle}: a revoked key: ${verdict}`);
    if (all.find(({ runtime_id }) => runtime_id === tainted)?.taint_epoch !== 1)
      wrong.push(`cycle ${cycle}: the taint of ${tainted} is gone`);
    const killed = all.filter(({ status }) => status === 'killed');
    const expected = times(cycle, (n) => `victim-${n + 1}`).filter((id) => id !== null);
    const alive = expected.filter((id) => !killed.some(({ runtime_id }) => runtime_id === id));
    if (known.killed !== null && alive.length > 0) wrong.push(`cycle ${cycle}: alive again: ${alive}`);
    const replayed = known.nonces.filter((_, index) => index % 10 === 0);
    for (const nonce of replayed) {
      const { verdict } = await service.grpc(agent.writing(nonce));
      if (verdict !== 'replay_detected') wrong.push(`cycle ${cycle}: nonce ${nonce} again: ${verdict}`);
    }
  }

  it('gave no wrong answer after any of them: kills, revocations and taints stay, nonces stay spent', () =>
    assert.deepEqual(wrong, []));

  it('left a whole log each time that it was looked at', () => assert.deepEqual(broken, []));

  it('has the record of every allow that was acknowledged', async () => {
    const kept = new Set((await service.exported()).map((line) => JSON.parse(line).decision_id));
    assert.deepEqual(
      known.decisions.filter((id) => !kept.has(id)),
      [],
    );
  });

  it('has a budget that never grew, and lost no more than what was not answered', async () => {
    const [last] = (await service.exported()).reverse().filter((line) => line.includes('"verdict":"allow"'));
    const { used } = JSON.parse(last ?? '{}').input.budget;
    const allowed = known.decisions.length;
    assert.ok(used >= allowed && used <= allowed + CYCLES * LANES, `${used} used, ${allowed} allowed`);
  });

  it('verifies, by its own command', async () => {
    const { code, out } = await lemma(folder, ['decisions', 'verify'], {
      LEMMA_BASE_URL: service.controlBase,
    });
    assert.equal(code, 0, out);
  });
});
