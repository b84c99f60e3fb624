import assert from 'node:assert/strict';
import { readCapabilities } from '../../../src/policy/compiler/capabilities.ts';
import { type Compiler, openCompiler } from '../../../src/policy/compiler/compiler.ts';
import type { Engine } from '../../../src/policy/engine.ts';
import { Denial } from '../../../src/reason.ts';
import { bytes } from '../support.ts';
import { OPERATORS } from './builtin-cases.ts';
import { BUILTIN_EDGES } from './builtin-edges.ts';
import { KNOWN_DIFFERENCES } from './known-differences.ts';
import { engineOf, files, PATIENT_MS, resultOf, wasmBuilt } from './support.ts';

/** As many as the compiler decides within a moment. */
const CHUNK = 500;
const NAMES = ['a', 'b', 'c'];
const UNDEFINED = 'undefined';

const EXPRESSIONS = [
  ...new Set([...BUILTIN_EDGES.map(([each]) => each), ...KNOWN_DIFFERENCES.map((each) => each.expression)]),
];

/** A rule for each expression; which one is asked for stands in the input, by its number. */
const POLICY = files({
  'lemma/low/edges.rego': `package lemma.low

decision := {"allow": false, "reason": "policy_denied", "reasons": ["policy_denied"], "message": json.marshal(value)}

default value := "${UNDEFINED}"

${EXPRESSIONS.map(ruleOf).join('\n\n')}
`,
});

function ruleOf(expression: string, i: number): string {
  const used = NAMES.filter((name) => new RegExp(`\\b${name}\\b`).test(expression));
  const bound = used.map((name) => `\t${name} := input.${name}\n`).join('');
  return `value := [result] if {\n\tinput.case == ${i}\n${bound}\tresult := ${expression}\n}`;
}

function inputOf(expression: string, args: readonly string[]): string {
  const members = args.map((json, i) => `,"${NAMES[i]}":${json}`).join('');
  return `{"case":${EXPRESSIONS.indexOf(expression)}${members}}`;
}

function combinations(pools: readonly (readonly string[])[]): string[][] {
  return pools.reduce<string[][]>(
    (all, pool) => all.flatMap((some) => pool.map((json) => [...some, json])),
    [[]],
  );
}

/** The expression's value as it was written, from the text of `[value]`; `undefined`. */
function valueIn(message: string): string {
  return message === `"${UNDEFINED}"` ? UNDEFINED : message.slice(1, -1);
}

/** Numbers as JavaScript reads them: OPA writes 1e300 out, the engine does not; one of them has no -0. */
function plain(value: string): unknown {
  if (value === UNDEFINED) return UNDEFINED;
  return { value: JSON.parse(value, (_, each: unknown) => (typeof each === 'number' ? each + 0 : each)) };
}

describe('edges of the built-ins', function () {
  this.timeout(PATIENT_MS);
  let compiler: Compiler;
  let engine: Engine;

  before(async function () {
    if (!wasmBuilt()) return this.skip();
    compiler = await openCompiler({ engine: 'wasm', timeLimitMs: PATIENT_MS });
    engine = await engineOf(compiler, POLICY);
  });

  after(() => compiler?.close());

  async function opaGives(inputs: readonly string[]): Promise<string[]> {
    const query = '[m | some each in input; m := data.lemma.low.decision.message with input as each]';
    const values: string[] = [];
    for (let start = 0; start < inputs.length; start += CHUNK) {
      const input = `[${inputs.slice(start, start + CHUNK)}]`;
      const { value } = resultOf(await compiler.eval({ files: POLICY, query, input }));
      values.push(...(value as string[]).map(valueIn));
    }
    assert.equal(values.length, inputs.length);
    return values;
  }

  /** Or the code that it denies with. */
  function engineGives(input: string): string {
    try {
      return valueIn(engine.evaluate(bytes(input)).result.message ?? '');
    } catch (cause) {
      if (cause instanceof Denial) return cause.code;
      throw cause;
    }
  }

  it('are tried for every built-in that a policy may call', async () => {
    const { builtins } = await readCapabilities();
    const written = EXPRESSIONS.join('\n');
    const signs: { readonly [name: string]: string } = { ...OPERATORS, 'internal.member_3': 'a, c in ' };
    const untried = builtins.filter(({ name }) => !written.includes(signs[name] ?? `${name}(`));
    assert.deepEqual(untried, []);
  });

  it('use what a policy may call alone', async () => {
    assert.deepEqual((await compiler.check({ files: POLICY, strict: false })).errors, []);
  });

  for (const [expression, ...pools] of BUILTIN_EDGES) {
    it(`${expression} is the same in the engine and in the compiler`, async () => {
      const all = combinations(pools);
      const inputs = all.map((args) => inputOf(expression, args));
      const opa = await opaGives(inputs);
      for (const [i, input] of inputs.entries()) {
        const [ours, theirs = UNDEFINED] = [engineGives(input), opa[i]];
        if (ours !== theirs) assert.deepEqual(plain(ours), plain(theirs), `${expression} of ${all[i]}`);
      }
    });
  }

  describe('that are known to differ', () => {
    for (const { expression, args, opa, engine: expected } of KNOWN_DIFFERENCES) {
      it(`${expression} of ${args.join(', ')}: ${opa} in OPA, ${expected} in the engine`, async () => {
        const input = inputOf(expression, args);
        assert.deepEqual([...(await opaGives([input])), engineGives(input)], [opa, expected]);
      });
    }
  });
});
