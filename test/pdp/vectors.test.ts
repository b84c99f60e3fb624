import assert from 'node:assert/strict';
import { isReasonCode, REASONS } from '../../src/reason.ts';
import { attacks } from '../attacks/cases.ts';
import { type Running, running, vectors } from '../support/running.ts';

const cases = [...vectors.cases.map((c) => ({ ...c, name: `vector ${c.name}` })), ...attacks()];

for (const border of ['grpc', 'rest'] as const) {
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
        const { http: wantedHttp, grpc: wantedGrpc } = isReasonCode(one.expect)
          ? REASONS[one.expect]
          : REASONS.allowed;
        assert.deepEqual(
          { verdict, http, grpc },
          { verdict: one.expect, http: wantedHttp, grpc: wantedGrpc },
        );
      });
    }

    it('left a record of each, with its code', async () => {
      const { records } = await service.records();
      const kept = new Map(records.map((r) => [r.decision_id, r.verdict === 'allow' ? 'allow' : r.reason]));
      assert.deepEqual(
        [...decided].filter(([id, code]) => kept.get(id) !== code),
        [],
      );
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
