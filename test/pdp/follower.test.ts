import assert from 'node:assert/strict';
import { publicKeyOf, signEd25519 } from '#runtime';
import { toBase64url } from '../../src/crypto/base64url.ts';
import { thumbprint } from '../../src/crypto/thumbprint.ts';
import type { ControlClient } from '../../src/feed/control-client.ts';
import { type FeedEvent, type SignedEvent, signEvent } from '../../src/feed/feed.ts';
import { handoverBytes } from '../../src/feed/handover.ts';
import { type FeedKey, signStatement } from '../../src/feed/statement.ts';
import { createGate } from '../../src/gate/gate.ts';
import { createLeaseHolder } from '../../src/gate/lease.ts';
import { createFollower } from '../../src/pdp/follower.ts';

const seedOf = (fill: number) => new Uint8Array(32).fill(fill);
const keyOf = (seed: Uint8Array): FeedKey => ({
  keyid: thumbprint(publicKeyOf(seed)),
  sign: (bytes) => toBase64url(signEd25519(bytes, seed)),
});
const AUTHORITY = keyOf(seedOf(1));
const STRANGER = keyOf(seedOf(2));
const TENANT = { org: 'acme', env: 'prod' };

const kill = (seq: number, over: Partial<FeedEvent> = {}): FeedEvent => ({
  ...TENANT,
  epoch: 7,
  seq,
  time: 1,
  type: 'kill',
  runtime_id: 'bot',
  payload: { runtime_id: 'bot' },
  ...over,
});

/** A node at 7/10, its control plane answering leases for where it is. */
function world() {
  const gate = createGate();
  gate.load({
    runtimes: [
      {
        ...TENANT,
        runtime_id: 'bot',
        agent_id: 'a',
        workspace_id: 'w',
        profile: 'low',
        subject: 's',
        keys: null,
        status: 'active',
        registered_at: 0,
        taint_epoch: 0,
      },
    ],
    revocations: [],
    nonces: [],
    budgets: [],
    position: { epoch: 7, seq: 10 },
    memoryLostAt: null,
    latestRecord: 0,
  });
  const refused: unknown[] = [];
  const client: ControlClient = {
    get: () => Promise.reject(new Error('not asked for')),
    post: async (_path, body) => {
      const { nonce, node, epoch, seq } = body as { nonce: string; node: string; epoch: number; seq: number };
      const terms = { nonce, node, epoch, seq, max_age_ms: 30_000, time: Date.now() };
      return { lease: signStatement('lease', terms, AUTHORITY) };
    },
    bytes: () => Promise.reject(new Error('not asked for')),
    events: () => Promise.resolve(),
  };
  const keys = new Map([[AUTHORITY.keyid, publicKeyOf(seedOf(1))]]);
  const follower = createFollower({
    client,
    node: 'n1',
    instance: 'i'.repeat(22),
    version: '0',
    gate,
    lease: createLeaseHolder(),
    keys,
    effects: { bundle: () => undefined, key: () => undefined },
    onSnapshot: () => undefined,
    onState: () => undefined,
    onError: (error) => refused.push(error),
  });
  const status = () => gate.runtime('acme', 'prod', 'bot')?.status;
  return { gate, follower, refused, status };
}

describe('what a node takes of its feed', () => {
  const cases: Record<string, SignedEvent> = {
    'a stranger signed': signEvent(kill(11), STRANGER),
    'was changed after it was signed': {
      ...signEvent(kill(11, { type: 'status' }), AUTHORITY),
      type: 'kill',
    },
    'comes before its turn': signEvent(kill(12), AUTHORITY),
    'is of another log': signEvent(kill(11, { epoch: 8 }), AUTHORITY),
  };
  for (const [name, event] of Object.entries(cases)) {
    it(`refuses an event that ${name}`, () => {
      const { follower, gate, refused, status } = world();
      follower.hear(event);
      assert.equal(status(), 'active');
      assert.deepEqual(gate.position, { epoch: 7, seq: 10 });
      assert.equal(refused.length, 1);
    });
  }

  for (const [name, event] of Object.entries(cases)) {
    it(`takes no hint of an event that ${name}`, () => {
      const { follower, gate, status } = world();
      follower.hint(event);
      assert.deepEqual([status(), gate.position], ['active', { epoch: 7, seq: 10 }]);
    });
  }

  it('passes over a hint that is ahead of the stream, without a word', () => {
    const { follower, refused } = world();
    follower.hint(signEvent(kill(12), AUTHORITY));
    assert.deepEqual(refused, []);
  });

  it('takes a hint of the next event', () => {
    const { follower, status } = world();
    follower.hint(signEvent(kill(11), AUTHORITY));
    assert.equal(status(), 'killed');
  });

  it('applies the next event, and passes over what it had', () => {
    const { follower, gate, refused, status } = world();
    const event = signEvent(kill(11), AUTHORITY);
    follower.hear(event);
    follower.hear(event);
    assert.equal(status(), 'killed');
    assert.equal(gate.position.seq, 11);
    assert.deepEqual(refused, []);
  });

  it('follows a rotation that the key of before vouches for, and no other', () => {
    const next = { use: 'authority', kid: STRANGER.keyid, x: toBase64url(publicKeyOf(seedOf(2))) };
    const rotation = (by: Uint8Array) =>
      signEvent(
        kill(11, {
          type: 'key',
          runtime_id: null,
          payload: {
            change: { ...next, to: 'current', handover: toBase64url(signEd25519(handoverBytes(next), by)) },
          },
        }),
        STRANGER,
      );
    const good = world();
    good.follower.hear(rotation(seedOf(1)));
    good.follower.hear(signEvent(kill(12), STRANGER));
    assert.equal(good.status(), 'killed');
    const bad = world();
    bad.follower.hear(rotation(seedOf(2)));
    assert.equal(bad.gate.position.seq, 10);
  });

  it('confirms that the state was whole after the call', async () => {
    assert.equal(await world().follower.confirm(), true);
  });
});
