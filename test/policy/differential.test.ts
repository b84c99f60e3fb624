import assert from 'node:assert/strict';
import { isDeepStrictEqual } from 'node:util';
import fc from 'fast-check';
import { type Bundle, fileOf } from '../../src/policy/bundle.ts';
import type { Compiler } from '../../src/policy/compiler/compiler.ts';
import { loadEmbedded } from '../../src/policy/embedded.ts';
import { compileEngine, type Engine } from '../../src/policy/engine.ts';
import { isRego, type Sources } from '../../src/policy/policy-files.ts';
import { Denial, POLICY_DENIAL_CODES } from '../../src/reason.ts';
import { DATA_FILE } from '../../src/schema/bundle.ts';
import type { Profile } from '../../src/schema/common.ts';
import type { PolicyResult } from '../../src/schema/result.ts';
import { findCompiler } from '../../tools/bundles/find.ts';
import { nativeOpa, resultOf, wasmBuilt } from './compiler/support.ts';
import { nearInputs } from './near-inputs.ts';
import { bytes, withFile } from './support.ts';

/** Gives each input's decision, in order. */
type Evaluator = (inputs: readonly object[]) => Promise<readonly unknown[]>;

const RUNS = 10_000;
/** What the compiler's 512 MB and the limit on one answer hold with ease. */
const CHUNK = 500;
/** Of so many inputs one has each verdict and each reason that a profile knows: less often would be chance. */
const ONE_OF = 500;
/** Another series with each run; set it to have one again. */
const SEED = Number(process.env.LEMMA_TEST_SEED ?? 20_261_125);

/** Only where the route is listed. */
const TOKEN_ALLOWED = 'allowed with a token';

const text = new TextDecoder();

/** The bundle's Rego and data, as stock OPA loads them. */
function sourcesOf(bundle: Bundle): Sources {
  const paths = [...bundle.files.keys()].filter((path) => isRego(path) || path === DATA_FILE);
  return new Map(paths.map((path) => [path, text.decode(fileOf(bundle, path))]));
}

async function engineOf(bundle: Bundle): Promise<Evaluator> {
  const engine = await compileEngine(bundle);
  return async (inputs) => inputs.map((input) => decisionOf(engine, input));
}

/** A failure is a decision that OPA never comes to. */
function decisionOf(engine: Engine, input: object): unknown {
  try {
    return engine.evaluate(bytes(input)).result;
  } catch (cause) {
    if (cause instanceof Denial) return { allow: false, reason: cause.code, reasons: [cause.code] };
    throw cause;
  }
}

function opaOf(compiler: Compiler, bundle: Bundle): Evaluator {
  const files = sourcesOf(bundle);
  const query = `[r | some each in input; r := data.lemma.${bundle.name}.decision with input as each]`;
  return async (inputs) => {
    const answer = await compiler.eval({ files, query, input: JSON.stringify(inputs) });
    return resultOf(answer).value as readonly unknown[];
  };
}

/** The bundle with the route that most inputs name on its list for legacy tokens: the shipped ones have none. */
function withLegacyRoute(bundle: Bundle): Bundle {
  const data = JSON.parse(text.decode(fileOf(bundle, DATA_FILE)));
  data.lemma[bundle.name].settings.legacy_routes = ['documents.read'];
  return withFile(bundle, DATA_FILE, bytes(data));
}

function generated(profile: Profile, runs: number): object[] {
  const inputs: object[] = [];
  const collect = fc.property(nearInputs(profile), (input) => void inputs.push(input));
  fc.assert(collect, { seed: SEED, numRuns: runs });
  return inputs;
}

/** A chunk's decisions; what went wrong with it, where it could not be decided. */
async function decided(evaluate: Evaluator, inputs: readonly object[]): Promise<readonly unknown[] | string> {
  try {
    return await evaluate(inputs);
  } catch (cause) {
    return cause instanceof Error ? cause.message : String(cause);
  }
}

/** Fails with the smallest input that is decided differently, or not at all, when any of `inputs` is. */
async function assertAlike(
  profile: Profile,
  inputs: readonly object[],
  ours: readonly unknown[],
  theirs: Evaluator,
  engine: Evaluator,
): Promise<void> {
  for (let start = 0; start < inputs.length; start += CHUNK) {
    const chunk = inputs.slice(start, start + CHUNK);
    const expected = ours.slice(start, start + CHUNK);
    const found = await decided(theirs, chunk);
    if (isDeepStrictEqual(found, expected)) continue;
    const wrong =
      typeof found === 'string' ? 0 : chunk.findIndex((_, i) => !isDeepStrictEqual(found[i], expected[i]));
    await shrink(profile, start + Math.max(wrong, 0), chunk.length, engine, theirs);
    assert.deepEqual(found, expected);
  }
}

/** Asks for one input after the other, from `index` of the series on; fast-check then looks for a smaller one. */
async function shrink(profile: Profile, index: number, count: number, ours: Evaluator, theirs: Evaluator) {
  const alike = fc.asyncProperty(nearInputs(profile), async (input) => {
    assert.deepEqual(await decided(theirs, [input]), await decided(ours, [input]));
  });
  await fc.assert(alike, { seed: SEED, path: String(index), numRuns: count });
}

function timesOf(inputs: readonly object[], results: readonly unknown[]): ReadonlyMap<string, number> {
  const times = new Map<string, number>();
  for (const [i, result] of results.entries()) {
    const { allow, reasons } = result as PolicyResult;
    const { subject, route } = inputs[i] as { subject?: { via?: unknown }; route?: { public?: unknown } };
    const token =
      subject?.via === 'token' && route?.public === false ? ['allowed', TOKEN_ALLOWED] : ['allowed'];
    for (const each of allow ? token : reasons) times.set(each, (times.get(each) ?? 0) + 1);
  }
  return times;
}

/** What the bundle can come to, by its own manifest. */
function verdictsOf({ manifest }: Bundle): string[] {
  return ['allowed', ...Object.keys(manifest.metadata.lemma.reasons)];
}

describe(`the engine, OPA's evaluator inside Node and native opa (LEMMA_TEST_SEED=${SEED})`, function () {
  this.timeout(300_000);
  const compilers: Compiler[] = [];
  const bundles = new Map<string, Bundle>();

  before(async () => {
    for (const bundle of await loadEmbedded()) {
      bundles.set(bundle.name, bundle);
      if (bundle.name !== 'critical')
        bundles.set(`${bundle.name} with a legacy route`, withLegacyRoute(bundle));
    }
    if (wasmBuilt()) compilers.push(await findCompiler('wasm'));
    const native = await nativeOpa();
    if (native !== null) compilers.push(native);
  });

  after(() => Promise.all(compilers.map((compiler) => compiler.close())));

  it('know every reason of the contract among them', () => {
    const reasons = new Set([...bundles.values()].flatMap(verdictsOf));
    assert.deepEqual([...reasons].sort(), ['allowed', ...POLICY_DENIAL_CODES].sort());
  });

  const series: [name: string, profile: Profile, runs: number, more: string[]][] = [
    ['low', 'low', RUNS, []],
    ['high', 'high', RUNS, []],
    ['critical', 'critical', RUNS, []],
    ['low with a legacy route', 'low', RUNS / 5, [TOKEN_ALLOWED]],
    ['high with a legacy route', 'high', RUNS / 5, [TOKEN_ALLOWED]],
  ];
  for (const [name, profile, runs, more] of series) {
    it(`decide ${runs} inputs of ${name} alike`, async function () {
      const bundle = bundles.get(name);
      assert.ok(bundle);
      const inputs = generated(profile, runs);
      const engine = await engineOf(bundle);
      const ours = await engine(inputs);
      const times = timesOf(inputs, ours);
      const verdicts = [...verdictsOf(bundle), ...more];
      const rare = verdicts.filter((verdict) => (times.get(verdict) ?? 0) < runs / ONE_OF);
      assert.deepEqual(rare, [], 'inputs lead to these too seldom');
      const unknown = [...times.keys()].filter((verdict) => !verdicts.includes(verdict));
      assert.deepEqual(unknown, [], 'the profile knows none of these');
      if (compilers.length === 0) return this.skip();
      const each = compilers.map((compiler) =>
        assertAlike(profile, inputs, ours, opaOf(compiler, bundle), engine),
      );
      await Promise.all(each);
    });
  }
});
