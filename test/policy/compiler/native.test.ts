import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { fileURLToPath } from 'node:url';
import type { Answer, CheckRequest, Tested } from '../../../src/policy/compiler/answers.ts';
import { type Compiler, openCompiler } from '../../../src/policy/compiler/compiler.ts';
import { regoOf, sourcesIn } from '../../../src/policy/policy-files.ts';
import { policyInputSchema } from '../../../src/schema/input.ts';
import { files, nativeOpa, PATIENT_MS, resultOf, wasmBuilt } from './support.ts';

const FOLDER = fileURLToPath(new URL('../../../policies/', import.meta.url));
const POLICIES = await sourcesIn(FOLDER, 'policies');
const BAD = {
  'a syntax error': 'package a\n\nallow if }\n',
  'a mistyped input': 'package a\n\nallow if input.proof.scopes == ["x"]\n',
  'an unused variable': 'package a\n\nallow if {\n\tx := 1\n}\n',
  'a built-in that is not allowed': 'package a\n\nx := time.now_ns()\n',
  'several errors': 'package a\n\nx := time.now_ns()\n\ny := uuid.rfc4122("y")\n',
} as const;

describe('native opa and the compiler inside Node', function () {
  this.timeout(PATIENT_MS);
  let wasm: Compiler;
  let native: Compiler;

  before(async function () {
    // Where `opa` is not to be had, Go builds it, once.
    this.timeout(300_000);
    const found = wasmBuilt() ? await nativeOpa() : null;
    if (found === null) return this.skip();
    native = found;
    wasm = await openCompiler({ engine: 'wasm', timeLimitMs: PATIENT_MS });
  });

  after(() => wasm?.close());

  async function both<T>(ask: (compiler: Compiler) => Promise<T>): Promise<[T, T]> {
    return Promise.all([ask(wasm), ask(native)]);
  }

  function equal<T>([ours, theirs]: [T, T]): void {
    assert.deepEqual(ours, theirs);
  }

  for (const [name, text] of Object.entries(BAD)) {
    it(`object alike to ${name}`, async () => {
      const request: CheckRequest = { files: files({ 'p/a.rego': text }), schema: policyInputSchema };
      const answers = await both((compiler) => compiler.check(request));
      assert.equal(answers[0].ok, false);
      equal(answers);
    });
  }

  it('review alike, but for the facts', async () => {
    const request = {
      files: files({
        'p/a.rego': BAD['a mistyped input'],
        'p/a_test.rego': `${BAD['a built-in that is not allowed']}\ny if {\n\tz := 1\n}\n`,
      }),
      tests: ['p/a_test.rego'],
      schema: policyInputSchema,
    };
    const answers = await both((compiler) => compiler.review(request));
    assert.deepEqual(
      answers[0].errors.map(({ file, row }) => [file, row]),
      [
        ['p/a.rego', 3],
        ['p/a_test.rego', 6],
      ],
    );
    equal(answers);
  });

  it('format alike', async () => {
    equal(
      await both((compiler) =>
        compiler.fmt({ files: files({ 'a.rego': 'package a\nx:=1', 'b.rego': BAD['a mistyped input'] }) }),
      ),
    );
  });

  it('build the same bytes', async () => {
    const request = { files: await regoOf(FOLDER, 'low'), entrypoints: ['lemma/low/decision'] };
    const answers = await both((compiler) => compiler.build(request));
    assert.equal(answers[0].ok, true);
    equal(answers);
  });

  it('refuse alike to build', async () => {
    const request = { files: files({ 'a.rego': 'package a\n\nx := 1\n' }), entrypoints: ['b/x'] };
    equal(await both((compiler) => compiler.build(request)));
  });

  it('come to the same outcome of every test', async () => {
    const outcomes = (answer: Answer<Tested>) =>
      resultOf(answer).tests.map(({ file, row, name, outcome }) => ({ file, row, name, outcome }));
    const [ours, theirs] = await both(async (compiler) => outcomes(await compiler.test({ files: POLICIES })));
    assert.ok(ours.length > 100);
    assert.deepEqual(ours, theirs);
  });

  it('measure the same coverage', async () => {
    const [ours, theirs] = await both(
      async (compiler) => resultOf(await compiler.test({ files: POLICIES, coverage: true })).coverage,
    );
    assert.deepEqual([ours?.percent, ours?.files], [theirs?.percent, theirs?.files]);
  });

  it('run no test that would reach the network, or reads the environment', async () => {
    const reached: string[] = [];
    const server = createServer((request, response) => {
      reached.push(request.url ?? '');
      response.end('{}');
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    try {
      for (const call of [
        `http.send({"method": "get", "url": "http://127.0.0.1:${port}/"}).status_code == 200`,
        'opa.runtime().env.PATH != ""',
        'count(net.lookup_ip_addr("localhost")) > 0',
      ]) {
        const text = `package a\n\ntest_x if {\n\t${call}\n}\n`;
        const answers = await both((compiler) => compiler.test({ files: files({ 'a_test.rego': text }) }));
        const passed = answers.map((answer) => answer.ok && answer.result.tests[0]?.outcome === 'pass');
        assert.deepEqual(passed, [false, false], call);
      }
      assert.deepEqual(reached, []);
    } finally {
      server.close();
    }
  });

  it('fail alike in tests', async () => {
    const text =
      'package a\n\ntest_x[name] if {\n\tsome name, v in {"one": 1, "two": 2}\n\tprint(name)\n\tv == 1\n}\n\ntodo_test_y if true\n';
    const plain = (answer: Answer<Tested>) =>
      resultOf(answer).tests.map(({ durationMs: _, trace: __, ...test }) => test);
    equal(
      await both(async (compiler) => plain(await compiler.test({ files: files({ 'a_test.rego': text }) }))),
    );
  });

  it('evaluate alike, with the same trace', async () => {
    const request = {
      files: POLICIES,
      query: 'data.lemma.low.decision',
      input: '{"v": 1}',
      trace: 'fails',
    } as const;
    equal(await both((compiler) => compiler.eval(request)));
  });

  it('give alike the error of a query', async () => {
    const answers = await both((compiler) => compiler.eval({ files: POLICIES, query: 'nothing.at.all' }));
    equal(
      answers.map((answer) => answer.errors.map(({ code, message }) => [code, message])) as [
        unknown,
        unknown,
      ],
    );
  });
});
