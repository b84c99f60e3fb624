import assert from 'node:assert/strict';
import { createJoinTokens } from '../../src/authority/join-tokens.ts';
import { type VerifiedChain, verifyChain } from '../../src/proof/chain.ts';
import { linksOf } from '../../src/proof/issue.ts';
import { Denial } from '../../src/reason.ts';
import { HOME, NOW, newKey, openWorld, RUNTIME, type World } from './support.ts';

const id = RUNTIME.runtime_id;
const denied = (code: string) => (error: unknown) => error instanceof Denial && error.code === code;

describe('a killed runtime that came back', () => {
  let world: World;
  let old: VerifiedChain;
  const issued = (key = newKey()) => {
    const body = { runtime_id: id, key, scope: ['documents.read'], audience: ['https://api.example.com'] };
    return verifyChain(linksOf(world.authority.issueProof(body).credential), world.trust);
  };
  const admit = (chain: VerifiedChain) => world.gate.admit(chain, world.now);
  beforeEach(async () => {
    world = await openWorld();
    await world.authority.bootstrap(RUNTIME);
    old = issued();
    await world.authority.kill(id);
    await world.authority.reactivate(id, 0, { by: 'owner', reason: 'x' }, HOME);
  });
  afterEach(() => world.close());

  it('passes with a proof that was bound since', () => {
    assert.equal(admit(issued()).taint_epoch, 1);
  });

  it('passes with none of before, in the same second', () => {
    assert.throws(() => admit(old), denied('runtime_killed'));
  });

  it('is stopped at the last look by one of before', () => {
    assert.equal(world.gate.stopped(old), 'runtime_killed');
  });

  it('keeps its fence over a restart', async () => {
    const fresh = issued();
    world = await world.restart();
    assert.throws(() => admit(old), denied('runtime_killed'));
    assert.equal(admit(fresh).status, 'active');
  });

  it('is killed again, for good, by a second kill', async () => {
    const fresh = issued();
    await world.authority.kill(id);
    assert.throws(() => admit(fresh), denied('runtime_killed'));
    world = await world.restart();
    assert.throws(() => admit(fresh), denied('runtime_killed'));
  });

  it('does not come back over a kill that was asked for meanwhile, here or after a restart', async () => {
    await world.authority.kill(id);
    const back = world.authority.reactivate(id, 1, { by: 'owner', reason: 'x' }, HOME);
    const killing = world.authority.kill(id);
    const refused = assert.rejects(back, /stopped again meanwhile/);
    const seen: unknown[] = [];
    void back.catch(() => seen.push(world.gate.runtime(HOME.org, HOME.env, id)?.status));
    await refused;
    assert.equal((await killing).durable, true);
    assert.deepEqual(seen, ['killed']);
    world = await world.restart();
    assert.equal(world.gate.runtime(HOME.org, HOME.env, id)?.status, 'killed');
  });

  it('stays alive when an old message says its former state', () => {
    const runtime = world.gate.runtime(HOME.org, HOME.env, id);
    assert.ok(runtime);
    world.gate.putRuntime({ ...runtime, revived: { taint_epoch: 1, at: 0 }, status: 'active' });
    assert.throws(() => admit(old), denied('runtime_killed'));
  });
});

describe('a join token of before a restore', () => {
  it('is not taken: whether it was used up since, nobody knows', async () => {
    const world = await openWorld();
    const { store } = world;
    const tokens = (clock: number, fencedAt: number | null) =>
      createJoinTokens({ home: HOME, store, clock: () => clock, fencedAt, epochOf: () => null });
    const { token } = await tokens(NOW, null).create(RUNTIME, 'owner', null);
    await assert.rejects(tokens(NOW + 9, NOW + 5).redeem(token, RUNTIME), /unknown, used or expired/);
    assert.equal((await tokens(NOW + 9, NOW - 5).redeem(token, RUNTIME)).terms.by, 'owner');
    await world.close();
  });
});

describe('a killed delegator', () => {
  let world: World;
  beforeEach(async () => {
    world = await openWorld();
    await world.authority.bootstrap(RUNTIME);
  });
  afterEach(() => world.close());

  it('has no chain that passes, at once and after a restart', async () => {
    const body = {
      runtime_id: id,
      key: newKey(),
      scope: ['documents.read'],
      audience: ['https://api.example.com'],
    };
    const chain = verifyChain(linksOf(world.authority.issueProof(body).credential), world.trust);
    const killing = world.authority.killBelow({ subject: world.authority.subject }, { by: 'owner' }, HOME);
    assert.equal(world.gate.stopped(chain), 'runtime_killed');
    await killing;
    world = await world.restart();
    world.authority.registerFromFile([
      {
        ...RUNTIME,
        ...HOME,
        runtime_id: 'other',
        profile: 'low',
        subject: world.authority.subject,
        keys: null,
      },
    ]);
    assert.throws(() => world.authority.issueProof({ ...body, runtime_id: 'other' }), /revoked/);
  });

  it('is killed here also when nothing can be written', async () => {
    await world.store.close();
    const { enforced, durable } = await world.authority.killBelow(
      { subject: world.authority.subject },
      { by: 'owner' },
      HOME,
    );
    assert.deepEqual([enforced, durable], [true, false]);
    assert.equal(world.gate.runtime(HOME.org, HOME.env, id)?.status, 'killed');
  });
});
