import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { CAPABILITIES_FILE, readCapabilities } from '../../../src/policy/compiler/capabilities.ts';
import { type Compiler, openCompiler } from '../../../src/policy/compiler/compiler.ts';
import type { Engine } from '../../../src/policy/engine.ts';
import { capabilitiesText } from '../../../tools/bundles/capabilities.ts';
import { bytes } from '../support.ts';
import { BUILTIN_CASES, OPERATORS } from './builtin-cases.ts';
import { engineOf, errorOf, files, PATIENT_MS, resultOf, wasmBuilt } from './support.ts';

const { builtins, features } = await readCapabilities();

/** One policy with a rule for each case; which one is asked for stands in the input. */
const CASES = Object.entries(BUILTIN_CASES).flatMap(([builtin, cases]) =>
  cases.map(([expression, input], i) => ({
    builtin,
    expression,
    input: { case: `${builtin} ${i}`, ...input },
  })),
);
const POLICY = files({
  'lemma/low/cases.rego': `package lemma.low

decision := {"allow": false, "reason": "policy_denied", "reasons": ["policy_denied"], "message": json.marshal(value)}

${CASES.map(ruleOf).join('\n\n')}
`,
});

function ruleOf({ expression, input }: (typeof CASES)[number]): string {
  const names = Object.keys(input).filter((name) => name !== 'case');
  const bound = names.map((name) => `\t${name} := input.${name}\n`).join('');
  return `value := result if {\n\tinput.case == "${input.case}"\n${bound}\tresult := ${expression}\n}`;
}

/** A value, from its text; text within it that is an object's, too. */
function plain(json: string): unknown {
  return JSON.parse(json, (_, value: unknown) =>
    typeof value === 'string' && value.startsWith('{') && value.endsWith('}') ? JSON.parse(value) : value,
  );
}

describe('capabilities', function () {
  this.timeout(PATIENT_MS);

  it('has a case for every built-in', () => {
    assert.deepEqual(Object.keys(BUILTIN_CASES).sort(), builtins.map(({ name }) => name).sort());
  });

  it('uses in each case the built-in that it is for', () => {
    const others = CASES.filter(({ builtin, expression }) => {
      const operator = OPERATORS[builtin];
      return !expression.includes(operator ?? `${builtin}(`);
    });
    assert.deepEqual(others, []);
  });

  it('names no clock, randomness or network', () => {
    const impure = /^(?:time|rand|uuid|http|net\.lookup|opa|io|crypto|trace|print)/;
    assert.deepEqual(
      builtins.filter(({ name }) => impure.test(name)),
      [],
    );
  });

  it('leaves out string interpolation', () => {
    assert.deepEqual(features, ['keywords_in_refs', 'rego_v1']);
  });

  describe('with the compiler', () => {
    let compiler: Compiler;

    before(async function () {
      if (!wasmBuilt()) return this.skip();
      compiler = await openCompiler({ engine: 'wasm', timeLimitMs: PATIENT_MS });
    });

    after(() => compiler?.close());

    it('is what the tool writes', async () => {
      assert.equal(await readFile(CAPABILITIES_FILE, 'utf8'), await capabilitiesText(compiler));
    });

    it('allows every case', async () => {
      assert.deepEqual((await compiler.check({ files: POLICY })).errors, []);
    });

    const refused: [name: string, expression: string, hint: RegExp][] = [
      ['time.now_ns', 'time.now_ns()', /input\.now/],
      ['http.send', 'http.send({"method": "GET", "url": "https://x"})', /input/],
      ['sprintf', 'sprintf("%v", [input.a])', /concat.*json\.marshal/],
      ['regex.replace', 'regex.replace("a", "b", "c")', /replace/],
      ['net.cidr_merge', 'net.cidr_merge([input.a])', /net\.cidr_contains/],
      ['json.unmarshal', 'json.unmarshal(input.a)', /body\.json/],
      ['base64.decode', 'base64.decode(input.a)', /base64\.encode/],
      ['glob.quote_meta', 'glob.quote_meta(input.a)', /glob\.match/],
      ['bits.and', 'bits.and(input.a, 1)', /list of names/],
      ['object.union_n', 'object.union_n([input.a])', /object\.union/],
      ['format_int', 'format_int(input.a, 10)', /json\.marshal/],
      ['to_number', 'to_number(input.a)', /as a number/],
      ['rand.intn', 'rand.intn("x", 3)', /no randomness/],
      ['io.jwt.decode', 'io.jwt.decode("x")', /input\.proof/],
      ['string interpolation', '$"{input.a}"', /concat/],
    ];
    for (const [name, expression, hint] of refused) {
      it(`refuses ${name} with its place, and says what to use instead`, async () => {
        const text = `package lemma.low\n\nvalue := ${expression}\n`;
        const problem = errorOf(await compiler.check({ files: files({ 'lemma/low/a.rego': text }) }));
        assert.deepEqual([problem.file, problem.row], ['lemma/low/a.rego', 3]);
        assert.match(problem.hint ?? '', hint);
      });
    }

    describe('runs in the engine as in the compiler:', () => {
      let engine: Engine;
      let expected: ReadonlyMap<string, string>;

      before(async () => {
        engine = await engineOf(compiler, POLICY);
        const query = '{c.case: m | some c in input; m := data.lemma.low.decision.message with input as c}';
        const input = JSON.stringify(CASES.map((each) => each.input));
        const { value } = resultOf(await compiler.eval({ files: POLICY, query, input }));
        expected = new Map(Object.entries(value as Record<string, string>));
      });

      for (const { input, expression } of CASES) {
        it(`${input.case}: ${expression}`, () => {
          const want = expected.get(input.case);
          assert.notEqual(want, undefined, 'the compiler gives a value');
          const { message = 'null' } = engine.evaluate(bytes(input)).result;
          // The engine's json.marshal has an order of members of its own, and escapes less: values are compared.
          assert.deepEqual(plain(message), plain(want ?? ''));
        });
      }
    });
  });
});
