import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { stringify } from 'yaml';
import { toBase64url } from '../../src/crypto/base64url.ts';
import { lemma } from '../cli/lemma.ts';
import { folders } from '../pdp/support.ts';
import { keyNamed, type WireRequest } from '../support/kit.ts';
import { type NodeProcess, nodeProcess } from '../support/node-process.ts';
import { needPostgres } from '../support/postgres.ts';
import { PATIENT, type Verdict } from '../support/running.ts';
import {
  type Agent,
  ERASE_ROUTE,
  SERVED_ROUTES,
  type Serving,
  servedConfig,
  serving,
} from '../support/serving.ts';

/** So many in CI; `LEMMA_KILL_CYCLES` says another number for each. */
const cyclesOf = (usual: number) => Number(process.env.LEMMA_KILL_CYCLES ?? usual);
const LANES = 8;
/** Allows that are acknowledged before the signal comes. */
const ENOUGH = 40;
const OPERATIONS = 1_000_000;
/** Cycles between two looks at the database as the kill left it. */
const LOOK_EVERY = 10;
/** Of the cycles that kill a node: in one of so many the control plane dies with it. */
const BOTH_EVERY = 3;

type Ask = (request: WireRequest) => Promise<Verdict>;

/** An agent under load, and what it asks for with a nonce. */
interface Writer {
  readonly name: string;
  readonly make: (nonce: string) => WireRequest;
}

interface Load {
  /** Resolves once enough was allowed, to each writer some; or nothing goes on. */
  readonly enough: Promise<unknown>;
  /** Resolves once nobody answers any more. */
  readonly over: Promise<unknown>;
  /** What was allowed and answered; it grows until it is over. */
  readonly acknowledged: { readonly decisionId: string; readonly writer: Writer; readonly nonce: string }[];
}

/** Each writer in lanes of its own, until the service is gone. `wrong` hears of every other answer than an allow. */
function load(ask: Ask, writers: readonly Writer[], cycle: number, wrong: string[]): Load {
  const acknowledged: Load['acknowledged'] = [];
  const enough = Promise.withResolvers<void>();
  const missing = new Set(writers.map(({ name }) => name));
  const lane = async (_: unknown, id: number) => {
    const writer = writers[id % writers.length];
    if (writer === undefined) return;
    for (let n = 0; ; n += 1) {
      const nonce = `n-${cycle}-${id}-${n}`.padEnd(22, 'x');
      const answer = await ask(writer.make(nonce)).catch(() => null);
      if (answer === null) return;
      if (answer.verdict !== 'allow') {
        wrong.push(`cycle ${cycle}: ${writer.name}: ${answer.verdict}`);
        return;
      }
      acknowledged.push({ decisionId: answer.decisionId, writer, nonce });
      missing.delete(writer.name);
      if (acknowledged.length >= ENOUGH && missing.size === 0) enough.resolve();
    }
  };
  const over = Promise.all(Array.from({ length: LANES }, lane));
  // Who was gone too soon shows in what follows: nothing waits for ever.
  over.then(() => enough.resolve(), enough.reject);
  return { enough: enough.promise, over, acknowledged };
}

/** Asks a tenth of it again, of the process that came after: all of it is spent. */
async function replay(ask: Ask, { acknowledged }: Load, cycle: number, wrong: string[]): Promise<void> {
  for (const { writer, nonce } of acknowledged.filter((_, index) => index % 10 === 0)) {
    const { verdict } = await ask(writer.make(nonce));
    if (verdict !== 'replay_detected')
      wrong.push(`cycle ${cycle}: ${writer.name} ${nonce} again: ${verdict}`);
  }
}

/** Which of these decisions no record tells of. */
function lost(decisions: readonly string[], lines: readonly string[]): string[] {
  const kept = new Set(lines.map((line) => String(JSON.parse(line).decision_id)));
  return decisions.filter((id) => !kept.has(id));
}

/** Operations of its budget that the last record of an allow to this runtime counts. */
function usedBy(runtimeId: string, lines: readonly string[]): number {
  const all = lines.map((line) => JSON.parse(line));
  const last = all.findLast(({ verdict, actor }) => verdict === 'allow' && actor.runtime_id === runtimeId);
  return Number(last?.input.budget.used);
}

/** What a cycle's verbs were told to be durable. */
interface Stopped {
  readonly killed: string | null;
  /** Whose key was revoked, with a proof of its, and whose epoch was raised. */
  readonly revoked: Agent | null;
  readonly tainted: string | null;
}

interface StoreCase {
  readonly name: string;
  /** Cycles in CI. */
  readonly usual: number;
  /** What its configuration says of the store. */
  readonly settings: (suite: Mocha.Context) => Promise<object>;
  /** Whether the database can be looked at while no service runs. */
  readonly file: boolean;
}

const STORES: readonly StoreCase[] = [
  { name: 'SQLite', usual: 50, settings: async () => ({}), file: true },
  {
    name: 'a PostgreSQL',
    usual: 20,
    settings: async (suite) => ({ store: await (await needPostgres(suite)).database(), node: 'control' }),
    file: false,
  },
];

for (const { name, usual, settings, file } of STORES) {
  const cycles = cyclesOf(usual);
  describe(`lemma serve on ${name}, killed ${cycles} times under load`, function () {
    this.timeout(cycles * 12_000 + 60_000);
    const temporary = folders();
    const decisions: string[] = [];
    const killed: string[] = [];
    let allowed = 0;
    let folder: string;
    let agent: Agent;
    let service: Serving | undefined;
    const wrong: string[] = [];
    const broken: string[] = [];

    before(async function () {
      const own = await settings(this);
      this.timeout(cycles * 12_000 + 60_000);
      folder = temporary.make();
      const routes = [...SERVED_ROUTES, ERASE_ROUTE];
      const config = { ...servedConfig(), routes, limits: PATIENT, ...own };
      writeFileSync(join(folder, 'lemma.yaml'), stringify(config));
      let running = await serving(folder);
      service = running;
      agent = await running.onboard('bot-1', { operations: OPERATIONS });
      for (let cycle = 1; cycle <= cycles; cycle += 1) {
        const { stopped, done } = await loadAndKill(running, cycle);
        const due = cycle % LOOK_EVERY === 0;
        if (due && file) await look('http://127.0.0.1:9');
        running = await serving(folder);
        service = running;
        if (due && !file) await look(running.controlBase);
        await checkState(running, stopped, cycle);
        await replay(running.grpc, done, cycle, wrong);
      }
    });
    after(async () => {
      await service?.end('SIGKILL');
      temporary.remove();
    });

    /** Parallel writes and a kill of another runtime; the signal comes in the midst of them. */
    async function loadAndKill(running: Serving, cycle: number) {
      const victim = `victim-${cycle}`;
      await running.onboard(victim);
      const revoked = await running.onboard(`revoked-${cycle}`);
      await running.onboard(`tainted-${cycle}`);
      // A binding is too old for critical risk after a while.
      const eraser = await running.onboard(`eraser-${cycle}`);
      const writers = [
        { name: 'high', make: agent.writing },
        { name: 'critical', make: eraser.erasing },
      ];
      const done = load(running.grpc, writers, cycle, wrong);
      const verb = async (path: string, body: object) =>
        (await running.control(`/api/wallet/runtimes/${path}`, body)).body.durable === true;
      const key = toBase64url(keyNamed(`revoked-${cycle}`).public);
      const stopped: Stopped = {
        killed: (await verb(`${victim}/kill`, {})) ? victim : null,
        revoked: (await verb(`revoked-${cycle}/revoke`, { key })) ? revoked : null,
        tainted: (await verb(`tainted-${cycle}/taint`, { reason: 'a page' })) ? `tainted-${cycle}` : null,
      };
      await done.enough;
      // What it said of that.
      if (wrong.some((one) => one.startsWith(`cycle ${cycle}:`))) wrong.push(...running.notes.slice(-5));
      await running.kill('SIGKILL');
      await done.over;
      await running.end('SIGKILL');
      decisions.push(...done.acknowledged.map(({ decisionId }) => decisionId));
      allowed += done.acknowledged.filter(({ writer }) => writer.name === 'high').length;
      return { stopped, done };
    }

    async function look(base: string): Promise<void> {
      const { code, out } = await lemma(folder, ['decisions', 'verify', '--json'], { LEMMA_BASE_URL: base });
      if (code !== 0) broken.push(out);
    }

    /** What was acknowledged in this cycle and before, asked of the process that came after it. */
    async function checkState(
      running: Serving,
      { killed: victim, revoked, tainted }: Stopped,
      cycle: number,
    ) {
      const { runtimes } = (await running.control('/api/wallet/runtimes?limit=1000')).body;
      const all = runtimes as { runtime_id: string; status: string; taint_epoch: number }[];
      const dead = all.filter(({ status }) => status === 'killed').map(({ runtime_id }) => runtime_id);
      if (victim === null) wrong.push(`cycle ${cycle}: the kill was not durable`);
      else killed.push(victim);
      const alive = killed.filter((id) => !dead.includes(id));
      if (alive.length > 0) wrong.push(`cycle ${cycle}: alive again: ${alive}`);
      const verdict = revoked === null ? 'none' : (await running.grpc(revoked.reading())).verdict;
      if (verdict !== 'revoked') wrong.push(`cycle ${cycle}: a revoked key: ${verdict}`);
      if (all.find(({ runtime_id }) => runtime_id === tainted)?.taint_epoch !== 1)
        wrong.push(`cycle ${cycle}: the taint of ${tainted} is gone`);
    }

    const up = () => {
      assert.ok(service !== undefined);
      return service;
    };

    it('gave no wrong answer after any of them: kills, revocations and taints stay, nonces stay spent', () =>
      assert.deepEqual(wrong, []));

    it('left a whole log each time that it was looked at', () => assert.deepEqual(broken, []));

    it('has the record of every allow that was acknowledged, of high risk and of critical', async () =>
      assert.deepEqual(lost(decisions, await up().exported()), []));

    it('has a budget that never grew, and lost no more than what was not answered', async () => {
      const used = usedBy('bot-1', await up().exported());
      assert.ok(used >= allowed && used <= allowed + cycles * LANES, `${used} used, ${allowed} allowed`);
    });

    it('verifies, by its own command', async () => {
      const { code, out } = await lemma(folder, ['decisions', 'verify'], {
        LEMMA_BASE_URL: up().controlBase,
      });
      assert.equal(code, 0, out);
    });
  });
}

describe(`a decision node, killed ${cyclesOf(12)} times under load`, function () {
  const cycles = cyclesOf(12);
  this.timeout(cycles * 15_000 + 60_000);
  const temporary = folders();
  const decisions: string[] = [];
  const wrong: string[] = [];
  let folder: string;
  let plane: Serving | undefined;
  let node: NodeProcess | undefined;
  let lines: string[] = [];

  before(async () => {
    folder = temporary.make();
    writeFileSync(join(folder, 'lemma.yaml'), stringify(servedConfig()));
    let control = await serving(folder);
    plane = control;
    const { body } = await control.control('/api/wallet/keys');
    const keys = body.keys as { use: string; kid: string }[];
    const pin = keys.find(({ use }) => use === 'authority')?.kid ?? '';
    const agent = await control.onboard('bot-1', { operations: OPERATIONS });
    const started = () =>
      nodeProcess({ folder, name: 'edge', control: control.controlBase, token: control.operatorKey, pin });
    let running = await started();
    node = running;
    for (let cycle = 1; cycle <= cycles; cycle += 1) {
      const done = load(running.ask, [{ name: 'high', make: agent.writing }], cycle, wrong);
      await done.enough;
      // Some with what it ships on its way to nobody.
      if (cycle % BOTH_EVERY === 0) await control.end('SIGKILL');
      await running.end('SIGKILL');
      await done.over;
      decisions.push(...done.acknowledged.map(({ decisionId }) => decisionId));
      if (cycle % BOTH_EVERY === 0) control = await serving(folder);
      plane = control;
      running = await started();
      node = running;
      await replay(running.ask, done, cycle, wrong);
    }
    // The last of it is on its way to the control plane yet.
    for (const end = performance.now() + 30_000; performance.now() < end; await sleep(100)) {
      lines = await control.exported();
      if (lost(decisions, lines).length === 0) break;
    }
  });
  after(async () => {
    await node?.end();
    await plane?.end('SIGTERM');
    temporary.remove();
  });

  it('gave no wrong answer after any of them: what was spent stays spent', () => assert.deepEqual(wrong, []));

  it('has shipped the record of every allow that was acknowledged', () =>
    assert.deepEqual(lost(decisions, lines), []));

  it('has a budget that never grew, and lost no more than what was not answered', () => {
    const used = usedBy('bot-1', lines);
    const allowed = decisions.length;
    assert.ok(used >= allowed && used <= allowed + cycles * LANES, `${used} used, ${allowed} allowed`);
  });

  it('leaves the log of the control plane whole', async () => {
    const { code, out } = await lemma(folder, ['decisions', 'verify'], {
      LEMMA_BASE_URL: plane?.controlBase ?? '',
    });
    assert.equal(code, 0, out);
  });
});
