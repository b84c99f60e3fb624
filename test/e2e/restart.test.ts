import assert from 'node:assert/strict';
import { existsSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { publicKeyOf } from '#runtime';
import { loadKeys } from '../../src/authority/keys.ts';
import { thumbprint } from '../../src/crypto/thumbprint.ts';
import { verifyChain } from '../../src/decision-log/verify.ts';
import type { DecisionRecord } from '../../src/schema/decision.ts';
import { openStore } from '../../src/store/store.ts';
import { lemma } from '../cli/lemma.ts';
import { databaseOf, folders, times } from '../pdp/support.ts';
import { request } from '../support/kit.ts';
import { type Agent, SERVED_ROUTES, type Serving, servedConfig, serving } from '../support/serving.ts';

const LANES = 8;
const ENOUGH = 150;

/** Parallel clients on a high route; the signal comes in the midst of them. */
async function load(service: Serving, agent: Agent, signal: 'SIGTERM' | 'SIGKILL') {
  const allowed: string[] = [];
  const enough = Promise.withResolvers<void>();
  const lane = async () => {
    for (;;) {
      const answer = await service.grpc(agent.writing()).catch(() => null);
      if (answer === null) return;
      if (answer.verdict === 'allow') allowed.push(answer.decisionId);
      if (allowed.length >= ENOUGH) enough.resolve();
    }
  };
  const lanes = times(LANES, lane);
  await enough.promise;
  const code = await service.kill(signal);
  await Promise.all(lanes);
  return { allowed, code };
}

/** What the chain's verifier finds in lines, with the checkpoints that stand in the folder's database. */
async function faultsOf(lines: readonly string[], folder: string): Promise<unknown> {
  const store = await openStore({ path: databaseOf(folder), clock: Date.now });
  const checkpoints = await store.checkpoints();
  await store.close();
  const key = publicKeyOf(loadKeys(join(folder, '.lemma')).checkpoint);
  return (await verifyChain(lines, checkpoints, new Map([[thumbprint(key), key]]))).faults;
}

function missingFrom(lines: readonly string[], ids: readonly string[]): string[] {
  const kept = new Set(lines.map((line) => (JSON.parse(line) as DecisionRecord).decision_id));
  return ids.filter((id) => !kept.has(id));
}

for (const signal of ['SIGTERM', 'SIGKILL'] as const) {
  describe(`lemma serve, stopped under load by ${signal}`, () => {
    const OPERATIONS = ENOUGH + 50;
    const temporary = folders();
    let folder: string;
    let agent: Agent;
    let killed: Agent;
    let stopped: Awaited<ReturnType<typeof load>>;
    let service: Serving;
    let lines: string[];

    before(async () => {
      folder = temporary.make();
      const first = await serving(folder);
      agent = await first.onboard('bot-7', { operations: OPERATIONS });
      killed = await first.onboard('bot-8');
      await first.control('/api/wallet/runtimes/bot-8/kill', {});
      stopped = await load(first, agent, signal);
      await first.end(signal);
      service = await serving(folder);
      lines = await service.exported();
    });
    after(async () => {
      await service.end('SIGKILL');
      temporary.remove();
    });

    it('has the record of every allow that was acknowledged', () => {
      assert.deepEqual(missingFrom(lines, stopped.allowed), []);
    });

    it('knows the kill that was acknowledged', async () => {
      assert.equal((await service.grpc(killed.writing())).verdict, 'runtime_killed');
    });

    it('has a budget that did not grow', async () => {
      const more = await Promise.all(times(100, () => service.grpc(agent.writing())));
      const left = more.filter(({ verdict }) => verdict === 'allow').length;
      // What was counted but not answered may be lost: the lanes' last requests, no more.
      const total = stopped.allowed.length + left;
      assert.equal(total <= OPERATIONS && total >= OPERATIONS - LANES, true, `${total} of ${OPERATIONS}`);
    });

    it('has a whole chain, with the checkpoints that were signed', async () => {
      lines = await service.exported();
      await service.end('SIGTERM');
      assert.deepEqual(await faultsOf(lines, folder), []);
    });

    if (signal === 'SIGTERM') {
      it('ended with exit code 0', () => assert.equal(stopped.code, 0));
    }
  });
}

describe('lemma serve, in an empty folder', () => {
  const PORTS = ['--listen-grpc', '--listen-decision', '--listen-control'];
  const temporary = folders();
  let service: Serving;

  before(async () => {
    service = await serving(
      temporary.make(),
      PORTS.flatMap((flag) => [flag, '127.0.0.1:0']),
    );
  });
  after(async () => {
    await service.end('SIGTERM');
    temporary.remove();
  });

  it('makes keys, a database and an operator', () => {
    const made = ['keys/issuer.key', 'lemma.db', 'operator.key'];
    assert.deepEqual(
      made.filter((name) => !existsSync(join(service.folder, '.lemma', name))),
      [],
    );
  });

  it('makes folders 0700 and files 0600', () => {
    const found = modes(join(service.folder, '.lemma'));
    const wanted = found.map(([path]) => [path, statSync(path).isDirectory() ? 0o700 : 0o600]);
    assert.deepEqual(found, wanted);
  });

  it('denies everything: no route is open', async () => {
    assert.equal((await service.grpc(request())).verdict, 'route_unknown');
  });
});

describe('lemma serve, in its folder', () => {
  const temporary = folders();
  let service: Serving;

  before(async () => {
    service = await serving(temporary.make());
  });
  after(async () => {
    await service.end('SIGTERM');
    temporary.remove();
  });

  describe('against a second one', () => {
    let second: Awaited<ReturnType<typeof lemma>>;
    before(async () => {
      second = await lemma(service.folder, ['serve', '--config', 'lemma.yaml']);
    });

    it('is refused', () => assert.equal(second.code, 1));

    it('says what to do', () => {
      assert.match(second.err, /lemma\.db is in use by another Lemma process: stop that one first/);
    });

    it('goes on itself', async () => {
      const agent = await service.onboard('bot-7');
      assert.equal((await service.grpc(agent.writing())).verdict, 'allow');
    });
  });

  describe('takes a changed file', () => {
    const open = { ...SERVED_ROUTES[0], id: 'status', path: '/status', scope: [], public: true };

    /** Writes the file, and resolves with what the service says of it. */
    async function change(text: string): Promise<string> {
      const from = service.notes.length;
      writeFileSync(join(service.folder, 'lemma.yaml'), text);
      return service.noted(/RELOADED|Configuration reloaded/, from);
    }
    const withOpenRoute = () => stringify({ ...servedConfig(), routes: [...SERVED_ROUTES, open] });
    const ask = async () => (await service.grpc(request({ path: '/status' }))).verdict;

    it('and a new route works', async () => {
      await change(withOpenRoute());
      assert.equal(await ask(), 'allow');
    });

    it('but a broken one it refuses, and says so', async () => {
      assert.match(await change('routes: ['), /NOT RELOADED: revision [0-9a-f]+ goes on/);
    });

    it('but a broken one leaves the old one in force', async () => {
      await change('routes: [ {');
      assert.equal(await ask(), 'allow');
    });

    it('and a route that is gone is gone', async () => {
      await change(stringify(servedConfig()));
      assert.equal(await ask(), 'route_unknown');
    });
  });
});

/** Every file and folder below, itself included, with its permissions. */
function modes(path: string): [string, number][] {
  const stat = statSync(path);
  const below = stat.isDirectory() ? readdirSync(path).flatMap((name) => modes(join(path, name))) : [];
  return [[path, stat.mode & 0o777], ...below];
}
