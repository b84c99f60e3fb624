import assert from 'node:assert/strict';
import fc from 'fast-check';
import { decide } from '../../src/pdp/decide.ts';
import type { Decision, DecisionRecord } from '../../src/schema/decision.ts';
import { bearing, chain, keys } from '../support/kit.ts';
import { type Running, running, type Verdict } from '../support/running.ts';
import {
  asked,
  type Composed,
  composed,
  folders,
  registration,
  tally,
  times,
  untilFull,
  writing,
} from './support.ts';

const chainOf = (runtime_id: string) => chain({ runtime: { claims: { runtime_id } } });

/** Commits that wait until they are let through, one by one. */
function heldCommits() {
  const waiting: (() => Promise<unknown>)[] = [];
  let arrived = Promise.withResolvers<void>();
  return {
    commit<T>(write: () => Promise<T>): Promise<T> {
      return new Promise((resolve, reject) => {
        waiting.push(() => write().then(resolve, reject));
        arrived.resolve();
      });
    },
    /** Resolves once a commit waits. */
    async arrival(): Promise<void> {
      if (waiting.length === 0) await arrived.promise;
    },
    /** Lets the oldest through, and resolves when it is done; false where none waits. */
    async release(): Promise<boolean> {
      const next = waiting.shift();
      if (waiting.length === 0) arrived = Promise.withResolvers<void>();
      await next?.();
      return next !== undefined;
    },
  };
}

describe('kill, while requests are under way', () => {
  const temporary = folders();
  let held: ReturnType<typeof heldCommits>;
  let parts: Composed;

  beforeEach(async () => {
    held = heldCommits();
    parts = await composed(temporary.make(), { commit: (write) => held.commit(write) });
  });
  afterEach(async () => {
    // A record behind its answer may come to its commit only now.
    const closed = parts.close().then(() => false);
    while (await Promise.race([closed, held.arrival().then(() => true)])) await held.release();
    temporary.remove();
  });

  /** A request that is decided, and whose record waits for the disk, while the kill is asked for and answered. */
  async function killedMeanwhile(): Promise<Decision> {
    const answer = decide(asked(writing(chain())), parts.pdp);
    await held.arrival();
    await parts.stops.kill('bot-1');
    while (await Promise.race([answer.then(() => false), held.arrival().then(() => true)]))
      await held.release();
    return answer;
  }

  async function linesOf({ decision_id }: Decision): Promise<DecisionRecord[]> {
    const lines = await parts.store.recordById(decision_id, 'any');
    return lines.map((line) => JSON.parse(line) as DecisionRecord);
  }

  it('turns an allow that was decided before and answered after', async () => {
    const { verdict, reason } = await killedMeanwhile();
    assert.deepEqual([verdict, reason], ['deny', 'runtime_killed']);
  });

  it('amends the record, under the same decision id', async () => {
    const records = await linesOf(await killedMeanwhile());
    assert.deepEqual(
      records.map(({ verdict, reason, stage, amends }) => [verdict, reason, stage, amends]),
      [
        ['allow', 'allowed', 'policy', false],
        ['deny', 'runtime_killed', 'answer', true],
      ],
    );
  });

  it('turns one on a low route, with a budget, too', async () => {
    const links = chain({ run: { claims: { budget: { operations: 3 } } } });
    const answer = decide(asked(bearing(links)), parts.pdp);
    await held.arrival();
    await parts.stops.kill('bot-1');
    while (await Promise.race([answer.then(() => false), held.arrival().then(() => true)]))
      await held.release();
    assert.equal((await answer).reason, 'runtime_killed');
  });

  it('turns one whose link is revoked meanwhile', async () => {
    const links = chain();
    const answer = decide(asked(writing(links)), parts.pdp);
    await held.arrival();
    await parts.stops.revoke({ kind: 'lemma', value: links[1]?.id ?? '' });
    while (await Promise.race([answer.then(() => false), held.arrival().then(() => true)]))
      await held.release();
    assert.equal((await answer).reason, 'revoked');
  });

  it('leaves another runtime alone', async () => {
    parts.register('bot-2');
    const answer = decide(asked(writing(chainOf('bot-2'))), parts.pdp);
    await held.arrival();
    await parts.stops.kill('bot-1');
    await held.release();
    assert.equal((await answer).verdict, 'allow');
  });

  it('lets no allow out after its answer, however requests, commits and the kill interleave', async () => {
    let serial = 0;
    const step = fc.constantFrom('write', 'read', 'commit', 'kill');
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 3, maxLength: 16 }), async (steps) => {
        serial += 1;
        const id = `bot-p${serial}`;
        parts.register(id);
        let killAnswered = false;
        const late: Decision[] = [];
        const answers: Promise<void>[] = [];
        const kill = async () => {
          await parts.stops.kill(id);
          killAnswered = true;
        };
        const ask = async (one: ReturnType<typeof writing>) => {
          const decision = await decide(asked(one), parts.pdp);
          if (killAnswered) late.push(decision);
        };
        for (const one of steps) {
          if (one === 'write') answers.push(ask(writing(chainOf(id))));
          else if (one === 'read') answers.push(ask(bearing(chainOf(id))));
          else if (one === 'kill') await kill();
          else await held.release();
          await new Promise((resolve) => setImmediate(resolve));
        }
        let open = true;
        const all = Promise.all(answers).then(() => {
          open = false;
        });
        while (open) {
          await Promise.race([all, held.arrival()]);
          await held.release();
        }
        while (await held.release());
        assert.deepEqual(
          late.filter(({ verdict }) => verdict === 'allow'),
          [],
        );
      }),
      { numRuns: 100 },
    );
  });
});

describe('kill, through the control API and the gRPC port', () => {
  const temporary = folders();
  let folder: string;
  let service: Running;

  before(async () => {
    folder = temporary.make();
    service = await running({ folder });
  });
  after(async () => {
    await service.stop();
    temporary.remove();
  });

  async function restart(): Promise<void> {
    await service.stop();
    service = await running({ folder });
  }

  const kill = (id: string) => service.control(`/api/wallet/runtimes/${id}/kill`, {});
  const bootstrap = (id: string) => {
    const { runtime_id, agent_id, workspace_id, profile, subject } = registration(id);
    return service.control('/api/wallet/runtimes/bootstrap', {
      runtime_id,
      agent_id,
      workspace_id,
      profile,
      subject,
    });
  };

  it('no request that is sent after its answer is allowed, however many are under way', async () => {
    let serial = 0;
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 1, max: 24 }),
        fc.nat({ max: 23 }),
        fc.array(fc.boolean(), { minLength: 24, maxLength: 24 }),
        async (count, at, kinds) => {
          serial += 1;
          const id = `bot-r${serial}`;
          await bootstrap(id);
          const before: Promise<Verdict>[] = [];
          let killing: Promise<unknown> = Promise.resolve();
          for (let i = 0; i < count; i += 1) {
            if (i === at % count) killing = kill(id);
            const links = chainOf(id);
            before.push(service.grpc(kinds[i] === true ? writing(links) : bearing(links)));
          }
          await killing;
          const after = times(4, (i) =>
            service[i % 2 === 0 ? 'grpc' : 'rest'](i < 2 ? writing(chainOf(id)) : bearing(chainOf(id))),
          );
          assert.deepEqual(tally(await Promise.all(after)), { runtime_killed: 4 });
          const { allow = 0, runtime_killed = 0 } = tally(await Promise.all(before));
          assert.equal(allow + runtime_killed, count);
        },
      ),
      { numRuns: 25 },
    );
  });

  it('what was answered while it came is what the last record says', async () => {
    await bootstrap('bot-last');
    const answers = times(40, () => service.grpc(writing(chainOf('bot-last'))));
    const killing = kill('bot-last');
    const more = times(40, () => service.grpc(writing(chainOf('bot-last'))));
    const verdicts = await Promise.all([...answers, ...more]);
    await killing;
    const { records } = await service.records();
    const last = new Map(records.map((record) => [record.decision_id, record]));
    assert.deepEqual(
      verdicts.filter(({ decisionId, verdict }) => {
        const record = last.get(decisionId);
        return (record?.verdict === 'allow' ? 'allow' : record?.reason) !== verdict;
      }),
      [],
    );
  });

  it('gives its first answer again, and says that it is durable', async () => {
    await bootstrap('bot-twice');
    const first = await kill('bot-twice');
    const second = await kill('bot-twice');
    assert.deepEqual([first.body.durable, second.body], [true, first.body]);
  });

  it('leaves a runtime that cannot be registered again', async () => {
    await bootstrap('bot-again');
    await kill('bot-again');
    const { status, body } = await bootstrap('bot-again');
    assert.deepEqual([status, body.error], [409, 'runtime_killed']);
  });

  it('leaves a runtime that gets no proof', async () => {
    await bootstrap('bot-proofless');
    await kill('bot-proofless');
    const { status, body } = await service.control('/api/wallet/runtimes/issue-proof', {
      runtime_id: 'bot-proofless',
      key: Buffer.from(keys.runtime.public).toString('base64url'),
      scope: ['documents.read'],
      audience: ['https://api.example.com'],
    });
    assert.deepEqual([status, body.error], [409, 'runtime_killed']);
  });

  it('survives a restart', async () => {
    await bootstrap('bot-restarted');
    await kill('bot-restarted');
    await restart();
    assert.equal((await service.grpc(bearing(chainOf('bot-restarted')))).verdict, 'runtime_killed');
  });

  it('leaves a runtime that cannot be registered again after a restart either', async () => {
    await bootstrap('bot-back');
    await kill('bot-back');
    await restart();
    assert.equal((await bootstrap('bot-back')).status, 409);
  });

  it('survives that the file withdraws the runtime and brings it back', async () => {
    const bots = ['bot-1', 'bot-file'].map(registration);
    await service.reload({ runtimes: bots });
    await kill('bot-file');
    await service.reload({ runtimes: bots.slice(0, 1) });
    await service.reload({ runtimes: bots });
    assert.equal((await service.grpc(bearing(chainOf('bot-file')))).verdict, 'runtime_killed');
  });

  it('of a runtime of the file survives a restart', async () => {
    await kill('bot-1');
    await restart();
    assert.equal((await service.grpc(bearing(chain()))).verdict, 'runtime_killed');
  });

  it('knows nobody that is not registered', async () => {
    assert.equal((await kill('nobody')).status, 404);
  });
});

describe('kill, with a full disk', () => {
  const temporary = folders();
  let folder: string;
  let service: Running;

  before(async () => {
    folder = temporary.make();
    service = await running({ folder, config: { log: { max_bytes: 1 } } });
    await untilFull(service);
  });
  after(async () => {
    await service.stop();
    temporary.remove();
  });

  const bots = ['bot-1', 'bot-2', 'bot-3'];
  const kill = (id: string) => service.control(`/api/wallet/runtimes/${id}/kill`, {});

  it('is durable all the same: events have room in reserve', async () => {
    await service.reload({ runtimes: bots.map(registration), log: { max_bytes: 1 } });
    assert.deepEqual((await kill('bot-2')).body.durable, true);
  });

  describe('down to the reserve', () => {
    before(async () => {
      // Ever smaller notes, until not even an event of the size of a kill finds room.
      for (const size of [500, 100, 1]) {
        const reason = 'é'.repeat(size);
        for (let full = false; !full; ) {
          const revocations = times(100, (i) =>
            service.control('/api/wallet/runtimes/bot-1/revoke', {
              lemma_id: `lem_${Buffer.from(`${size}-${i}-${Math.random()}`.padEnd(16).slice(0, 16)).toString('base64url')}`,
              reason,
            }),
          );
          full = (await Promise.all(revocations)).some(({ body }) => body.durable === false);
        }
      }
      // What has no room for a revocation may have some for a kill: these are smaller than the one that is looked at.
      const fillers = times(200, (i) => `b${String(i).padStart(3, '0')}`);
      await service.reload({ runtimes: [...bots, ...fillers].map(registration), log: { max_bytes: 1 } });
      const left = [...fillers];
      while ((await kill(left.pop() ?? 'none')).body.durable !== false) assert.ok(left.length > 0);
    });

    it('says that it is not durable', async () => {
      assert.deepEqual((await kill('bot-3')).body.durable, false);
    });

    it('holds all the same', async () => {
      await kill('bot-3');
      assert.equal((await service.grpc(bearing(chainOf('bot-3')))).verdict, 'runtime_killed');
    });

    it('is durable once there is room, and it is asked for again', async () => {
      await service.stop();
      service = await running({ folder, config: { runtimes: bots.map(registration) } });
      assert.deepEqual((await kill('bot-3')).body.durable, true);
    });
  });
});
