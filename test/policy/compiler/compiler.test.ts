import assert from 'node:assert/strict';
import { gunzipSync } from 'node:zlib';
import { type Compiler, CompilerUnavailable, openCompiler } from '../../../src/policy/compiler/compiler.ts';
import { OPA_VERSION } from '../../../src/policy/compiler/protocol.ts';
import { wasmHost } from '../../../src/policy/compiler/wasm-host.ts';
import { readTar } from '../../../src/policy/tar.ts';
import { policyInputSchema } from '../../../src/schema/input.ts';
import { inputError } from '../support.ts';
import { errorOf, files, PATIENT_MS, resultOf, wasmBuilt } from './support.ts';

const POLICY = `package lemma.low

import data.lemma.low.settings

default allow := false

allow if input.request.method in settings.reading_methods

deny contains "pop_required" if not input.proof.pop.present
`;

const TESTS = `package lemma.low_test

import data.lemma.low

test_reading if low.allow with input.request.method as "GET"
	with data.lemma.low.settings.reading_methods as ["GET"]

test_writing if {
	print("writing")
	low.allow with input.request.method as "POST" with data.lemma.low.settings.reading_methods as ["GET"]
}

todo_test_later if false

test_several[name] if {
	some name, method in {"get": "GET", "post": "POST"}
	low.allow with input.request.method as method with data.lemma.low.settings.reading_methods as ["GET"]
}
`;

describe('compiler inside Node', function () {
  this.timeout(PATIENT_MS);
  let compiler: Compiler;

  before(async function () {
    if (!wasmBuilt()) return this.skip();
    compiler = await openCompiler({ engine: 'wasm', timeLimitMs: PATIENT_MS });
  });

  after(() => compiler?.close());

  it('says which engine serves', () => {
    assert.equal(compiler.engine, 'wasm');
  });

  it('is of the version that it says', async () => {
    const host = wasmHost();
    const { result } = await host.ask({ op: 'version' }, PATIENT_MS);
    await host.close();
    assert.equal((result as { opa: string }).opa, OPA_VERSION);
  });

  describe('check', () => {
    const problem = async (text: string) =>
      errorOf(await compiler.check({ files: files({ 'lemma/a.rego': text }), schema: policyInputSchema }));

    it('takes a policy that is right', async () => {
      const { ok } = await compiler.check({
        files: files({ 'lemma/a.rego': POLICY }),
        schema: policyInputSchema,
      });
      assert.equal(ok, true);
    });

    it('names file, row and column of what does not parse', async () => {
      const { code, file, row, col } = await problem('package a\n\nallow if }\n');
      assert.deepEqual(
        { code, file, row, col },
        { code: 'rego_parse_error', file: 'lemma/a.rego', row: 3, col: 10 },
      );
    });

    it('types the input by the schema', async () => {
      const { code, message, row, col } = await problem(
        'package a\n\nallow if input.proof.scopes == ["x"]\n',
      );
      const expected = {
        code: 'rego_type_error',
        message: 'undefined ref: input.proof.scopes',
        row: 3,
        col: 10,
      };
      assert.deepEqual({ code, message, row, col }, expected);
    });

    it('says what could stand where a name is mistyped', async () => {
      const { details } = await problem('package a\n\nallow if input.proof.scopes == ["x"]\n');
      assert.match(details.join('\n'), /want \(one of\): .*"scope"/);
    });

    it('is strict', async () => {
      const { message } = await problem('package a\n\nallow if {\n\tx := 1\n}\n');
      assert.match(message, /assigned var x unused/);
    });

    it('is not strict when told so', async () => {
      const text = 'package a\n\nallow if {\n\tx := 1\n}\n';
      const { ok } = await compiler.check({ files: files({ 'a.rego': text }), strict: false });
      assert.equal(ok, true);
    });

    it('names every problem at once', async () => {
      const text = 'package a\n\nx := time.now_ns()\n\ny := uuid.rfc4122("y")\n';
      const { errors } = await compiler.check({ files: files({ 'a.rego': text }) });
      assert.deepEqual(
        errors.map(({ row }) => row),
        [3, 5],
      );
    });

    it('takes any built-in of OPA when told so', async () => {
      const text = 'package a\n\nx := time.now_ns()\n';
      const { ok } = await compiler.check({ files: files({ 'a.rego': text }), capabilities: null });
      assert.equal(ok, true);
    });
  });

  describe('fmt', () => {
    it('writes a file as OPA does, and names it', async () => {
      const { files: formatted, changed } = resultOf(
        await compiler.fmt({ files: files({ 'a.rego': 'package a\nx:=1', 'b.rego': 'package b\n' }) }),
      );
      assert.deepEqual([formatted.get('a.rego'), changed], ['package a\n\nx := 1\n', ['a.rego']]);
    });

    it('names every file that does not parse', async () => {
      const { errors } = await compiler.fmt({ files: files({ 'a.rego': 'nonsense', 'b.rego': 'x if' }) });
      assert.deepEqual([...new Set(errors.map(({ file }) => file))], ['a.rego', 'b.rego']);
    });
  });

  describe('build', () => {
    const build = (entrypoint: string) =>
      compiler.build({ files: files({ 'lemma/a.rego': POLICY }), entrypoints: [entrypoint], revision: 'r7' });

    it('gives an archive with policy and manifest', async () => {
      const { archive } = resultOf(await build('lemma/low/allow'));
      const found = new Map(readTar(gunzipSync(archive)));
      const manifest = JSON.parse(Buffer.from(found.get('/.manifest') ?? []).toString('utf8')) as {
        revision: string;
      };
      assert.deepEqual(
        [manifest.revision, WebAssembly.validate(found.get('/policy.wasm') ?? new Uint8Array())],
        ['r7', true],
      );
    });

    it('refuses an entrypoint that is none', async () => {
      assert.match(errorOf(await build('lemma/low/nothing')).message, /does not refer to a rule/);
    });

    it('refuses what the engine does not run', async () => {
      const text = 'package a\n\nx := sprintf("%v", [input.a])\n';
      const answer = await compiler.build({ files: files({ 'a.rego': text }), entrypoints: ['a/x'] });
      assert.match(errorOf(answer).message, /undefined function sprintf/);
    });
  });

  describe('test', () => {
    const run = async (options: { coverage?: boolean; run?: string } = {}) =>
      resultOf(
        await compiler.test({ files: files({ 'p/a.rego': POLICY, 'p/a_test.rego': TESTS }), ...options }),
      );

    it('gives each test its outcome, in the order of the file', async () => {
      const { tests } = await run();
      assert.deepEqual(
        tests.map(({ name, row, outcome }) => [name, row, outcome]),
        [
          ['test_reading', 5, 'pass'],
          ['test_writing', 8, 'fail'],
          ['todo_test_later', 13, 'skip'],
          ['test_several', 15, 'fail'],
        ],
      );
    });

    it('traces what failed, with its place', async () => {
      const { tests } = await run();
      assert.match(tests[1]?.trace.join('\n') ?? '', /p\/a_test\.rego:10 .*Fail data\.lemma\.low\.allow/);
    });

    it('traces nothing that passed', async () => {
      const { tests } = await run();
      assert.deepEqual(tests[0]?.trace, []);
    });

    it('keeps what a test printed', async () => {
      const { tests } = await run();
      assert.equal(tests[1]?.output, 'writing\n');
    });

    it('tells the cases of one test apart', async () => {
      const { tests } = await run();
      assert.deepEqual(tests[3]?.cases, [
        { name: ['get'], pass: true },
        { name: ['post'], pass: false },
      ]);
    });

    it('runs only what is asked for', async () => {
      const { tests } = await run({ run: 'test_read' });
      assert.deepEqual(
        tests.map(({ name }) => name),
        ['test_reading'],
      );
    });

    it('measures coverage by rule', async () => {
      const { coverage } = await run({ coverage: true });
      const own = coverage?.rules?.filter(({ file }) => file === 'p/a.rego') ?? [];
      assert.deepEqual(
        own.map(({ name, row, covered }) => [name, row, covered]),
        [
          ['allow', 5, true],
          ['allow', 7, true],
          ['deny', 9, false],
        ],
      );
    });

    it('measures coverage by file', async () => {
      const { coverage } = await run({ coverage: true });
      const { percent, notCovered = [] } = coverage?.files.get('p/a.rego') ?? {};
      assert.deepEqual([Math.round(percent ?? 0), notCovered[0]?.start.row], [67, 9]);
    });

    it('measures none unless asked', async () => {
      assert.equal((await run()).coverage, null);
    });

    it('gives an error where the tests do not compile', async () => {
      const answer = await compiler.test({
        files: files({ 'a_test.rego': 'package a\n\ntest_a if nothing.at.all\n' }),
      });
      const { code, file, row } = errorOf(answer);
      assert.deepEqual([code, file, row], ['rego_unsafe_var_error', 'a_test.rego', 3]);
    });
  });

  describe('eval', () => {
    const policy = files({
      'p/lemma/low/a.rego': POLICY,
      'p/lemma/low/data.json': '{"settings": {"reading_methods": ["GET"]}}',
    });
    const evaluate = (query: string, input?: unknown) =>
      compiler.eval({
        files: policy,
        query,
        ...(input === undefined ? {} : { input: JSON.stringify(input) }),
      });

    it('answers from policy, data and input', async () => {
      const { value } = resultOf(await evaluate('data.lemma.low.settings.reading_methods[0]'));
      assert.equal(value, 'GET');
    });

    it('gives nothing for what is undefined', async () => {
      assert.deepEqual(resultOf(await evaluate('data.nowhere')).results, []);
    });

    it('gives every binding', async () => {
      const { results } = resultOf(await evaluate('x := input[_]', ['a', 'b']));
      assert.deepEqual(
        results.map(({ bindings }) => bindings),
        [{ x: 'a' }, { x: 'b' }],
      );
    });

    it('keeps numbers as they were written', async () => {
      const answer = await compiler.eval({
        files: policy,
        query: 'format_int(input, 10)',
        input: '9007199254740993',
      });
      assert.equal(resultOf(answer).value, '9007199254740993');
    });

    it('traces what failed, with its place', async () => {
      const request = {
        files: policy,
        query: 'data.lemma.low.allow',
        input: '{"request": {"method": "POST"}}',
      };
      const { trace } = resultOf(await compiler.eval({ ...request, trace: 'fails' }));
      assert.match(trace.join('\n'), /p\/lemma\/low\/a\.rego:7 .*Fail /);
    });

    it('leaves out of a trace what was not asked for', async () => {
      const request = { files: policy, query: 'data.lemma.low.allow', input: '{}' };
      const { trace } = resultOf(await compiler.eval({ ...request, trace: 'notes' }));
      assert.deepEqual(trace, []);
    });

    it('refuses input that is no JSON', async () => {
      const answer = await compiler.eval({ files: policy, query: 'input', input: '{' });
      assert.match(errorOf(answer).message, /^input: /);
    });

    it('gives the error of a built-in when asked', async () => {
      const answer = await compiler.eval({ files: policy, query: '1 / 0', strictBuiltinErrors: true });
      assert.equal(errorOf(answer).code, 'eval_builtin_error');
    });
  });

  describe('review', () => {
    const review = (policy: string, tests: string) =>
      compiler.review({
        files: files({ 'p/a.rego': policy, 'p/a_test.rego': tests }),
        tests: ['p/a_test.rego'],
        schema: policyInputSchema,
      });
    const parsed = async () => {
      const facts = resultOf(await review(POLICY, TESTS));
      if (facts === null) throw new Error('no facts');
      return facts;
    };
    const places = async (policy: string, tests: string) => {
      const { errors } = await review(policy, tests);
      return errors.map(({ file, row, code }) => `${file}:${row} ${code}`);
    };

    it('knows the codes that a policy denies with', async () => {
      const { rules } = await parsed();
      assert.deepEqual(
        rules
          .filter(({ head_key: key }) => key !== null)
          .map(({ row, name, head_key: key }) => [row, name, key]),
        [[9, 'deny', 'pop_required']],
      );
    });

    it('knows which rules are defaults', async () => {
      const { rules } = await parsed();
      assert.deepEqual(
        rules.filter((rule) => rule.default).map(({ file, row, name }) => [file, row, name]),
        [['p/a.rego', 5, 'allow']],
      );
    });

    it('resolves imports', async () => {
      const { rules } = await parsed();
      const { refs } = rules.find(({ name, default: isDefault }) => name === 'allow' && !isDefault) ?? {};
      assert.deepEqual(refs, ['data.lemma.low.settings.reading_methods', 'input.request.method']);
    });

    it('gives the value of a constant, and none of what is evaluated', async () => {
      const { rules } = await parsed();
      const allow = rules.filter(({ name }) => name === 'allow');
      assert.deepEqual(
        allow.map((rule) => rule.value),
        [false, undefined],
      );
    });

    it('knows the constants of a rule, without the steps of its references', async () => {
      const { rules } = await parsed();
      const { strings } = rules.find(({ name }) => name === 'test_reading') ?? {};
      assert.deepEqual(strings, ['GET']);
    });

    it('lets only the tests call all of OPA', async () => {
      const clock = 'x := time.now_ns()\n';
      assert.deepEqual(await places(`package a\n\n${clock}`, `package a_test\n\n${clock}`), [
        'p/a.rego:3 rego_type_error',
      ]);
    });

    it('types only the policies by the schema', async () => {
      const odd = 'x if input.odd == 1\n';
      assert.deepEqual(await places(`package a\n\n${odd}`, `package a_test\n\n${odd}`), [
        'p/a.rego:3 rego_type_error',
      ]);
    });

    it('names what is wrong in policies and tests at once, each once', async () => {
      const text = 'x if {\n\ty := 1\n}\n';
      assert.deepEqual(await places(`package a\n\n${text}`, `package a_test\n\n${text}`), [
        'p/a.rego:4 rego_compile_error',
        'p/a_test.rego:4 rego_compile_error',
      ]);
    });

    it('names the syntax errors of both', async () => {
      assert.deepEqual(await places('package a\n\nx if }\n', 'package a_test\n\nx if }\n'), [
        'p/a.rego:3 rego_parse_error',
        'p/a_test.rego:3 rego_parse_error',
      ]);
    });

    it('says the same of a file that it has seen before, and another of the next text', async () => {
      const wrong = 'package a\n\nx := y\n';
      const first = await places(wrong, TESTS);
      assert.deepEqual([await places(wrong, TESTS), await places(POLICY, TESTS)], [first, []]);
    });
  });

  it('refuses paths that lead out', async () => {
    const outside = files({ '../a.rego': 'package a\n' });
    await assert.rejects(
      async () => compiler.check({ files: outside }),
      inputError(/\.\.\/a\.rego: must be/),
    );
  });

  it('says in one sentence what to do when there is no compiler', async () => {
    await assert.rejects(openCompiler({ artefact: '/nowhere', opa: '/nowhere' }), (cause: unknown) => {
      assert.ok(cause instanceof CompilerUnavailable);
      assert.match(cause.message, /`npm run compiler` \(needs Go 1\.26\), or put `opa` 1\.x on the PATH/);
      return true;
    });
  });
});
