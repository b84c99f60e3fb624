import assert from 'node:assert/strict';
import { counted, uncompared } from '../../../src/pdp/impact/counted.ts';
import type { Counted } from '../../../src/pdp/impact/protocol.ts';
import { createTally, REPORT_LIMITS, type ReportLimits, ruleOf } from '../../../src/pdp/impact/report.ts';
import type { Bundle } from '../../../src/policy/bundle.ts';
import { CHANGE_KINDS, type Change, type ChangeKind, type Said } from '../../../src/schema/impact.ts';
import { told } from '../support.ts';

const said = (reason: string, allow = false): Said => ({ allow, reason, reasons: [reason], error: null });

describe('the report of an impact', () => {
  const change = (n: number, some: Partial<Change> = {}): Change => ({
    kind: 'newly_allowed',
    decision_id: `dec_${n}`,
    time: n,
    ...{ org: 'acme', env: 'prod', profile: 'low', route: 'r', runtime: 'bot', observed: false },
    ...{ was_by: 'a', now_by: 'b', was: said('x_own'), now: said('allowed', true), members: [] },
    ...some,
  });
  const reportOf = (parts: readonly Partial<Counted>[], limits: ReportLimits = REPORT_LIMITS) => {
    const tally = createTally([told], limits);
    for (const part of parts) tally.take({ ...counted(), ...part });
    return tally.report();
  };
  const names = (groups: readonly { readonly name: string | null }[]) => groups.map(({ name }) => name);
  const differing = (n: number) => ({ decision_id: `dec_${n}`, revision: 'r', why: 'w' });

  it('names the candidates, and is empty where nothing was judged', () => {
    const { name, revision, sha256 } = told;
    const none = Object.fromEntries(CHANGE_KINDS.map((kind) => [kind, 0]));
    assert.deepEqual(reportOf([]), {
      candidates: [{ name, revision, sha256 }],
      records: 0,
      reproduced: { equal: 0, not_equal: 0, differing: [] },
      counts: { ...none, same: 0, not_comparable: 0 },
      not_comparable: [],
      groups: { route: [], runtime: [], rule: [] },
      changes: [],
      not_listed: 0,
    });
  });

  it('adds up what the threads found', () => {
    const part = { records: 5, reproduced: 4, same: 2, changes: [change(1), change(2, { kind: 'error' })] };
    const { records, reproduced, counts, changes } = reportOf([part, { ...part, changes: [change(3)] }]);
    assert.deepEqual(
      [records, reproduced.equal, counts.same, counts.newly_allowed, counts.error, changes.length],
      [10, 8, 4, 2, 1, 3],
    );
  });

  it('tells how far it is', () => {
    const tally = createTally([], REPORT_LIMITS);
    tally.take({ ...counted(), records: 3 });
    assert.equal(tally.records, 3);
  });

  it('has the changes in the order of their time, then of their ids', () => {
    const found = [change(3), change(1), { ...change(1), decision_id: 'dec_0' }, change(2)];
    const { changes } = reportOf([{ changes: found }]);
    assert.deepEqual(
      changes.map(({ decision_id }) => decision_id),
      ['dec_0', 'dec_1', 'dec_2', 'dec_3'],
    );
  });

  it('lists so many changes of each kind, and counts all', () => {
    const found = [1, 2, 3].flatMap((n) => [change(n), change(n, { kind: 'newly_denied' })]);
    const { changes, counts, not_listed } = reportOf([{ changes: found }], { changes: 2, groups: 9 });
    assert.deepEqual(
      [changes.map(({ kind }) => kind), counts.newly_allowed, counts.newly_denied, not_listed],
      [['newly_allowed', 'newly_denied', 'newly_allowed', 'newly_denied'], 3, 3, 2],
    );
  });

  it('has groups by route, runtime and rule, the largest first, then by their names', () => {
    const found = [
      change(1, { route: 'b', runtime: null, was: said('x_b') }),
      change(2, { route: 'c', runtime: 'bot', was: said('x_c') }),
      change(3, { route: 'c', runtime: 'bot', was: said('x_c') }),
      change(4, { route: null, runtime: 'aid', was: said('x_a') }),
    ];
    const { groups } = reportOf([{ changes: found }]);
    assert.deepEqual(
      [names(groups.route), names(groups.runtime), names(groups.rule)],
      [
        ['c', null, 'b'],
        ['bot', null, 'aid'],
        ['x_c', 'x_a', 'x_b'],
      ],
    );
  });

  it('counts in a group each kind, and names twenty of its decisions', () => {
    const found = Array.from({ length: 25 }, (_, n) =>
      change(n, n < 5 ? { kind: 'error', now: said('x_own') } : {}),
    );
    const [group] = reportOf([{ changes: found }]).groups.route;
    assert.deepEqual(
      [
        group?.counts.error,
        group?.counts.newly_allowed,
        group?.counts.newly_denied,
        group?.decision_ids.length,
      ],
      [5, 20, 0, 20],
    );
  });

  it('has no more groups than are asked for', () => {
    const found = [1, 2, 3].map((n) => change(n, { route: `r${n}`, runtime: `b${n}`, was: said(`x_${n}`) }));
    const { groups } = reportOf([{ changes: found }], { changes: 9, groups: 2 });
    assert.deepEqual([groups.route.length, groups.runtime.length, groups.rule.length], [2, 2, 2]);
  });

  it('counts fifty thousand names, and goes on with those', () => {
    const most = 50_000;
    const found = Array.from({ length: most + 1 }, (_, n) => change(n, { runtime: `b${n}` }));
    const { runtime } = reportOf([{ changes: [...found, change(0, { runtime: 'b7' })] }], {
      changes: 1,
      groups: most + 1,
    }).groups;
    assert.deepEqual([runtime.length, runtime[0]?.name, runtime[0]?.counts.newly_allowed], [most, 'b7', 2]);
  });

  it('compares nothing once a decision did not reproduce, but says what could not be compared', () => {
    const into = counted();
    uncompared(into, 'amendment', ['dec_9']);
    const { counts, changes, groups, reproduced, not_comparable, not_listed } = reportOf([
      { ...into, same: 4, changes: [change(1)] },
      { not_reproduced: 1, differing: [differing(2)] },
    ]);
    assert.deepEqual(
      [counts.same, counts.newly_allowed, counts.not_comparable, changes, not_listed, groups],
      [0, 0, 1, [], 0, { route: [], runtime: [], rule: [] }],
    );
    assert.deepEqual(
      [reproduced.not_equal, reproduced.differing, not_comparable],
      [1, [differing(2)], [{ why: 'amendment', count: 1, decision_ids: ['dec_9'] }]],
    );
  });

  it('tells a thousand that did not reproduce one by one', () => {
    const many = Array.from({ length: 700 }, (_, n) => differing(n));
    const part = { not_reproduced: 700, differing: many };
    const { reproduced } = reportOf([part, part]);
    assert.deepEqual([reproduced.not_equal, reproduced.differing.length], [1400, 1000]);
  });

  it('names ten decisions of each sort that say nothing, and counts all', () => {
    const part = counted();
    uncompared(part, 'withheld', [], 3);
    uncompared(part, 'amendment', ['a', 'b', 'c', 'd', 'e', 'f', 'g'], 7);
    assert.equal(part.not_comparable.amendment?.count, 7);
    const { not_comparable, counts } = reportOf([part, part]);
    assert.deepEqual(
      not_comparable.map(({ why, count, decision_ids }) => [why, count, decision_ids.length]),
      [
        ['amendment', 14, 10],
        ['withheld', 6, 0],
      ],
    );
    assert.equal(counts.not_comparable, 20);
  });

  it('names a rule by its place in the bundle that it is of', () => {
    const { manifest } = told;
    const lemma = { ...manifest.metadata.lemma, reasons: { x_own: 'low.rego:7' } };
    const bundle = { ...told, sha256: 'a', manifest: { ...manifest, metadata: { lemma } } } as Bundle;
    const tally = createTally([{ ...bundle, sha256: 'b' }], REPORT_LIMITS);
    tally.knows(bundle);
    tally.take({
      ...counted(),
      changes: [change(1), change(2, { was_by: 'other' }), change(3, { was_by: 'other' })],
    });
    tally.take({ ...counted(), changes: [change(4, { kind: 'newly_denied', now: said('x_own') })] });
    const { rule } = tally.report().groups;
    assert.deepEqual(names(rule), ['x_own', 'x_own (low.rego:7)']);
    assert.equal(rule[1]?.counts.newly_denied, 1);
  });

  const rules: Record<ChangeKind, string> = {
    newly_allowed: 'a:x_was',
    newly_denied: 'b:x_now',
    error: 'b:x_now',
    effects_changed: 'b:x_now',
    reason_changed: 'a:x_was -> b:x_now',
  };
  for (const kind of CHANGE_KINDS)
    it(`groups ${kind} by ${rules[kind]}`, () => {
      const one = change(1, { kind, was: said('x_was'), now: said('x_now') });
      assert.equal(
        ruleOf(one, (by, code) => `${by}:${code}`),
        rules[kind],
      );
    });
});
