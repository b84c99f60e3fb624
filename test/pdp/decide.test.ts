import assert from 'node:assert/strict';
import { decide } from '../../src/pdp/decide.ts';
import { isReasonCode } from '../../src/reason.ts';
import type { RecordBody } from '../../src/schema/decision.ts';
import { attacks } from '../attacks/cases.ts';
import { vectors } from '../support/running.ts';
import { asked, type Composed, composed, folders } from './support.ts';

describe('decide, in process', () => {
  const temporary = folders();
  let parts: Composed;
  const kept: RecordBody[] = [];

  before(async () => {
    parts = await composed(temporary.make());
    parts.log.onRecord((body) => void kept.push(body));
  });
  after(async () => {
    await parts.close();
    temporary.remove();
  });

  for (const { name, request, expect } of [...vectors.cases, ...attacks()]) {
    it(`${name}: ${expect}`, async () => {
      const { reason } = await decide(asked(request), parts.pdp);
      assert.equal(reason, isReasonCode(expect) ? expect : 'allowed');
    });
  }
});
