import assert from 'node:assert/strict';
import { bearing, chain, keys } from '../support/kit.ts';
import { type Running, running } from '../support/running.ts';
import { anotherRun, folders, tally, times, withRun, writing } from './support.ts';

const N = 20;

describe('budgets, through the real gRPC port', () => {
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

  /** PoP requests on a high route, all at once. */
  const race = async (count: number, links: Parameters<typeof writing>[0], key = keys.run) =>
    tally(await Promise.all(times(count, () => service.grpc(writing(links, key)))));

  it('of a run let exactly N of 3N raced requests pass', async () => {
    assert.deepEqual(await race(3 * N, withRun(N)), { allow: N, budget_exhausted: 2 * N });
  });

  it('hold for the gRPC port and its mirror together', async () => {
    const links = withRun(N);
    const all = times(3 * N, (i) => service[i % 2 === 0 ? 'grpc' : 'rest'](writing(links, keys.run)));
    assert.deepEqual(tally(await Promise.all(all)), { allow: N, budget_exhausted: 2 * N });
  });

  it('that are spent stay so after a restart', async () => {
    const links = withRun(N);
    await race(3 * N, links);
    await restart();
    assert.deepEqual(await race(5, links), { budget_exhausted: 5 });
  });

  it('that are spent in part have the rest after a restart', async () => {
    const links = withRun(N);
    await race(N - 3, links);
    await restart();
    assert.deepEqual(await race(N, links), { allow: 3, budget_exhausted: N - 3 });
  });

  it('get back what a denial by policy took', async () => {
    const links = withRun(3);
    await Promise.all(times(5, () => service.grpc(bearing(links, { method: 'PUT' }))));
    assert.deepEqual(await race(5, links), { allow: 3, budget_exhausted: 2 });
  });

  it('are not counted for a denial by policy after a restart either', async () => {
    const links = withRun(3);
    await Promise.all(times(5, () => service.grpc(bearing(links, { method: 'PUT' }))));
    await restart();
    assert.deepEqual(await race(5, links), { allow: 3, budget_exhausted: 2 });
  });

  it('get back nothing for a replay, which spent nothing', async () => {
    const links = withRun(2);
    const once = writing(links, keys.run);
    await Promise.all(times(4, () => service.grpc(once)));
    assert.deepEqual(await race(3, links), { allow: 1, budget_exhausted: 2 });
  });

  it('of a runtime count its own operations and those of all its runs', async () => {
    const above = chain({ runtime: { claims: { budget: { operations: N } } } });
    const runs = ['run-a', 'run-b'].map((name) => anotherRun(above, name));
    const all = times(3 * N, (i) => {
      const run = runs[i % 3];
      return service.grpc(run === undefined ? writing(above) : writing(run.links, run.key));
    });
    assert.deepEqual(tally(await Promise.all(all)), { allow: N, budget_exhausted: 2 * N });
  });

  it('of a runtime count all its runs after a restart', async () => {
    const above = chain({ runtime: { claims: { budget: { operations: N } } } });
    const [first, second] = [anotherRun(above, 'run-a'), anotherRun(above, 'run-b')];
    await race(N - 1, first.links, first.key);
    await restart();
    assert.deepEqual(await race(5, second.links, second.key), { allow: 1, budget_exhausted: 4 });
  });

  it('of one run leave another run of the runtime its own', async () => {
    const links = withRun(2);
    await race(5, links);
    const other = anotherRun(links, 'run-b', 3);
    assert.deepEqual(await race(5, other.links, other.key), { allow: 3, budget_exhausted: 2 });
  });

  it('count requests without a PoP on a low route too', async () => {
    const links = withRun(N);
    const all = await Promise.all(times(2 * N, () => service.grpc(bearing(links))));
    assert.deepEqual(tally(all), { allow: N, budget_exhausted: N });
  });

  it('count requests without a PoP durably', async () => {
    const links = withRun(N);
    await Promise.all(times(N, () => service.grpc(bearing(links))));
    await restart();
    assert.equal((await service.grpc(bearing(links))).verdict, 'budget_exhausted');
  });

  it('show the policy what is used, this request included', async () => {
    const links = withRun(7);
    await service.grpc(writing(links, keys.run));
    const { decisionId } = await service.grpc(writing(links, keys.run));
    assert.deepEqual((await service.explain(decisionId)).record.input?.budget, { limit: 7, used: 2 });
  });
});
