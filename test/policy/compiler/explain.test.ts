import assert from 'node:assert/strict';
import type { ClauseTold, Explained } from '../../../src/policy/compiler/answers.ts';
import { type Compiler, openCompiler } from '../../../src/policy/compiler/compiler.ts';
import { errorOf, files, nativeOpa, PATIENT_MS, resultOf, wasmBuilt } from './support.ts';

const QUERY = 'data.lemma.low.decision';
const HEAD = 'package lemma.low\n\n';
/** Asks for what `ok` says; a rule whose expressions stand on lines of their own begins on line 5. */
const DECISION = 'default decision := false\ndecision if ok\n';

describe('the rules behind an answer', function () {
  this.timeout(PATIENT_MS);
  let compiler: Compiler;

  before(async function () {
    if (!wasmBuilt()) return this.skip();
    compiler = await openCompiler({ engine: 'wasm' });
  });
  after(() => compiler?.close());

  const ask = (rego: string, input: object = {}, more: Record<string, string> = {}) =>
    compiler.explain({
      files: files({ 'low/decision.rego': HEAD + rego, ...more }),
      query: QUERY,
      input: JSON.stringify(input),
      timeLimitMs: PATIENT_MS,
    });

  async function explained(rego: string, input?: object, more?: Record<string, string>): Promise<Explained> {
    return resultOf(await ask(DECISION + rego, input, more));
  }

  /** `ok` and what it names. */
  async function rulesOf(
    name: string,
    ...about: Parameters<typeof explained>
  ): Promise<readonly ClauseTold[]> {
    const { rules } = await explained(...about);
    return rules.filter(({ path }) => path === `data.lemma.low.${name}`);
  }

  const brief = ({ held, at, values, would }: ClauseTold) => ({
    held,
    at: `${at.line}:${at.column} ${at.text}`,
    values: Object.fromEntries(values.map(({ text, value }) => [text, value])),
    would,
  });

  interface Case {
    readonly rego: string;
    readonly input?: object;
    readonly files?: Record<string, string>;
    /** Of which rule; default: `ok`. */
    readonly of?: string;
    /** One a clause. */
    readonly gives: readonly Partial<ReturnType<typeof brief>>[];
  }

  const cases: Record<string, Case> = {
    'a comparison, with what stood on both sides': {
      rego: 'ok if {\n\tinput.n < limit\n}\nlimit := 3\n',
      input: { n: 4 },
      gives: [{ held: 0, at: '6:2 input.n < limit', values: { 'input.n': '4', limit: '3' }, would: true }],
    },
    'what an input does not have': {
      rego: 'ok if input.a.b == 1\n',
      gives: [{ held: 0, at: '5:7 input.a.b == 1', values: { 'input.a.b': null }, would: true }],
    },
    'the first expression that failed, and none beyond it': {
      rego: 'ok if {\n\tinput.a\n\tinput.b\n\tinput.c\n}\n',
      input: { a: 1 },
      gives: [{ at: '7:2 input.b', values: { 'input.a': '1', 'input.b': null }, would: true }],
    },
    'several clauses of one name': {
      rego: 'ok if input.a == 1\nok if input.a == 2\n',
      input: { a: 2 },
      gives: [
        { held: 0, at: '5:7 input.a == 1', values: { 'input.a': '2' }, would: true },
        { held: 1, at: '6:1 ok', values: { 'input.a': '2' }, would: undefined },
      ],
    },
    'else, each on its own': {
      rego: 'ok := "x" if {\n\tinput.a\n} else := "y" if {\n\tinput.b\n}\n',
      input: { b: true },
      gives: [
        { held: 0, at: '6:2 input.a', values: { 'input.a': null } },
        { held: 1, values: { 'input.b': 'true' } },
      ],
    },
    'a default': {
      rego: 'ok if verdict == "go"\ndefault verdict := "stop"\nverdict := "go" if input.go\n',
      of: 'verdict',
      gives: [
        { held: 0, at: '7:20 input.go', values: { 'input.go': null }, would: true },
        { held: 1, at: '6:9 verdict := "stop"', values: {} },
      ],
    },
    'a function, with its arguments': {
      rego: 'ok if most(input.a, 2)\nmost(value, limit) if value <= limit\n',
      input: { a: 3 },
      of: 'most',
      gives: [{ held: 0, at: '6:23 value <= limit', values: { value: '3', limit: '2' }, would: true }],
    },
    'a function that was called several times, without a guess': {
      rego: 'ok if most(input.a, 2)\nok if most(input.a, 1)\nmost(value, limit) if value <= limit\n',
      input: { a: 3 },
      of: 'most',
      gives: [{ held: 0, at: '7:23 value <= limit', values: { value: '3', limit: '2' }, would: undefined }],
    },
    'a function whose pattern does not match': {
      rego: 'ok if named("a")\nnamed("b") := true\n',
      of: 'named',
      gives: [{ held: 0, at: '6:1 named("b") := true', values: {}, would: undefined }],
    },
    'a comprehension and the call around it': {
      rego: 'ok if count([x | some x in input.xs; x > 1]) == 0\n',
      input: { xs: [1, 2, 3] },
      gives: [
        {
          held: 0,
          at: '5:7 count([x | some x in input.xs; x > 1]) == 0',
          values: {
            'count([x | some x in input.xs; x > 1])': '2',
            '[x | some x in input.xs; x > 1]': '[2, 3]',
          },
        },
      ],
    },
    'every, at the member that failed': {
      rego: 'ok if {\n\tevery x in input.xs { x < 3 }\n}\n',
      input: { xs: [1, 3, 9] },
      gives: [{ held: 0, at: '6:24 x < 3', values: { 'input.xs': '[1, 3, 9]', x: '3' }, would: true }],
    },
    'some in, at the member that came furthest': {
      rego: 'ok if {\n\tsome x in input.xs\n\tx.on\n\tx.n > 5\n}\n',
      input: { xs: [{ n: 9 }, { on: true, n: 4 }] },
      gives: [
        {
          held: 0,
          at: '8:2 x.n > 5',
          values: {
            'input.xs': '[{"n": 9}, {"n": 4, "on": true}]',
            x: '{"n": 4, "on": true}',
            'x.on': 'true',
            'x.n': '4',
          },
          would: true,
        },
      ],
    },
    'a value that the rest needs, without a guess': {
      rego: 'ok if {\n\tsome x in input.xs\n\tx > 1\n}\n',
      input: { xs: [] },
      gives: [
        { held: 0, at: '6:2 some x in input.xs', values: { 'input.xs': '[]', x: null }, would: undefined },
      ],
    },
    negation: {
      rego: 'ok if not bad\nbad if input.a == 1\n',
      input: { a: 1 },
      gives: [{ held: 0, at: '5:7 not bad', values: { bad: 'true' }, would: true }],
    },
    'a helper under a negation, whose failure decided': {
      rego: 'ok if not bad\nbad if input.a == 1\n',
      input: { a: 2 },
      of: 'bad',
      gives: [{ held: 0, at: '6:8 input.a == 1', values: { 'input.a': '2' }, would: false }],
    },
    with: {
      rego: 'ok if open with input as {"a": 2}\nopen if input.a == 1\n',
      input: { a: 1 },
      of: 'open',
      gives: [{ held: 0, at: '6:9 input.a == 1', values: { 'input.a': '2' }, would: true }],
    },
    'a name of its own': {
      rego: 'ok if {\n\ttotal := input.a + input.b\n\ttotal > 10\n}\n',
      input: { a: 2, b: 3 },
      gives: [
        {
          held: 0,
          at: '7:2 total > 10',
          values: { total: '5', 'input.a + input.b': '5', 'input.a': '2', 'input.b': '3' },
        },
      ],
    },
    'a rule in another file, by an import': {
      rego: 'import data.lemma.low.lib\n\nok if lib.open\n',
      files: { 'low/lib/open.rego': 'package lemma.low.lib\n\nopen if input.door == "open"\n' },
      input: { door: 'shut' },
      of: 'lib.open',
      gives: [{ held: 0, at: '3:9 input.door == "open"', values: { 'input.door': '"shut"' }, would: true }],
    },
    data: {
      rego: 'import data.lemma.low.settings\n\nok if input.n <= settings.most\n',
      files: { 'data.json': '{"lemma": {"low": {"settings": {"most": 4}}}}' },
      input: { n: 5 },
      gives: [{ values: { 'input.n': '5', 'settings.most': '4' } }],
    },
    'a key that no member has, beside other values': {
      rego: 'ok if {\n\tsome key in input.keys\n\ttable[key] == limit\n}\ntable := {"a": 1}\nlimit := 2\n',
      input: { keys: [7] },
      gives: [
        {
          at: '7:2 table[key] == limit',
          values: { 'input.keys': '[7]', key: '7', 'table[key]': null, limit: '2' },
        },
      ],
    },
    'members of a set': {
      rego: 'ok if "b" in found\nfound contains "a" if input.a\nfound contains name if {\n\tsome name in input.names\n}\n',
      input: { names: ['x', 'b'] },
      of: 'found',
      gives: [
        { held: 0, at: '6:23 input.a' },
        { held: 2, values: { name: '"x"', 'input.names': '["x", "b"]' } },
      ],
    },
    'an object by key': {
      rego: 'ok if limits.b > 1\nlimits[name] := n if some name, n in input.limits\n',
      input: { limits: { b: 2 } },
      of: 'limits',
      gives: [{ held: 1, values: { name: '"b"', n: '2', 'input.limits': '{"b": 2}' } }],
    },
  };

  for (const [name, one] of Object.entries(cases)) {
    it(`shows ${name}`, async () => {
      const found = (await rulesOf(one.of ?? 'ok', one.rego, one.input, one.files)).map(brief);
      const wanted = one.gives.map((some, i) => ({ ...found[i], ...some }));
      assert.deepEqual(found, wanted);
    });
  }

  it('leaves out no clause that the index would pass over', async () => {
    const many = Array.from({ length: 20 }, (_, i) => `ok if input.kind == "k${i}"`).join('\n');
    assert.equal((await rulesOf('ok', many, { kind: 'k3' })).length, 20);
  });

  it('takes the rest of a rule to hold where one expression alone would change nothing', async () => {
    const given = async (input: object) =>
      (await rulesOf('ok', 'ok if {\n\tinput.a\n\tinput.b\n}\n', input)).map((rule) => rule.given);
    assert.deepEqual([await given({}), await given({ b: 1 })], [['rest'], ['at']]);
  });

  it('gives the lines of a clause, with no more and no less', async () => {
    const rules = await rulesOf('ok', 'ok := 1 if {\n\tinput.a\n} else := 2 if {\n\tinput.b\n}\n');
    assert.deepEqual(
      rules.map(({ line_from, line_to, source }) => [line_from, line_to, source]),
      [
        [5, 7, 'ok := 1 if {\n\tinput.a\n} else := 2 if {'],
        [7, 9, '} else := 2 if {\n\tinput.b\n}'],
      ],
    );
  });

  it('says what a policy answers, as its evaluation does', async () => {
    const rego = `${HEAD}decision := {"n": 0.10, "list": [input.big]}`;
    const input = '{"big": 12345678901234567890}';
    const request = { files: files({ 'low/decision.rego': rego }), query: QUERY, input };
    const { value } = resultOf(await compiler.explain(request));
    assert.deepEqual(value, resultOf(await compiler.eval(request)).value);
  });

  it('has no answer where the rule has none', async () => {
    const { value, rules } = resultOf(await ask('decision := 1 if input.a'));
    assert.deepEqual([value, rules.map(({ held }) => held)], [undefined, [0]]);
  });

  it('counts columns in characters', async () => {
    const [rule] = await rulesOf('ok', 'ok if { "🙂é" != ""; input.a }');
    assert.equal(rule?.at.column, 21);
  });

  it('bounds what it tells of a value, a line and a rule', async () => {
    const long = 'x'.repeat(5_000);
    const padding = '\n\tinput.a'.repeat(90);
    const rego = `ok if {\n\tinput.a != "${long}"${padding}\n\tinput.b == ""\n}`;
    const [rule] = await rulesOf('ok', rego, { a: long, b: long });
    assert.ok(rule !== undefined);
    const longest = rule.source.split('\n').map(({ length }) => length);
    assert.deepEqual([longest.length, Math.max(...longest)], [60, 401]);
    assert.ok(rule.values.length <= 40);
    assert.ok(rule.values.every(({ text, value }) => text.length <= 201 && (value?.length ?? 0) <= 201));
  });

  it('gives a hostile source as it is, and its values escaped', async () => {
    const rego = 'ok if {\n\t# \u202e\u0007\n\tinput.a == "\u202e\u2066"\n}';
    const [rule] = await rulesOf('ok', rego, { a: '\u001b[31m\u202e\n' });
    assert.deepEqual([rule?.source, rule?.at.line, rule?.at.column], [rego, 7, 2]);
    assert.deepEqual(rule?.values[0]?.value, '"\\x1b[31m\\u202e\\n"');
  });

  it('ends with a bound on steps, and answers the next', async () => {
    const rego =
      'ok if count([1 | some a in numbers.range(1, 900); some b in numbers.range(1, 900); a + b < 0]) == 1';
    const { code, message } = errorOf(await ask(DECISION + rego));
    assert.deepEqual(
      [code, message],
      ['step_limit', 'the evaluation took more than 200000 steps, and is not told for that'],
    );
    assert.equal((await explained('ok if input.a', { a: 1 })).value, true);
  });

  it('refuses what does not compile, as a check does', async () => {
    assert.equal(errorOf(await ask('decision := nobody')).code, 'rego_unsafe_var_error');
  });

  it('refuses a query that is no reference', async () => {
    const answer = await compiler.explain({ files: files({ 'a.rego': HEAD }), query: 'x := 1' });
    assert.match(errorOf(answer).message, /^query: "x := 1" is no reference/);
  });

  it('is not to be had from native opa, which says what to do', async function () {
    const native = await nativeOpa();
    if (native === null) return this.skip();
    const answer = await native.explain({ files: files({ 'a.rego': HEAD }), query: QUERY });
    await native.close();
    assert.match(errorOf(answer).message, /^`opa` cannot explain: build the compiler/);
  });
});
