import assert from 'node:assert/strict';
import { Refusal } from '../../src/authority/refusal.ts';
import { fromBase64url } from '../../src/crypto/base64url.ts';
import { thumbprint } from '../../src/crypto/thumbprint.ts';
import { verifyChain } from '../../src/proof/chain.ts';
import { linksOf } from '../../src/proof/issue.ts';
import { HOME, newKey, openWorld, RUNTIME, type World } from './support.ts';

const refusedAs = (code: string) => (error: unknown) => error instanceof Refusal && error.code === code;

describe('taking away', () => {
  let world: World;
  beforeEach(async () => {
    world = await openWorld();
    await world.authority.bootstrap(RUNTIME);
  });
  afterEach(() => world.close());

  const id = RUNTIME.runtime_id;
  const live = () => world.gate.runtime(HOME.org, HOME.env, id);
  const issued = (key = newKey()) => {
    const body = { runtime_id: id, key, scope: ['documents.read'], audience: ['https://api.example.com'] };
    return verifyChain(linksOf(world.authority.issueProof(body).credential), world.trust);
  };

  describe('kill', () => {
    it('stops the runtime before its promise is kept', () => {
      const killing = world.authority.kill(id);
      assert.equal(live()?.status, 'killed');
      return killing;
    });

    it('tells the place of its event', async () => {
      const answer = await world.authority.kill(id, { reason: 'went astray', by: 'owner' });
      const [event] = (await world.store.eventsAfter(0, 10)).filter(({ type }) => type === 'kill');
      assert.deepEqual(answer, {
        enforced: true,
        durable: true,
        epoch: event?.epoch,
        seq: event?.seq,
        at: world.now,
        nodes: [],
      });
      assert.deepEqual(event?.payload, { runtime_id: id, reason: 'went astray', by: 'owner' });
    });

    it('moves the freshness that policies see', async () => {
      const { epoch, seq } = await world.authority.kill(id);
      const fresh = world.gate.freshness();
      assert.deepEqual([fresh.epoch, fresh.seq], [epoch, seq]);
    });

    it('twice gives one answer and one event', async () => {
      const first = await world.authority.kill(id);
      world.now += 1000;
      assert.deepEqual(await world.authority.kill(id), first);
      assert.equal((await world.store.eventsAfter(0, 10)).filter(({ type }) => type === 'kill').length, 1);
    });

    it('twice at once gives one answer', async () => {
      const [first, second] = await Promise.all([world.authority.kill(id), world.authority.kill(id)]);
      assert.deepEqual(first, second);
    });

    it('gives the first answer after a restart, whatever came since', async () => {
      const first = await world.authority.kill(id);
      for (let i = 0; i < 30; i++) {
        world.now += 1;
        await world.authority.revoke({ kind: 'key', value: newKey() });
      }
      world = await world.restart();
      assert.equal(live()?.status, 'killed');
      assert.deepEqual(await world.authority.kill(id), first);
    });

    it('holds when nothing can be written, and says so', async () => {
      await world.store.close();
      const { enforced, durable, epoch, seq } = await world.authority.kill(id);
      assert.deepEqual(
        { enforced, durable, epoch, seq },
        { enforced: true, durable: false, epoch: null, seq: null },
      );
      assert.equal(world.gate.stopped(issuedBefore), 'runtime_killed');
      assert.equal(world.errors.length, 1);
    });
    let issuedBefore: ReturnType<typeof issued>;
    beforeEach(() => {
      issuedBefore = issued();
    });

    it('is written by a second try, once that is possible', async () => {
      // A full disk, and an event that is larger than what the store keeps in reserve for such days.
      await world.store.limit(1);
      const full = await world.authority.kill(id, { reason: 'x'.repeat(4_000_000) });
      await world.store.limit(null);
      const later = await world.authority.kill(id);
      assert.deepEqual([full.durable, later.durable], [false, true]);
      world = await world.restart();
      assert.equal(live()?.status, 'killed');
    });

    it('knows nobody that is not registered', async () => {
      await assert.rejects(world.authority.kill('nobody'), refusedAs('not_found'));
    });

    it('knows nobody of another organisation', async () => {
      await assert.rejects(
        world.authority.kill(id, {}, { org: 'other', env: 'prod' }),
        refusedAs('not_found'),
      );
    });
  });

  describe('revoke', () => {
    it('stops chains that hold the link', async () => {
      const chain = issued();
      await world.authority.revoke({ kind: 'lemma', value: chain.leaf.id });
      assert.equal(world.gate.stopped(chain), 'revoked');
    });

    for (const form of ['public key', 'thumbprint'] as const) {
      it(`stops chains that hold the key, named by its ${form}, after a restart too`, async () => {
        const key = newKey();
        const chain = issued(key);
        const value = form === 'public key' ? key : thumbprint(fromBase64url(key) ?? new Uint8Array());
        const { durable } = await world.authority.revoke({ kind: 'key', value });
        assert.deepEqual([durable, world.gate.stopped(chain)], [true, 'revoked']);
        world = await world.restart();
        assert.equal(world.gate.stopped(chain), 'revoked');
      });
    }

    it('leaves other chains alone', async () => {
      const chain = issued();
      await world.authority.revoke({ kind: 'key', value: newKey() });
      assert.equal(world.gate.stopped(chain), null);
    });

    it('holds when nothing can be written, and says so', async () => {
      const chain = issued();
      await world.store.close();
      const { durable } = await world.authority.revoke({ kind: 'lemma', value: chain.leaf.id });
      assert.deepEqual([durable, world.gate.stopped(chain)], [false, 'revoked']);
    });
  });

  describe('taint', () => {
    it('raises the epoch before its promise is kept', () => {
      const tainting = world.authority.taint(id, 'a page said so');
      assert.equal(live()?.taint_epoch, 1);
      return tainting;
    });

    it('raises it once for each call, at once or not', async () => {
      const both = await Promise.all([world.authority.taint(id, 'a'), world.authority.taint(id, 'b')]);
      assert.deepEqual(
        both.map(({ taint_epoch }) => taint_epoch),
        [1, 2],
      );
    });

    it('survives a restart', async () => {
      await world.authority.taint(id, 'a page said so');
      world = await world.restart();
      assert.equal(live()?.taint_epoch, 1);
    });

    it('holds when nothing can be written, and says so', async () => {
      await world.store.close();
      const { durable, taint_epoch } = await world.authority.taint(id, 'a page said so');
      assert.deepEqual([durable, taint_epoch, live()?.taint_epoch], [false, 1, 1]);
    });

    it('knows nobody that is not registered', async () => {
      await assert.rejects(world.authority.taint('nobody', 'x'), refusedAs('not_found'));
    });
  });
});
