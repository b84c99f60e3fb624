import assert from 'node:assert/strict';
import type { FeedEvent, SignedEvent } from '../../src/feed/feed.ts';
import type { LiveRuntime } from '../../src/gate/runtimes.ts';
import { applyEvent, type EventEffects } from '../../src/pdp/apply-event.ts';
import { loaded } from '../gate/support.ts';

const TENANT = { org: 'acme', env: 'prod' };
const WHO = { agent_id: 'a', workspace_id: 'w', profile: 'high', subject: 's', keys: ['k'] } as const;
const bot: LiveRuntime = {
  ...TENANT,
  ...WHO,
  runtime_id: 'bot',
  status: 'active',
  registered_at: 1,
  taint_epoch: 2,
};

/** A gate at 7/10 that knows `bot`, and what was asked of the node beside it. */
function world(over: Partial<LiveRuntime> = {}) {
  const gate = loaded({ runtimes: [{ ...bot, ...over }], position: { epoch: 7, seq: 10 } });
  const told: unknown[] = [];
  const effects: EventEffects = {
    bundle: (sha256) => told.push(sha256),
    key: ({ kid, to }) => told.push([kid, to]),
  };
  const apply = (type: string, payload: FeedEvent['payload']) => {
    const event: FeedEvent = { ...TENANT, epoch: 7, seq: 11, time: 5_000, type, runtime_id: null, payload };
    applyEvent(event as SignedEvent, gate, effects);
  };
  return { gate, told, apply, found: (id = 'bot') => gate.runtime('acme', 'prod', id) };
}

const authorityKey = (to: string) => ({ change: { use: 'authority', kid: 'k2', x: 'x', to } });

describe('what an event of the log does on a node', () => {
  const events: Record<string, FeedEvent['payload']> = {
    register: { ...WHO, runtime_id: 'new' },
    kill: { runtime_id: 'bot' },
    taint: { runtime_id: 'bot', taint_epoch: 3 },
    status: { runtime_id: 'bot', status: 'inactive' },
    reactivate: { runtime_id: 'bot', taint_epoch: 3 },
    revoke: { kind: 'key', value: 'k' },
    bundle: { sha256: 'b' },
    key: authorityKey('current'),
    admin: { action: 'x' },
    restore: { taken_at: 1 },
    configured: { runtimes: [], withdrawn: ['stranger'] },
    'of a later release': {},
  };
  for (const [type, payload] of Object.entries(events)) {
    it(`moves the log on by one (${type})`, () => {
      const { gate, apply } = world();
      apply(type, payload);
      assert.deepEqual(gate.position, { epoch: 7, seq: 11 });
    });
  }

  for (const type of ['kill', 'taint', 'status', 'reactivate']) {
    it(`moves the log on where it is about a runtime that is not registered here (${type})`, () => {
      const { gate, apply } = world();
      apply(type, { ...events[type], runtime_id: 'stranger' });
      assert.deepEqual([gate.position.seq, [...gate.runtimes()]], [11, [bot]]);
    });
  }

  it('registers a runtime, active from then on', () => {
    const { apply, found } = world();
    apply('register', events.register ?? {});
    assert.deepEqual(found('new'), {
      ...bot,
      runtime_id: 'new',
      registered_at: 5_000,
      taint_epoch: 0,
    });
  });

  it('registers a runtime with the taint epoch that it had come to', () => {
    const { apply, found } = world();
    apply('register', { ...events.register, taint_epoch: 4 });
    assert.equal(found('new')?.taint_epoch, 4);
  });

  const changes: [type: string, over: Partial<LiveRuntime>, before?: Partial<LiveRuntime>][] = [
    ['kill', { status: 'killed' }],
    ['taint', { taint_epoch: 3 }],
    ['status', { status: 'inactive' }],
    ['reactivate', { taint_epoch: 3, revived: { taint_epoch: 3, at: 5_000 } }, { status: 'killed' }],
  ];
  for (const [type, over, before] of changes) {
    it(`changes that much of a runtime and no more (${type})`, () => {
      const { apply, found } = world(before);
      apply(type, events[type] ?? {});
      assert.deepEqual(found(), { ...bot, ...over });
    });
  }

  it('has the runtimes of the configuration as that has them, in its own tenant', () => {
    const { apply, found } = world();
    const { org, env, ...own } = { ...bot, profile: 'critical' };
    apply('configured', { runtimes: [own, { ...own, runtime_id: 'new' }], withdrawn: [] });
    assert.deepEqual(
      [found(), found('new')],
      [
        { ...own, org, env },
        { ...own, org, env, runtime_id: 'new' },
      ],
    );
  });

  it('contains the runtimes that the configuration has no more', () => {
    const { gate, apply, found } = world();
    apply('configured', { runtimes: [], withdrawn: ['bot', 'stranger'] });
    assert.deepEqual([found(), [...gate.runtimes()].length], [{ ...bot, status: 'inactive' }, 1]);
  });

  it('takes a key, a lemma or a subject back', () => {
    const { gate, apply } = world();
    apply('revoke', { kind: 'key', value: 'k' });
    assert.deepEqual([...gate.revocations()], [{ ...TENANT, kind: 'key', value: 'k' }]);
  });

  it('has the node activate a bundle', () => {
    const { apply, told } = world();
    apply('bundle', { sha256: 'b' });
    assert.deepEqual(told, ['b']);
  });

  for (const to of ['current', 'retired']) {
    it(`tells the node of a key of the authority (${to})`, () => {
      const { apply, told } = world();
      apply('key', authorityKey(to));
      assert.deepEqual(told, [['k2', to]]);
    });
  }

  for (const [name, payload] of Object.entries({
    'of another use': { change: { ...authorityKey('current').change, use: 'log' } },
    'that says no change': {},
  })) {
    it(`tells the node of no key ${name}`, () => {
      const { gate, apply, told } = world();
      apply('key', payload);
      assert.deepEqual([told, gate.position.seq], [[], 11]);
    });
  }

  for (const type of ['admin', 'restore', 'of a later release']) {
    it(`leaves runtimes as they are (${type})`, () => {
      const { apply, found, told } = world();
      apply(type, { runtime_id: 'bot', status: 'inactive', ...events[type] });
      assert.deepEqual([found(), told], [bot, []]);
    });
  }
});
