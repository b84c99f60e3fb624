import assert from 'node:assert/strict';
import fc from 'fast-check';
import { type RecordedDecision, readLine } from '../../../src/pdp/impact/line.ts';
import { compileEngine, type Engine } from '../../../src/policy/engine.ts';
import type { PolicyInput } from '../../../src/schema/input.ts';
import { allowedInput } from '../../policy/support.ts';
import { told } from '../support.ts';
import { recordedLine } from './recorded.ts';

type Json = Record<string, unknown>;

describe('a line of the decision log', () => {
  let engine: Engine;
  let line: string;

  before(async () => {
    engine = await compileEngine(told);
    line = recordedLine(7, engine, input());
  });

  const input = (more: object = {}): PolicyInput => {
    const base = allowedInput('low') as unknown as PolicyInput;
    return { ...base, request: { ...base.request, query: { tell: ['x_own'] } }, ...more };
  };
  const read = (text: string): RecordedDecision => {
    const found = readLine(text);
    assert.ok(typeof found === 'object' && found !== null, String(found));
    return found;
  };
  const edited = (edit: (record: Json) => unknown) => {
    const record = JSON.parse(line) as Json;
    edit(record);
    return JSON.stringify(record);
  };
  const and = (members: object) => edited((record) => Object.assign(record, members));
  const without = (member: string) => edited((record) => delete record[member]);

  it('is read with what an impact is told by', () => {
    const { input: text, ...rest } = read(line);
    const { result, bundle, time, input: whole } = JSON.parse(line);
    assert.deepEqual(rest, {
      decision_id: `dec_${'7'.padStart(22, '0')}`,
      ...{ time, result, bundle },
      org: 'acme',
      env: 'prod',
      observed: false,
      amends: false,
      hasInput: true,
      profile: 'low',
      route: 'documents.read',
      runtime: 'bot-1',
      failed: null,
    });
    assert.equal(text?.json, JSON.stringify(whole));
    assert.ok(line.startsWith(',"result":', text?.end));
  });

  it('has its input, whatever is within that', () => {
    const anything = fc.oneof(
      fc.jsonValue(),
      fc.constant({ input: { a: 1 }, result: { input: {}, result: 1 } }),
    );
    fc.assert(
      fc.property(anything, (value) => {
        const own = JSON.parse(JSON.stringify({ ...input(), authzen: value }));
        const text = recordedLine(1, engine, own);
        assert.deepEqual(JSON.parse(read(text).input?.json ?? ''), own);
      }),
      { numRuns: 50 },
    );
  });

  it('says that it observes, and that it amends', () => {
    const { observed, amends } = read(and({ observed: true, amends: true }));
    assert.deepEqual([observed, amends], [true, true]);
  });

  it('has no input where none was recorded', () => {
    const { input: text, hasInput } = read(and({ input: null }));
    assert.deepEqual([text, hasInput], [null, false]);
  });

  it('has an input that cannot be found again where its text was written otherwise', () => {
    const spaced = line.replace('"input":{', '"input": {');
    const { input: text, hasInput } = read(spaced);
    assert.deepEqual([text, hasInput], [null, true]);
  });

  it('names no org, env, route or runtime that it does not have', () => {
    const { org, env, route, runtime } = read(and({ org: 1, env: null, route: null, actor: null }));
    assert.deepEqual([org, env, route, runtime], ['', '', null, null]);
  });

  it('may have no result, bundle, profile or failure', () => {
    const { result, bundle, profile, failed } = read(and({ result: null, bundle: null, profile: null }));
    assert.deepEqual([result, bundle, profile, failed], [null, null, null, null]);
  });

  it('has the bundle that was asked before one behind an adapter', () => {
    const ref = { name: 'low', revision: 'r', sha256: 'a'.repeat(64), base: 'b'.repeat(64) };
    assert.deepEqual(read(and({ bundle: ref })).bundle, ref);
  });

  const STATEMENTS = ['', '{"checkpoint":{}}', '{"pruned":{}}', '{"end":{}}', '{"next_cursor":"a"}'];
  for (const text of STATEMENTS)
    it(`is passed over where it states something of the log: ${text}`, () => {
      assert.equal(readLine(text), 'statement');
    });

  it('counts as withheld where its record was', () => {
    assert.equal(readLine('{"withheld":{"seq":1}}'), 'withheld');
  });

  const result = { allow: true, reason: 'allowed', reasons: [] };
  const bundle = { name: 'low', revision: 'r', sha256: 'a'.repeat(64) };
  const failed = { check: 'policy_error', message: 'm', facts: {} };
  const NONE: readonly (readonly [what: string, text: () => string])[] = [
    ['not JSON', () => line.slice(0, -1)],
    ['a text before a statement', () => 'x{"end":{}}'],
    ['a text before a withheld one', () => 'x{"withheld":{}}'],
    ['a list', () => `[${line}]`],
    ['null', () => 'null'],
    ['of another version', () => and({ v: 2 })],
    ['with an input and a later one', () => line.replace(',"took_us"', ',"input":{"a":1},"took_us"')],
    ['without an id', () => without('decision_id')],
    ['with an id that holds a line', () => and({ decision_id: 'dec_1\n' })],
    ['with an id after something else', () => and({ decision_id: ' dec_1' })],
    ['with too long an id', () => and({ decision_id: 'd'.repeat(65) })],
    ['with an empty id', () => and({ decision_id: '' })],
    ['with a time in words', () => and({ time: '2026-11-26' })],
    ['without a result', () => without('result')],
    ['with a verdict in words', () => and({ result: { ...result, allow: 'yes' } })],
    ['without a reason', () => and({ result: { ...result, reason: null } })],
    ['with reasons in a text', () => and({ result: { ...result, reasons: 'allowed' } })],
    ['with a reason that is none', () => and({ result: { ...result, reasons: ['a', 1] } })],
    ['with a result in a list', () => and({ result: [result] })],
    ['without a bundle', () => without('bundle')],
    ['with a bundle by its name', () => and({ bundle: 'low' })],
    ['with a bundle without a name', () => and({ bundle: { ...bundle, name: 1 } })],
    ['with a bundle without a revision', () => and({ bundle: { ...bundle, revision: 1 } })],
    ['with a bundle without a digest', () => and({ bundle: { ...bundle, sha256: 1 } })],
    ['with too short a digest', () => and({ bundle: { ...bundle, sha256: 'a'.repeat(63) } })],
    ['with too long a digest', () => and({ bundle: { ...bundle, sha256: 'a'.repeat(65) } })],
    ['with a digest in capitals', () => and({ bundle: { ...bundle, sha256: 'A'.repeat(64) } })],
    ['with a base that is no digest', () => and({ bundle: { ...bundle, base: 'b' } })],
    [
      'with a base and without a digest',
      () => and({ bundle: { ...bundle, sha256: 'a', base: 'b'.repeat(64) } }),
    ],
    ['without a failure, or its absence', () => without('failed')],
    ['with a failure in words', () => and({ failed: 'policy_error' })],
    ['with a failure without its check', () => and({ failed: { ...failed, check: 1 } })],
    ['with a failure without its message', () => and({ failed: { ...failed, message: null } })],
    ['without a profile', () => without('profile')],
    ['with a profile that is none', () => and({ profile: 1 })],
  ];
  for (const [what, text] of NONE)
    it(`is no record: ${what}`, () => {
      assert.equal(readLine(text()), null);
    });
});
