import assert from 'node:assert/strict';
import type { SharedAnswer } from '../../src/feed/shared.ts';
import { type BudgetLine, createBudgets } from '../../src/gate/budget.ts';
import type { Bound } from '../../src/gate/gate.ts';
import { shareWithAll } from '../../src/gate/shared.ts';
import { NOW } from '../support/kit.ts';
import { answering, verified } from './support.ts';

const runtime = { claims: { budget: { operations: 5 } } };
const run = { issued_at: NOW - 50, not_before: NOW - 40, claims: { budget: { operations: 9 } } };
const bound = verified({ runtime, run });
const nonce = { keyid: 'k', nonce: 'n', created: NOW - 10 };
const lines = [
  { org: 'acme', env: 'prod', lemmaId: bound.runtime.id, limit: 5, expires: NOW + 3_000 },
  { org: 'acme', env: 'prod', lemmaId: bound.run?.id ?? '', limit: 9, expires: NOW + 600 },
];

interface Case {
  readonly popped?: boolean;
  /** Milliseconds from the look at the PoP to the answer. */
  readonly takes?: number;
  readonly of?: Bound;
  readonly counted?: readonly BudgetLine[];
}

function share(answer: SharedAnswer, { popped = true, takes = 0, of = bound, counted = lines }: Case = {}) {
  const { shared, asked } = answering(answer);
  const own = createBudgets();
  const reservation = own.reserve(counted, NOW);
  const nowMs = NOW * 1000;
  const shares = shareWithAll(
    shared,
    of,
    { nonce: popped ? nonce : null, reservation, nowMs },
    () => nowMs + takes,
  );
  return { shares, asked, ownUsed: () => own.reserve(counted, NOW)?.used };
}

describe('the share of one request in what all nodes count', () => {
  const taken = (used: number[]) => {
    const back: number[] = [];
    return { kind: 'taken' as const, used, giveBack: () => void back.push(1), back };
  };

  it('is asked for by the org and env of the chain, each with its age and how long to remember it', async () => {
    const { shares, asked } = share(taken([1, 1]));
    await shares;
    assert.deepEqual(asked, [
      {
        org: 'acme',
        env: 'prod',
        nonce: { ...nonce, keepS: 80 },
        lines: [
          { lemmaId: bound.runtime.id, issued: NOW - 600, keepS: 6_600 },
          { lemmaId: bound.run?.id, issued: NOW - 40, keepS: 4_200 },
        ],
        now: NOW,
      },
    ]);
  });

  for (const [used, least] of [
    [
      [2, 8],
      [9, 8],
    ],
    [
      [4, 1],
      [5, 4],
    ],
  ] as const) {
    it(`is the count of the budget with the least left, where ${used.join(' and ')} are used`, async () => {
      const reservation = await share(taken([...used])).shares;
      assert.deepEqual([reservation?.limit, reservation?.used], least);
    });
  }

  it('is none where no budget counts, and the nonce is spent all the same', async () => {
    const { shares, asked } = share(taken([]), { counted: [] });
    assert.equal(await shares, null);
    assert.deepEqual([asked[0]?.nonce?.nonce, asked[0]?.lines], ['n', []]);
  });

  it('counts two budgets under one id once, by the lower limit', async () => {
    const { id } = bound.runtime;
    const of = verified({ runtime: { id, ...runtime }, run: { id, ...run } });
    for (const limits of [
      [5, 9],
      [9, 5],
    ]) {
      const counted = limits.map((limit) => ({
        org: 'acme',
        env: 'prod',
        lemmaId: id,
        limit,
        expires: NOW + 600,
      }));
      const { shares, asked } = share(taken([3]), { of, counted });
      assert.equal((await shares)?.limit, 5);
      assert.equal(asked[0]?.lines.length, 1);
    }
  });

  it('is given back once, here and to all', async () => {
    const answer = taken([1, 1]);
    const { shares, ownUsed } = share(answer);
    const reservation = await shares;
    reservation?.release();
    reservation?.release();
    assert.deepEqual([answer.back, ownUsed()], [[1], 1]);
  });

  it('is none where the answer came when the nonce may be forgotten already', async () => {
    const answer = taken([1, 1]);
    await assert.rejects(share(answer, { takes: 25_001 }).shares, { code: 'replay_check_unavailable' });
    assert.deepEqual(answer.back, [1]);
    assert.equal((await share(taken([1, 1]), { takes: 25_000 }).shares)?.used, 1);
  });

  const refusals: [name: string, answer: SharedAnswer, popped: boolean, code: string, facts: object][] = [
    ['a nonce spent elsewhere', { kind: 'replayed' }, true, 'replay_detected', { keyid: 'k' }],
    [
      'a nonce of a forgotten time',
      { kind: 'forgotten', knownFrom: NOW },
      true,
      'replay_check_unavailable',
      { created: NOW - 10, known_from: NOW },
    ],
    [
      'a budget of a forgotten time',
      { kind: 'uncounted', lemmaId: bound.runtime.id, knownFrom: NOW },
      true,
      'budget_exhausted',
      { lemma_id: bound.runtime.id, known_from: NOW },
    ],
    [
      'a PoP and no answer',
      { kind: 'unavailable', why: 'away' },
      true,
      'replay_check_unavailable',
      { why: 'away' },
    ],
    [
      'a budget alone and no answer',
      { kind: 'unavailable', why: 'away' },
      false,
      'state_not_ready',
      { why: 'away', lemma_ids: [bound.runtime.id, bound.run?.id] },
    ],
  ];
  for (const [name, answer, popped, code, facts] of refusals) {
    it(`${name} is ${code}, and says what of`, () =>
      assert.rejects(share(answer, { popped }).shares, { code, facts }));
  }
});
