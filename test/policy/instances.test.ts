import assert from 'node:assert/strict';
import { setImmediate as turn } from 'node:timers/promises';
import { Instances } from '../../src/policy/instances.ts';

interface Fake {
  readonly number: number;
  reusable: boolean;
}

/** Counts what is made, and can be told that the host has no memory. */
function maker() {
  const state = { made: 0, scarce: false };
  const make = (): Fake => {
    if (state.scarce) throw new Error('no memory');
    return { number: ++state.made, reusable: true };
  };
  return { state, make };
}

function instancesOf(make: () => Fake, keepSpare: boolean): Instances<Fake> {
  return new Instances(make(), { now: make, soon: async () => make() }, keepSpare);
}

function fail(instances: Instances<Fake>): void {
  const taken = instances.take();
  taken.reusable = false;
  instances.giveBack(taken);
}

describe('instances of a policy', () => {
  /** With all that it makes by itself. */
  async function settled(make: () => Fake, keepSpare: boolean): Promise<Instances<Fake>> {
    const instances = instancesOf(make, keepSpare);
    await turn();
    return instances;
  }

  it('are made one in a turn, with a spare', async () => {
    const { state, make } = maker();
    instancesOf(make, true);
    assert.equal(state.made, 1);
    await turn();
    assert.equal(state.made, 2);
  });

  it('are one where no spare is wanted', async () => {
    const { state, make } = maker();
    await settled(make, false);
    assert.equal(state.made, 1);
  });

  it('serve again after an evaluation', async () => {
    const instances = await settled(maker().make, true);
    const first = instances.take();
    instances.giveBack(first);
    assert.equal(instances.take(), first);
  });

  it('are followed by the spare after a failure, without one made for the request', async () => {
    const { state, make } = maker();
    const instances = await settled(make, true);
    fail(instances);
    instances.take();
    assert.equal(state.made, 2);
  });

  it('never serve again after a failure', async () => {
    const instances = await settled(maker().make, true);
    const failed = instances.take();
    failed.reusable = false;
    instances.giveBack(failed);
    assert.notEqual(instances.take(), failed);
  });

  it('have a new spare one turn after a failure', async () => {
    const { state, make } = maker();
    const instances = await settled(make, true);
    fail(instances);
    await turn();
    assert.equal(state.made, 3);
  });

  it('are made on demand when many fail within one turn', async () => {
    const { state, make } = maker();
    const instances = await settled(make, true);
    for (let i = 0; i < 5; i++) fail(instances);
    assert.equal(state.made, 5);
  });

  it('are no more than two after many failures', async () => {
    const { state, make } = maker();
    const instances = await settled(make, true);
    for (let i = 0; i < 5; i++) fail(instances);
    await turn();
    await turn();
    assert.equal(state.made, 5 + 2);
  });

  it('fail the request, and that alone, when there is no memory for one', async () => {
    const { state, make } = maker();
    const instances = await settled(make, false);
    state.scarce = true;
    fail(instances);
    await turn();
    assert.throws(() => instances.take(), /no memory/);
    state.scarce = false;
    assert.equal(instances.take().reusable, true);
  });
});
