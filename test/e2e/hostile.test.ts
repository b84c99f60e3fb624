import assert from 'node:assert/strict';
import { folders, publish, writing } from '../pdp/support.ts';
import { ATTACKS } from '../policy/hostile-attacks.ts';
import { fixture } from '../policy/support.ts';
import { bearing, chain, keys } from '../support/kit.ts';
import { type Running, running } from '../support/running.ts';

/** Others, of the profile high and of the hostile one, for each that runs away. */
const OTHERS = 4;

describe('a hostile policy in a running service, through the real gRPC port', () => {
  const temporary = folders();
  let service: Running;
  const links = chain();

  before(async () => {
    const bundles = await publish(temporary.make(), fixture('hostile'), { serial: 1 });
    service = await running({ config: { bundles } });
  });
  after(async () => {
    await service?.stop();
    temporary.remove();
  });

  const ask = (attack: string, size: number) =>
    service.grpc(bearing(links, { path: `/v1/documents/42?attack=${attack}&size=${size}` }));

  for (const [attack, size, code, problem] of ATTACKS) {
    it(`${attack}: ${code}, in the record too, and again when it is explained`, async () => {
      const { verdict, decisionId } = await ask(attack, size);
      const { record, evaluated_again, failed } = await service.explain(decisionId);
      assert.deepEqual([verdict, record.reason], [code, code]);
      assert.match(String(failed?.facts?.problem), problem);
      assert.deepEqual([evaluated_again?.equal, evaluated_again?.result], [true, null]);
    });
  }

  it('leaves all that is asked beside it right, of its own profile too', async () => {
    const asked = ATTACKS.flatMap(([attack, size, code]) => [
      { answer: ask(attack, size), expected: code },
      ...Array.from({ length: OTHERS }, () => ({
        answer: service.grpc(writing(links, keys.runtime)),
        expected: 'allow',
      })),
      { answer: service.grpc(bearing(links)), expected: 'allow' },
    ]);
    const verdicts = await Promise.all(asked.map(({ answer }) => answer));
    assert.deepEqual(
      verdicts.map(({ verdict }) => verdict),
      asked.map(({ expected }) => expected),
    );
  });

  it('is known by its records: every one of the run explains as it was', async () => {
    const { records } = await service.records();
    assert.ok(records.length > ATTACKS.length * (OTHERS + 2));
    for (const { decision_id } of records) {
      const { evaluated_again } = await service.explain(decision_id);
      assert.equal(evaluated_again?.equal, true, decision_id);
    }
  });
});
