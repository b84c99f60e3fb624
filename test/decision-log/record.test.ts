import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import fc from 'fast-check';
import { toNewRecord } from '../../src/decision-log/record.ts';
import { FIRST_PREV, hashesOf, sealLine } from '../../src/store/chain.ts';
import { recordBody } from './fixture.ts';

const ORDER =
  'v seq decision_id time node org env profile bundle route config_revision verdict reason reasons stage observed amends border actor request failed links nonce input result took_us trace_id prev hash';

describe('decision-log: record', () => {
  const seal = (texts = {}, lost = 0, body = recordBody()) =>
    sealLine(7, lost, toNewRecord(body, texts, null, []).members, FIRST_PREV);

  it('has the members in the order of the schema', () => {
    const line = JSON.parse(seal().line.toString()) as object;
    assert.equal(Object.keys(line).join(' '), ORDER);
  });

  it('says how many were lost before it, right after its number', () => {
    assert.match(seal({}, 3).line.toString(), /^\{"v":1,"seq":7,"lost":3,"decision_id":/);
    assert.doesNotMatch(seal().line.toString(), /"lost"/);
  });

  it('states the hash that an outsider gets by taking it off again', () => {
    const { line, hash } = seal();
    const bytes = `${line.toString().slice(0, -54)}}`;
    const expected = createHash('sha256').update('lemma/decision/v1\n').update(bytes).digest('base64url');
    assert.equal(hash, expected);
    assert.ok(line.toString().endsWith(`,"prev":"${FIRST_PREV}","hash":"${expected}"}`));
  });

  it('has the evaluated texts byte for byte', () => {
    const inputJson = '{"now":1.0e3,  "é":"\\u00e9","z":1,"a":2}';
    const line = seal({ inputJson, resultJson: '{"allow": true}' }).line.toString();
    assert.ok(line.includes(`,"input":${inputJson},"result":{"allow": true},"took_us":`));
  });

  it('refuses a text that would break the line', () => {
    assert.throws(() => seal({ inputJson: '{\n}' }), /inputJson must be JSON text on one line/);
  });

  it('holds any string, one line, and verifies', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), fc.string({ unit: 'grapheme' }), (decision_id, path) => {
        const body = recordBody({ decision_id, request: { method: 'GET', host: 'h', path } });
        const line = seal({}, 0, body).line.toString();
        assert.ok(!line.includes('\n'));
        const hashes = hashesOf(line);
        assert.equal(hashes?.actual, hashes?.stated);
        assert.equal((JSON.parse(line) as { decision_id: string }).decision_id, decision_id);
      }),
    );
  });

  it('is found by the actor of the chain, or by none', () => {
    assert.equal(toNewRecord(recordBody(), {}, null, []).runtime_id, 'bot-1');
    assert.equal(toNewRecord(recordBody({ actor: null, route: null }), {}, null, []).runtime_id, null);
  });
});
