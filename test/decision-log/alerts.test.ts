import assert from 'node:assert/strict';
import { createActivity } from '../../src/decision-log/activity.ts';
import { createAlerts } from '../../src/decision-log/alerts.ts';
import { createLags } from '../../src/decision-log/lags.ts';
import { createNodeWatch } from '../../src/decision-log/node-watch.ts';
import type { PolicyInput } from '../../src/schema/input.ts';
import { commit, newRecord, TENANT, workspace } from '../store/fixture.ts';
import { recordBody } from './fixture.ts';

const MINUTE = 60_000;
const START = 29_833_333 * MINUTE;

/** Without a history nothing is a spike: `usual` minutes of decisions come first. */
function scene({ usual = 60 } = {}) {
  let now = START;
  let lost = 0;
  let sharedSince: number | null = null;
  const activity = createActivity(() => now);
  const lags = createLags();
  const nodes = createNodeWatch();
  const alerts = createAlerts({
    home: TENANT,
    activity,
    lags,
    nodes,
    lost: () => lost,
    upload: () => null,
    sharedSince: () => sharedSince,
    born: START,
    clock: () => now,
  });
  for (let minute = 5; minute < 5 + usual; minute++)
    activity.recorded(recordBody({ time: START + minute * MINUTE }));
  return {
    /** What all nodes share remembers since this minute. */
    remembers(minute: number) {
      sharedSince = (START + minute * MINUTE) / 1000;
    },
    activity,
    lags,
    nodes,
    at: (minute: number) => {
      now = START + minute * MINUTE;
    },
    now: () => now,
    lose: (count: number) => {
      lost += count;
    },
    /** So many denials in this minute, of a runtime and for a reason. */
    deny(count: number, runtime_id = 'bot-1', over = {}) {
      const actor = { subject: 's', runtime_id, agent_id: 'a', workspace_id: 'w', run_id: null, scope: [] };
      for (let n = 0; n < count; n++)
        activity.recorded(recordBody({ time: now, verdict: 'deny', reason: 'scope_denied', actor, ...over }));
    },
    found: (tenant = TENANT) => alerts.summary(tenant).alerts,
    summary: () => alerts.summary(TENANT),
  };
}

describe('alerts', () => {
  describe('of a deny spike', () => {
    it('names runtime, reason, since and the decisions', () => {
      const world = scene();
      world.at(70);
      world.deny(12);
      const [alert] = world.found();
      const since = START + 70 * MINUTE;
      assert.equal(alert?.kind, 'deny_spike');
      assert.deepEqual([alert.severity, alert.since], ['warning', since]);
      assert.deepEqual(alert.facts, { runtime_id: 'bot-1', reason: 'scope_denied', count: 12, expected: 0 });
      assert.deepEqual(alert.decisions, { runtime: 'bot-1', reason: 'scope_denied', verdict: 'deny', since });
    });

    /** [denials in each minute of the hour before, denials now, whether it is a spike] */
    const cases: [usual: number, now: number, spike: string | null][] = [
      [0, 9, null],
      [0, 10, 'warning'],
      [0, 100, 'critical'],
      // e = 5: three times as many are 15, four standard deviations more 13.9.
      [1, 14, null],
      [1, 15, 'warning'],
      // e = 50: three times as many are 150.
      [10, 149, null],
      [10, 150, 'warning'],
      [10, 499, 'warning'],
      [10, 500, 'critical'],
    ];
    for (const [usual, count, severity] of cases)
      it(`${count} where ${usual} a minute are usual: ${severity ?? 'none'}`, () => {
        const world = scene();
        for (let minute = 5; minute < 66; minute++) {
          world.at(minute);
          world.deny(usual);
        }
        world.at(70);
        world.deny(count);
        assert.deepEqual(world.found()[0]?.severity ?? null, severity);
      });

    it('tells runtimes and reasons apart', () => {
      const world = scene();
      world.at(70);
      world.deny(9);
      world.deny(9, 'bot-2');
      world.deny(9, 'bot-1', { reason: 'revoked' });
      assert.deepEqual(world.found(), []);
    });

    it('counts what a record of shed requests stands for', () => {
      const world = scene();
      world.at(70);
      world.deny(1, 'bot-1', { requests: 50 });
      assert.equal(world.found()[0]?.facts.count, 50);
    });

    it('is over when its minutes are', () => {
      const world = scene();
      world.at(70);
      world.deny(50);
      world.at(75);
      assert.deepEqual(world.found(), []);
    });

    it('is not told before there is something to hold it against', () => {
      const world = scene({ usual: 9 });
      world.at(70);
      world.deny(50);
      assert.deepEqual([world.found(), world.summary().baseline_minutes], [[], 9]);
    });

    it('is told, and said to be none of the usual, once there is', () => {
      const world = scene({ usual: 10 });
      world.at(70);
      world.deny(50);
      const [{ message } = {}] = world.found();
      assert.equal(
        message,
        'scope_denied to bot-1: 50 in 5 minutes, none were expected (by the 10 minutes with decisions before)',
      );
    });

    it('is not what is usual by day, on the morning after a night without a request', () => {
      const world = scene({ usual: 0 });
      for (let minute = 0; minute < 60; minute++) {
        world.at(minute);
        world.deny(4);
      }
      for (let minute = 600; minute < 605; minute++) {
        world.at(minute);
        world.deny(4);
      }
      assert.deepEqual([world.found(), world.summary().baseline_minutes], [[], 60]);
    });

    it('is not the batch of each hour', () => {
      const world = scene({ usual: 0 });
      for (let hour = 0; hour < 12; hour++) {
        world.at(hour * 60);
        world.deny(40);
        assert.deepEqual(world.found(), []);
      }
    });

    it('shows nothing to another tenant', () => {
      const world = scene();
      world.at(70);
      world.deny(50);
      world.lose(1);
      world.nodes.seen({ node: 'n2', at: 0, fresh_ms: 1 });
      assert.deepEqual(world.found({ org: 'other', env: 'prod' }), []);
    });
  });

  it('hold what is in the store of the hour before the start against it', async () => {
    const at = workspace();
    try {
      const store = await at.open();
      const old = (minute: number, n: number) =>
        newRecord(`m${minute}-${n}`, {
          time: START - minute * MINUTE + n,
          verdict: 'deny',
          reason: 'scope_denied',
        });
      for (let minute = 1; minute <= 60; minute++)
        await commit(store, ...Array.from({ length: 10 }, (_, n) => old(minute, n)));
      const world = scene({ usual: 0 });
      await world.activity.warm(store, [TENANT], 600);
      assert.equal(world.activity.of(TENANT).deny.sum(START - 60 * MINUTE, START), 600);
      world.at(4);
      world.deny(140);
      assert.deepEqual(world.found(), []);
      world.deny(200);
      assert.equal(world.found()[0]?.kind, 'deny_spike');
    } finally {
      await at.end();
    }
  });

  it('of the revocation lag, when p50 or p99 of the hour is over its target', () => {
    const world = scene();
    for (let n = 0; n < 99; n++) world.lags.record({ node: 'n1', ms: 2, at: START });
    world.lags.record({ node: 'n2', ms: 40, at: START });
    assert.deepEqual(world.found(), []);
    for (let n = 0; n < 2; n++) world.lags.record({ node: 'n3', ms: 80, at: START });
    const { revocation_lag: lag, alerts } = world.summary();
    assert.deepEqual([lag.count, lag.p50_ms, lag.p99_ms, lag.max_ms, lag.met], [102, 2, 80, 80, false]);
    assert.deepEqual([alerts[0]?.kind, alerts[0]?.facts.node], ['revocation_lag', 'n3']);
    world.at(61);
    assert.deepEqual([world.found(), world.summary().revocation_lag.count], [[], 0]);
  });

  it('of a node that was not heard of in time', () => {
    const world = scene();
    world.nodes.seen({ node: 'n2', at: START, fresh_ms: 30_000 });
    assert.deepEqual(world.found(), []);
    world.at(1);
    const [alert] = world.found();
    assert.deepEqual(
      [alert?.kind, alert?.severity, alert?.since],
      ['stale_node', 'critical', START + 30_000],
    );
    world.nodes.gone('n2');
    assert.deepEqual(world.found(), []);
  });

  it('of a name that two processes bear, as long as they do', () => {
    const world = scene();
    const seen = (minute: number) =>
      world.nodes.seen({ node: 'n2', at: START + minute * 60_000, fresh_ms: 90_000, duplicate: true });
    seen(0);
    world.at(1);
    seen(1);
    const [alert] = world.found();
    assert.deepEqual([alert?.kind, alert?.facts.node, alert?.since], ['duplicate_node', 'n2', START]);
    world.nodes.seen({ node: 'n2', at: START + 180_000, fresh_ms: 90_000 });
    world.at(3);
    assert.deepEqual(world.found(), []);
  });

  it('of lost records, for an hour', () => {
    const world = scene();
    world.lose(3);
    const [alert] = world.found();
    assert.deepEqual([alert?.kind, alert?.severity, alert?.facts.count], ['records_lost', 'critical', 3]);
    world.at(61);
    assert.deepEqual(world.found(), []);
  });

  it('of a memory that all nodes share and that was lost, until no proof is as old', () => {
    const world = scene();
    world.at(10);
    world.remembers(0);
    assert.deepEqual(world.found(), []);
    world.remembers(5);
    const [alert] = world.found();
    const since = START + 5 * MINUTE;
    assert.deepEqual([alert?.kind, alert?.severity, alert?.since], ['shared_memory_lost', 'warning', since]);
    assert.deepEqual(alert?.decisions, { reason: 'budget_exhausted', verdict: 'deny', since });
    assert.match(alert?.message ?? '', /Issue those proofs anew/);
    world.at(5 + 24 * 60);
    assert.deepEqual(world.found(), []);
  });

  it('of legacy tokens that are used', () => {
    const world = scene();
    const input = { legacy: { token: true, age_ms: 1 } } as unknown as PolicyInput;
    world.activity.recorded(recordBody({ time: world.now(), input }));
    const [alert] = world.found();
    assert.deepEqual(
      [alert?.kind, alert?.severity, alert?.facts],
      ['legacy_token', 'info', { runtime_id: 'bot-1', count: 1 }],
    );
  });
});
