import assert from 'node:assert/strict';
import fc from 'fast-check';
import { loadEmbedded } from '../../src/policy/embedded.ts';
import { compileEngine } from '../../src/policy/engine.ts';
import { policyInputSchema } from '../../src/schema/input.ts';
import { jsonOf } from './arbitrary.ts';
import { plainPolicy } from './plain.ts';
import { allowedInput, bytes } from './support.ts';

const RUNS = 1_000;
const anyInput = jsonOf(policyInputSchema) as fc.Arbitrary<Record<string, unknown>>;

describe('results with and without a budget', () => {
  before(async function () {
    this.timeout(60_000);
    for (const bundle of await loadEmbedded()) bundles.set(bundle.name, bundle);
  });

  const bundles = new Map<string, Awaited<ReturnType<typeof loadEmbedded>>[number]>();

  for (const profile of ['low', 'high', 'critical'] as const) {
    it(`are equal for ${RUNS} inputs of ${profile}`, async function () {
      this.timeout(60_000);
      const bundle = bundles.get(profile);
      assert.ok(bundle);
      const engine = await compileEngine(bundle);
      const plain = plainPolicy(bundle);
      const verdicts = new Set<string>();
      // Members of an input that is allowed, in any number replaced: so that every rule has its turn.
      const input = fc
        .tuple(anyInput, fc.subarray(Object.keys(allowedInput(profile))))
        .map(([other, kept]) => {
          const allowed: Record<string, unknown> = allowedInput(profile);
          return { ...other, ...Object.fromEntries(kept.map((name) => [name, allowed[name]])) };
        });
      fc.assert(
        fc.property(input, (document) => {
          const text = bytes(document);
          const { resultJson } = engine.evaluate(text);
          verdicts.add(resultJson);
          assert.equal(resultJson, plain(text));
        }),
        { numRuns: RUNS },
      );
      assert.ok(verdicts.size > 5, `only ${verdicts.size} different results: the inputs are too much alike`);
    });
  }
});
