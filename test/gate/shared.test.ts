import assert from 'node:assert/strict';
import type { Shared, SharedAnswer, SharedAsk } from '../../src/feed/shared.ts';
import { createBudgets } from '../../src/gate/budget.ts';
import { shareWithAll } from '../../src/gate/shared.ts';
import { createChainCache } from '../../src/proof/cache.ts';
import { createTrust } from '../../src/proof/trust.ts';
import { chain, header, keys, NOW } from '../support/kit.ts';

const trust = createTrust([
  { org: 'acme', env: 'prod', keys: [{ x: Buffer.from(keys.issuer.public).toString('base64url') }] },
]);
const runtime = { claims: { budget: { operations: 5 } } };
const run = { issued_at: NOW - 50, not_before: NOW - 40, claims: { budget: { operations: 9 } } };
const bound = createChainCache().verify(header(chain({ runtime, run })), trust);
const nonce = { keyid: 'k', nonce: 'n', created: NOW - 10 };
const lines = [
  { org: 'acme', env: 'prod', lemmaId: bound.runtime.id, limit: 5, expires: NOW + 3_000 },
  { org: 'acme', env: 'prod', lemmaId: bound.run?.id ?? '', limit: 9, expires: NOW + 600 },
];

/** What nodes share, as far as one request sees it: this answer, and what it was asked. What Redis makes of it: test/feed. */
function answering(answer: SharedAnswer) {
  const asked: SharedAsk[] = [];
  const shared: Shared = {
    take: async (ask) => {
      asked.push(ask);
      return answer;
    },
    stats: () => ({ up: true, asked: 0, unavailable: 0, leaked: 0 }),
    close: async () => undefined,
  };
  return { shared, asked };
}

/** `takes`: milliseconds from the look at the PoP to the answer. */
function share(answer: SharedAnswer, { popped = true, takes = 0 } = {}) {
  const { shared, asked } = answering(answer);
  const own = createBudgets();
  const reservation = own.reserve(lines, NOW);
  const nowMs = NOW * 1000;
  const shares = shareWithAll(
    shared,
    bound,
    { nonce: popped ? nonce : null, reservation, nowMs },
    () => nowMs + takes,
  );
  return { shares, asked, ownUsed: () => own.reserve(lines, NOW)?.used };
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

  it('is the count of the budget with the least left', async () => {
    const reservation = await share(taken([2, 8])).shares;
    assert.deepEqual([reservation?.limit, reservation?.used], [9, 8]);
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

  const refusals: [name: string, answer: SharedAnswer, popped: boolean, code: string][] = [
    ['a nonce spent elsewhere', { kind: 'replayed' }, true, 'replay_detected'],
    ['a nonce of a forgotten time', { kind: 'forgotten', knownFrom: NOW }, true, 'replay_check_unavailable'],
    [
      'a budget of a forgotten time',
      { kind: 'uncounted', lemmaId: bound.runtime.id, knownFrom: NOW },
      true,
      'budget_exhausted',
    ],
    ['a PoP and no answer', { kind: 'unavailable', why: 'away' }, true, 'replay_check_unavailable'],
    ['a budget alone and no answer', { kind: 'unavailable', why: 'away' }, false, 'state_not_ready'],
  ];
  for (const [name, answer, popped, code] of refusals) {
    it(`${name} is ${code}`, () => assert.rejects(share(answer, { popped }).shares, { code }));
  }
});
