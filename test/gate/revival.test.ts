import assert from 'node:assert/strict';
import type { LiveRuntime } from '../../src/gate/runtimes.ts';
import { NOW } from '../support/kit.ts';
import { loaded, runtime, verified } from './support.ts';

const ms = NOW * 1000;
const killed: LiveRuntime = { ...runtime, status: 'killed' };
/** It came back within the second before NOW - 600, at which the kit's runtimes are bound. */
const back: LiveRuntime = { ...runtime, taint_epoch: 1, revived: { taint_epoch: 1, at: ms - 600_001 } };
const bound = (taint_epoch: number, issued_at = NOW - 600) =>
  verified({ runtime: { issued_at, claims: { taint_epoch } } });

describe('a runtime that was killed and came back', () => {
  const gate = () => {
    const made = loaded({ runtimes: [killed] });
    made.putRuntime(back);
    return made;
  };
  const stays = (status: string, ...then: LiveRuntime[]) => {
    const made = gate();
    for (const one of then) made.putRuntime(one);
    assert.equal(made.runtime('acme', 'prod', 'bot-1')?.status, status);
  };

  it('acts by what was bound to it since', () => {
    assert.equal(gate().admit(bound(1), ms).runtime_id, 'bot-1');
    assert.equal(gate().stopped(bound(1)), null);
  });

  it('acts by what was bound within the very second', () => {
    assert.ok(gate().admit(bound(1, NOW - 601), ms));
  });

  for (const [name, chain] of [
    ['in an epoch of before', bound(0)],
    ['before that second', bound(1, NOW - 602)],
  ] as const) {
    it(`is dead to what was bound ${name}`, () => {
      assert.throws(() => gate().admit(chain, ms), {
        code: 'runtime_killed',
        facts: { runtime_id: 'bot-1', org: 'acme', env: 'prod' },
      });
      assert.equal(gate().stopped(chain), 'runtime_killed');
    });
  }

  it('keeps its fence when a message does not name it', () => {
    const made = gate();
    made.putRuntime({ ...runtime, taint_epoch: 2 });
    assert.equal(made.stopped(bound(0)), 'runtime_killed');
  });

  it('is killed again', () => stays('killed', { ...back, status: 'killed' }));
  it('does not come back twice by one revival', () => stays('killed', { ...back, status: 'killed' }, back));
  it('comes back by a later one', () => {
    const later = { ...back, taint_epoch: 2, revived: { taint_epoch: 2, at: ms } };
    stays('active', { ...back, status: 'killed' }, later);
  });

  it('is known with its fence where it was not known before', () => {
    const made = loaded({ runtimes: [] });
    made.putRuntime(back);
    assert.deepEqual(made.runtime('acme', 'prod', 'bot-1'), back);
  });

  it('is like any other where it never was killed', () => {
    const made = loaded({ runtimes: [] });
    made.putRuntime(runtime);
    made.putRuntime(runtime);
    assert.deepEqual(made.runtime('acme', 'prod', 'bot-1'), runtime);
  });
});

describe('a state that was restored from a backup', () => {
  const chain = verified();
  const [root] = chain.links;

  it('takes nothing that was issued until then', () => {
    const fencedAt = NOW - 86_400;
    assert.throws(() => loaded({ fencedAt }).admit(chain, ms), {
      code: 'revoked',
      facts: {
        runtime_id: 'bot-1',
        org: 'acme',
        env: 'prod',
        value: root?.id,
        issued_at: fencedAt,
        restored_at: fencedAt,
      },
    });
  });

  it('takes nothing of which one link was', () => {
    const old = verified({ root: { issued_at: NOW }, delegation: { issued_at: NOW } });
    assert.throws(() => loaded({ fencedAt: NOW - 600 }).admit(old, ms), { code: 'revoked' });
  });

  it('takes what was issued since', () => {
    assert.ok(loaded({ fencedAt: NOW - 86_401 }).admit(chain, ms));
  });

  it('says when that was, and null where it is none', () => {
    assert.deepEqual([loaded({ fencedAt: NOW }).fencedAt, loaded().fencedAt], [NOW, null]);
  });
});
