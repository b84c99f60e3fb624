import assert from 'node:assert/strict';
import { mock } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import { publicKeyOf, signEd25519 } from '#runtime';
import { toBase64url } from '../../src/crypto/base64url.ts';
import { thumbprint } from '../../src/crypto/thumbprint.ts';
import { type ControlClient, ControlError } from '../../src/feed/control-client.ts';
import { type FeedEvent, type Position, type SignedEvent, signEvent } from '../../src/feed/feed.ts';
import { handoverBytes } from '../../src/feed/handover.ts';
import type { Lease, LeaseTerms } from '../../src/feed/lease.ts';
import type { FedRuntime, FeedSnapshot } from '../../src/feed/snapshot.ts';
import { type FeedKey, signStatement } from '../../src/feed/statement.ts';
import { createLeaseHolder } from '../../src/gate/lease.ts';
import { createFollower, fetchSnapshot } from '../../src/pdp/follower.ts';
import { loaded } from '../gate/support.ts';

/** What a node says of itself with each question. */
const ABOUT = { node: 'n1', instance: 'i'.repeat(22), version: '0.1', bundles: ['b'.repeat(64)] };
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

const BOT: FedRuntime = {
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
};

/** The other side of one open stream of events. */
interface Stream {
  readonly from: Position;
  readonly heard: (event: SignedEvent) => void;
  readonly open: () => void;
  readonly signal: AbortSignal;
  readonly end: () => void;
  readonly fail: (error: unknown) => void;
}

interface Question extends Position {
  readonly node: string;
  readonly nonce: string;
  readonly version: string;
}

interface Case {
  /** What the control plane answers where a lease is asked for; else one for where the node is. */
  readonly lease?: (question: Question) => object | Promise<object>;
  readonly snapshot?: () => Promise<unknown>;
}

/** A node at 7/10, its control plane answering leases for where it is. */
function world({ lease, snapshot = () => Promise.reject(new Error('not asked for')) }: Case = {}) {
  const gate = loaded({ runtimes: [BOT], position: { epoch: 7, seq: 10 } });
  const refused: unknown[] = [];
  const states: [boolean, string][] = [];
  const snapshots: FeedSnapshot[] = [];
  const keyChanges: string[] = [];
  const bundles: string[] = [];
  const asked: Question[] = [];
  const left: unknown[] = [];
  const fetched: string[] = [];
  const streams: Stream[] = [];
  const now = { steady: 5_000, wall: 1_000_000 };
  const client: ControlClient = {
    get: (path) => {
      fetched.push(path);
      return snapshot();
    },
    post: async (path, body) => {
      if (path === '/leave') {
        left.push(body);
        return {};
      }
      assert.equal(path, '/lease');
      const question = body as Question;
      asked.push(question);
      return { lease: await (lease ?? leased)(question) };
    },
    bytes: () => Promise.reject(new Error('not asked for')),
    events: (from, heard, open, signal) =>
      new Promise((end, fail) => {
        streams.push({ from, heard, open, signal, end, fail });
        signal.addEventListener('abort', () => fail(signal.reason));
      }),
  };
  const keys = new Map([[AUTHORITY.keyid, publicKeyOf(seedOf(1))]]);
  const follower = createFollower({
    client,
    ...ABOUT,
    bundles: () => ABOUT.bundles,
    gate,
    lease: createLeaseHolder(() => ({ ...now })),
    keys,
    effects: {
      bundle: (sha256) => bundles.push(sha256),
      key: ({ kid, to }) => keyChanges.push(`${kid} ${to}`),
    },
    onSnapshot: (taken) => snapshots.push(taken),
    onState: (connected, why) => states.push([connected, why]),
    onError: (error) => refused.push(error),
  });
  const status = () => gate.runtime('acme', 'prod', 'bot')?.status;
  /** Time goes by for timers, and for the clocks of the lease as much unless it is said. */
  const pass = async (ms: number, clock = ms) => {
    now.steady += clock;
    now.wall += clock;
    mock.timers.tick(ms);
    await turn();
  };
  /** The stream that is open now, or was last. */
  const stream = () => streams.at(-1) as Stream;
  return {
    left,
    gate,
    follower,
    refused,
    status,
    states,
    snapshots,
    keyChanges,
    bundles,
    asked,
    fetched,
    streams,
    stream,
    now,
    keys,
    pass,
    client,
  };
}

function leased({ nonce, node, epoch, seq }: Question, over: Partial<LeaseTerms> = {}): Lease {
  const terms = { nonce, node, epoch, seq, max_age_ms: 30_000, time: 1_000_000, ...over };
  return signStatement('lease', terms, AUTHORITY);
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

  it('says why a hint of the next event is refused', () => {
    const { follower, refused } = world();
    follower.hint(signEvent(kill(11), STRANGER));
    assert.equal(refused.length, 1);
  });

  it('has the node activate a bundle', () => {
    const { follower, bundles } = world();
    follower.hear(signEvent(kill(11, { type: 'bundle', payload: { sha256: 'b' } }), AUTHORITY));
    assert.deepEqual(bundles, ['b']);
  });

  for (const [to, last] of [
    ['current', 12],
    ['retired', 11],
  ] as const) {
    it(`believes a key that is ${to} ${to === 'retired' ? 'no more' : 'as before'}, and tells the node`, () => {
      const { follower, gate, keyChanges } = world();
      const change = { use: 'authority', kid: AUTHORITY.keyid, x: toBase64url(publicKeyOf(seedOf(1))), to };
      follower.hear(signEvent(kill(11, { type: 'key', payload: { change } }), AUTHORITY));
      follower.hear(signEvent(kill(12), AUTHORITY));
      assert.deepEqual([keyChanges, gate.position.seq], [[`${AUTHORITY.keyid} ${to}`], last]);
    });
  }
});

describe('how a node follows its control plane', () => {
  beforeEach(() => mock.timers.enable({ apis: ['setTimeout'] }));
  afterEach(() => mock.timers.reset());

  const event = signEvent(kill(11), AUTHORITY);

  async function started(options: Case = {}) {
    const made = world(options);
    made.follower.start();
    await turn();
    return made;
  }

  describe('by its stream', () => {
    it('listens from where it is, and applies what it hears', async () => {
      const { stream, status } = await started();
      assert.deepEqual(stream().from, { epoch: 7, seq: 10 });
      stream().heard(event);
      assert.equal(status(), 'killed');
    });

    for (const [name, over] of [
      ['ended', (stream: Stream) => stream.end()],
      ['broke', (stream: Stream) => stream.fail(new Error('reset'))],
      ['was refused', (stream: Stream) => stream.fail(new ControlError('refused', 'not now'))],
    ] as const) {
      it(`listens again from where it came to, 200 ms after a stream ${name}`, async () => {
        const { stream, streams, fetched, pass } = await started();
        stream().heard(event);
        over(stream());
        await turn();
        await pass(199);
        assert.equal(streams.length, 1);
        await pass(1);
        assert.deepEqual([stream().from, fetched], [{ epoch: 7, seq: 11 }, []]);
      });
    }

    for (const [name, wrong] of [
      ['that a stranger signed', signEvent(kill(11), STRANGER)],
      ['that does not follow', signEvent(kill(12), AUTHORITY)],
    ] as const) {
      it(`breaks the stream off at an event ${name}`, async () => {
        const { stream } = await started();
        stream().heard(wrong);
        assert.equal(stream().signal.aborted, true);
      });
    }

    it('breaks nothing off for a hint', async () => {
      const { follower, stream } = await started();
      follower.hint(signEvent(kill(11), STRANGER));
      assert.equal(stream().signal.aborted, false);
    });

    it('ends for good', async () => {
      const { follower, stream, streams, asked, pass } = await started();
      follower.close();
      assert.equal(stream().signal.aborted, true);
      await turn();
      await pass(5_000);
      assert.deepEqual([streams.length, asked.length], [1, 1]);
    });

    it('ends while it waits to listen again', async () => {
      const { follower, stream, streams, pass } = await started();
      stream().end();
      await turn();
      follower.close();
      await pass(1_000);
      assert.equal(streams.length, 1);
    });

    it('says that it leaves', async () => {
      const { follower, left } = await started();
      await follower.close();
      const { node, instance } = ABOUT;
      assert.deepEqual(left, [{ node, instance }]);
    });

    it('can end before it began', () => world().follower.close());
  });

  describe('by its leases', () => {
    it('asks at once and each second, each time anew, for where it is', async () => {
      const { asked, pass } = await started();
      await pass(999);
      assert.equal(asked.length, 1);
      await pass(1);
      const [first, second] = asked;
      const { nonce: _, ...rest } = second ?? assert.fail();
      assert.deepEqual(rest, { ...ABOUT, epoch: 7, seq: 10 });
      assert.notEqual(first?.nonce, second?.nonce);
    });

    it('asks when its stream opens, and after each event', async () => {
      const { asked, stream } = await started();
      stream().open();
      await turn();
      stream().heard(event);
      await turn();
      assert.deepEqual(
        asked.map(({ seq }) => seq),
        [10, 10, 11],
      );
    });

    it('says once that it lost the control plane, and why, and once that it is back', async () => {
      let up = true;
      const { states, pass } = await started({
        lease: (question) => (up ? leased(question) : Promise.reject(new Error('away'))),
      });
      await pass(1000);
      up = false;
      for (let i = 0; i < 2; i += 1) await pass(1000);
      up = true;
      await pass(1000);
      assert.deepEqual(states, [
        [true, 'the control plane answers'],
        [false, 'away'],
        [true, 'the control plane answers'],
      ]);
    });

    for (const [name, over] of [
      ['to another question', { nonce: 'A'.repeat(22) }],
      ['for another node', { node: 'n2' }],
    ] as const) {
      it(`takes no answer ${name}`, async () => {
        const { states, follower, pass } = await started({ lease: (question) => leased(question, over) });
        assert.deepEqual(
          states.map(([connected]) => connected),
          [false],
        );
        const confirmed = follower.confirm();
        await pass(1000);
        assert.equal(await confirmed, false);
      });
    }

    const ahead = (over: Partial<LeaseTerms>) => (question: Question) => leased(question, over);

    for (const [name, over] of [
      ['an event', { seq: 11 }],
      ['another log', { epoch: 8, seq: 0 }],
    ] as const) {
      it(`breaks a stream off that does not bring ${name} that they name within 500 ms`, async () => {
        const { stream, pass } = await started({ lease: ahead(over) });
        await pass(1000, 500);
        assert.equal(stream().signal.aborted, false);
        await pass(1000, 1);
        assert.equal(stream().signal.aborted, true);
      });
    }

    it('leaves a stream that brings what they name', async () => {
      const { stream, pass } = await started({ lease: ahead({ seq: 11 }) });
      stream().heard(event);
      for (let i = 0; i < 3; i += 1) await pass(1000);
      assert.equal(stream().signal.aborted, false);
    });

    it('gives what they name later as much time', async () => {
      let seq = 11;
      const { stream, pass } = await started({ lease: (question) => leased(question, { seq }) });
      stream().heard(event);
      await pass(1000);
      seq = 12;
      await pass(1000);
      assert.equal(stream().signal.aborted, false);
      await pass(1000);
      assert.equal(stream().signal.aborted, true);
    });

    it('gives the next stream as much time', async () => {
      const { stream, streams, pass } = await started({ lease: ahead({ seq: 11 }) });
      await pass(1000);
      await pass(200);
      await pass(800);
      assert.deepEqual([streams.length, stream().signal.aborted], [2, false]);
    });

    it('knows that the machine slept for more than 4 s until it is answered again', async () => {
      const { follower, now, pass } = await started();
      now.wall += 4_000;
      assert.equal(follower.slept(), false);
      now.wall += 1;
      assert.equal(follower.slept(), true);
      await pass(1000);
      assert.equal(follower.slept(), false);
    });

    it('knows it while the answer is not here yet', async () => {
      let answer = (_: object) => {};
      let late = false;
      const { follower, now, pass, asked } = await started({
        lease: (question) =>
          late
            ? new Promise<object>((resolve) => {
                answer = resolve;
              })
            : leased(question),
      });
      late = true;
      now.wall += 10_000;
      await pass(1000);
      assert.equal(follower.slept(), true);
      answer(leased(asked.at(-1) ?? assert.fail()));
      await turn();
      assert.equal(follower.slept(), false);
    });

    it('does not call it sleep where the control plane is lost anyway', async () => {
      const { follower, now } = await started({ lease: () => Promise.reject(new Error('away')) });
      now.wall += 60_000;
      assert.equal(follower.slept(), false);
    });
  });

  describe('to a state that is whole', () => {
    it('is confirmed by a lease that was asked for after the call', async () => {
      assert.equal(await world().follower.confirm(), true);
    });

    it('shares one question among those that wait, and takes no answer to one of before', async () => {
      const answers: (() => void)[] = [];
      const { follower, asked, now } = await started({
        lease: (question) => new Promise<object>((resolve) => answers.push(() => resolve(leased(question)))),
      });
      now.steady += 1;
      const settled: boolean[] = [];
      const all = [0, 1, 2].map(async () => settled.push(await follower.confirm()));
      answers[0]?.();
      await turn();
      assert.deepEqual([asked.length, settled], [2, []]);
      answers[1]?.();
      await Promise.all(all);
      assert.deepEqual([asked.length, settled], [2, [true, true, true]]);
    });

    it('asks again once those questions are answered', async () => {
      const { follower, asked } = await started();
      for (const count of [3, 5]) {
        await Promise.all([follower.confirm(), follower.confirm()]);
        await turn();
        assert.equal(asked.length, count);
      }
    });

    it('is not confirmed without an answer within a second', async () => {
      const { follower, pass } = await started({ lease: () => new Promise<object>(() => undefined) });
      const confirmed = follower.confirm();
      await pass(1000);
      assert.equal(await confirmed, false);
    });

    it('is not confirmed by a refusal', async () => {
      const { follower, pass } = await started({ lease: () => Promise.reject(new Error('away')) });
      const confirmed = follower.confirm();
      await pass(1000);
      assert.equal(await confirmed, false);
    });

    it('waits for the event that the lease names', async () => {
      const { follower, stream } = await started({ lease: (question) => leased(question, { seq: 11 }) });
      const confirmed = follower.confirm();
      await turn();
      stream().heard(event);
      assert.equal(await confirmed, true);
    });

    it('waits for an event that is not here yet', async () => {
      const { follower, stream } = await started();
      let done = false;
      const applied = follower.applied(11, 1000).then((found) => {
        done = true;
        return found;
      });
      await turn();
      assert.equal(done, false);
      stream().heard(event);
      assert.equal(await applied, true);
    });

    it('waits for the very event, and for so long', async () => {
      const { follower, stream, pass } = await started();
      const applied = follower.applied(12, 300);
      stream().heard(event);
      await pass(300);
      assert.equal(await applied, false);
    });

    it('waits for nothing that is here', async () => {
      assert.equal(await world().follower.applied(10, 1000), true);
    });
  });

  const state: FeedSnapshot = {
    v: 1,
    epoch: 8,
    seq: 3,
    time: 1,
    known: true,
    ...TENANT,
    runtimes: [{ ...BOT, taint_epoch: 4 }],
    revocations: [{ ...TENANT, kind: 'key', value: 'k' }],
    keys: [AUTHORITY, STRANGER].map(({ keyid }, i) => ({
      kid: keyid,
      x: toBase64url(publicKeyOf(seedOf(i + 1))),
    })),
    bundles: [],
    fenced_at: 1234,
  };
  const signed = (key = AUTHORITY) => Promise.resolve({ snapshot: signStatement('snapshot', state, key) });

  describe('to another log', () => {
    async function moved(snapshot: () => Promise<unknown>) {
      const made = await started({ snapshot });
      made.stream().fail(new ControlError('moved', 'another log'));
      await turn();
      return made;
    }

    it('puts its state into force, and tells the node', async () => {
      const { gate, snapshots, fetched, refused } = await moved(() => signed());
      assert.deepEqual(gate.position, { epoch: 8, seq: 3 });
      assert.deepEqual(
        [gate.runtime('acme', 'prod', 'bot')?.taint_epoch, gate.revoked('acme', 'prod', 'k'), gate.fencedAt],
        [4, true, 1234],
      );
      assert.deepEqual(
        [snapshots.map(({ epoch }) => epoch), fetched, refused],
        [[8], ['/snapshot?node=n1'], []],
      );
    });

    it('asks for a lease there, and listens from there', async () => {
      const { asked, stream, pass } = await moved(() => signed());
      const { nonce: _, ...question } = asked.at(-1) ?? assert.fail();
      assert.deepEqual(question, { ...ABOUT, epoch: 8, seq: 3 });
      await pass(200);
      assert.deepEqual(stream().from, { epoch: 8, seq: 3 });
    });

    it('believes no key that is trusted there no more', async () => {
      const retired = keyOf(seedOf(3));
      const made = await started({ snapshot: () => signed() });
      made.keys.set(retired.keyid, publicKeyOf(seedOf(3)));
      made.stream().fail(new ControlError('moved', 'another log'));
      await turn();
      assert.deepEqual([...made.keys.keys()], [AUTHORITY.keyid]);
    });

    it('takes no state that a stranger signed, says so and tries again', async () => {
      const { gate, keys, refused, streams, pass } = await moved(() => signed(STRANGER));
      assert.deepEqual([gate.position, refused.length], [{ epoch: 7, seq: 10 }, 1]);
      assert.deepEqual([...keys.keys()], [AUTHORITY.keyid]);
      await pass(200);
      assert.equal(streams.length, 2);
    });
  });

  describe('from its first state', () => {
    const fetchedBy = async (answer: Promise<unknown>, pins: ReadonlySet<string> = new Set()) => {
      const { client } = world({ snapshot: () => answer });
      const keys = new Map<string, Uint8Array>();
      return { snapshot: await fetchSnapshot(client, 'n1', keys, pins), keys: [...keys.keys()] };
    };

    it('believes a key that it names where its thumbprint is pinned', async () => {
      const { snapshot, keys } = await fetchedBy(signed(STRANGER), new Set([STRANGER.keyid]));
      assert.deepEqual([snapshot.epoch, keys], [8, [STRANGER.keyid]]);
    });

    it('believes no other key', async () => {
      await assert.rejects(fetchedBy(signed(STRANGER), new Set([AUTHORITY.keyid])), { code: 'key_unknown' });
    });

    for (const [name, snapshot] of [
      ['names no keys', { ...state, keys: undefined, keyid: 'k', signature: 's' }],
      ['names what is no key', { ...state, keys: [null, { x: '!' }, { x: 7 }], keyid: 'k', signature: 's' }],
    ] as const) {
      it(`takes none that ${name}`, async () => {
        await assert.rejects(fetchedBy(Promise.resolve({ snapshot }), new Set([STRANGER.keyid])), {
          code: 'key_unknown',
        });
      });
    }
  });
});
