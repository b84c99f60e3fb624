import assert from 'node:assert/strict';
import { isReasonCode, REASONS } from '../../src/reason.ts';
import type { DecisionRecord } from '../../src/schema/decision.ts';
import { attacks } from '../attacks/cases.ts';
import { type Running, running, vectors } from '../support/running.ts';

const cases = [...vectors.cases.map((c) => ({ ...c, name: `vector ${c.name}` })), ...attacks()];
const BORDERS = ['grpc', 'rest'] as const;

/** What a record says beside its place in the log, its measured times and the border that it came over. */
function comparable(record: DecisionRecord): object {
  const { seq, prev, hash, decision_id, took_us, border, ...rest } = record;
  return rest;
}

const recorded = new Map<string, object[]>();

for (const border of BORDERS) {
  describe(`over ${border}, with a clock at the vectors' time`, () => {
    let service: Running;
    before(async () => {
      service = await running();
    });
    after(() => service.stop());

    const decided = new Map<string, string>();
    for (const one of cases) {
      it(`${one.name}: ${one.expect}`, async () => {
        const { verdict, decisionId, http, grpc } = await service[border](one.request);
        decided.set(decisionId, one.expect);
        const wanted = isReasonCode(one.expect) ? REASONS[one.expect] : REASONS.allowed;
        assert.deepEqual({ verdict, http, grpc }, { verdict: one.expect, ...wanted });
      });
    }

    it('left a record of each, with its code', async () => {
      const { records } = await service.records();
      recorded.set(border, records.map(comparable));
      const kept = new Map(records.map((r) => [r.decision_id, r.verdict === 'allow' ? 'allow' : r.reason]));
      const missing = [...decided].filter(([id, code]) => kept.get(id) !== code);
      assert.deepEqual(missing, []);
      assert.equal(decided.size, cases.length);
    });

    it('explains each equal, byte for byte', async () => {
      const unequal: unknown[] = [];
      for (const id of decided.keys()) {
        const { status, body } = await service.control(`/api/wallet/runtimes/decisions/${id}/explain`);
        const { evaluated_again, failed } = body.explanation as {
          evaluated_again: { equal: boolean } | null;
          failed: object | null;
        };
        const fine = evaluated_again === null ? failed !== null : evaluated_again.equal;
        if (status !== 200 || !fine) unequal.push(body);
      }
      assert.deepEqual(unequal, []);
    });
  });
}

describe('gRPC and its REST mirror', () => {
  for (const [index, { name }] of cases.entries()) {
    it(`keep the same record of ${name}`, () => {
      const [grpc, rest] = BORDERS.map((border) => recorded.get(border)?.[index]);
      assert.ok(grpc !== undefined);
      assert.deepEqual(rest, grpc);
    });
  }
});
