import assert from 'node:assert/strict';
import fc from 'fast-check';
import { canonicalJson } from '../../src/crypto/jcs.ts';
import { tracedRules } from '../../src/pdp/traced-rules.ts';
import type { Bundle } from '../../src/policy/bundle.ts';
import { loadEmbedded } from '../../src/policy/embedded.ts';
import { compileEngine } from '../../src/policy/engine.ts';
import { createTracer, type Traced, type Tracer } from '../../src/policy/tracer.ts';
import { type TracedRule, tracedRuleSchema } from '../../src/schema/api-explain.ts';
import { PROFILES, type Profile } from '../../src/schema/common.ts';
import { checker } from '../../src/schema/validate.ts';
import { PATIENT_MS, wasmBuilt } from '../policy/compiler/support.ts';
import { nearInputs } from '../policy/near-inputs.ts';
import { allowedInput, bytes, merged } from '../policy/support.ts';

type Change = Parameters<typeof merged>[1];

/** Another series with each run; set it to have one again. */
const SEED = Number(process.env.LEMMA_TEST_SEED ?? 20_261_126);
/** For each profile: each takes OPA some 0.1 s. */
const RUNS = 12;

const checkRule = checker(tracedRuleSchema);

describe('the rules behind a decision', () => {
  describe('of the embedded profiles', function () {
    this.timeout(PATIENT_MS);
    let tracer: Tracer;
    let bundles: readonly Bundle[];

    before(async function () {
      if (!wasmBuilt()) return this.skip();
      tracer = createTracer({ compiler: { engine: 'wasm' }, timeLimitMs: PATIENT_MS });
      bundles = await loadEmbedded();
    });
    after(() => tracer?.close());

    function bundleOf(profile: Profile): Bundle {
      const found = bundles.find(({ name }) => name === profile);
      assert.ok(found !== undefined);
      return found;
    }

    async function rulesOf(profile: Profile, change: Change): Promise<readonly TracedRule[]> {
      const traced = await traceOf(profile, merged(allowedInput(profile), change));
      return tracedRules(traced.clauses ?? [], traced.decision, traced.value);
    }

    async function traceOf(profile: Profile, input: object): Promise<Traced> {
      const traced = await tracer.trace(bundleOf(profile), JSON.stringify(input), 'rules');
      assert.equal(traced.error, null);
      return traced;
    }

    const POP = { present: false, body_covered: false };
    /** What has it denied, and the expression but for which it would not be. */
    const denials: readonly (readonly [Profile, string, Change, string])[] = [
      [
        'high',
        'pop_required',
        { request: { method: 'POST' }, proof: { pop: POP } },
        'input.proof.pop.present == true',
      ],
      ['critical', 'run_required', { proof: { run_id: '' } }, 'input.proof.run_id != ""'],
      [
        'high',
        'taint_stale',
        { proof: { taint_epoch: 2 } },
        'at_most(input.runtime.taint_epoch, held_epoch)',
      ],
      ['low', 'taint_ahead', { proof: { taint_epoch: 4 } }, 'at_most(held_epoch, input.runtime.taint_epoch)'],
      [
        'low',
        'freshness_stale',
        { freshness: { age_ms: 30_001 } },
        'lib.at_most(input.freshness.age_ms, settings.freshness_max_ms)',
      ],
      [
        'low',
        'budget_exhausted',
        { budget: { limit: 5, used: 6 } },
        'at_most(input.budget.used, input.budget.limit)',
      ],
      ['low', 'legacy_disabled', { subject: { via: 'token' } }, 'input.route.id in settings.legacy_routes'],
      ['low', 'policy_denied', { profile: 'high' }, 'input.profile == "low"'],
    ];

    for (const [profile, code, change, missing] of denials) {
      it(`begin with what gave ${code}, and name what it lacked`, async () => {
        const rules = await rulesOf(profile, change);
        const [first] = rules;
        assert.deepEqual([first?.outcome, first?.gives], ['fired', `"${code}"`]);
        const near = rules.find(({ at }) => at.text === missing);
        assert.deepEqual([near?.outcome, near?.would?.reasons.includes(code)], ['nearly', false]);
      });
    }

    it('name what decided where more than one thing is missing', async () => {
      const rules = await rulesOf('critical', { proof: { run_id: undefined } });
      const run = rules.find(({ path }) => path === 'data.lemma.critical.lib.run_proven');
      assert.deepEqual(
        [run?.outcome, run?.at.text, run?.would?.given, run?.would?.allow],
        ['failed', 'is_string(input.proof.run_id)', 'rest', true],
      );
    });

    it('begin with the decision where it allowed, and name what would have denied', async () => {
      const rules = await rulesOf('low', {});
      assert.deepEqual([rules[0]?.path, rules[0]?.outcome], ['data.lemma.low.decision', 'fired']);
      const near = rules.find(({ at }) => at.text === 'not fresh');
      assert.deepEqual(
        [near?.outcome, near?.would],
        ['nearly', { given: 'at', allow: false, reason: 'freshness_stale', reasons: ['freshness_stale'] }],
      );
    });

    it('have the values of the data and the input', async () => {
      const rules = await rulesOf('low', { freshness: { age_ms: 30_001 } });
      const { values } = rules.find(({ path }) => path === 'data.lemma.low.fresh') ?? {};
      assert.deepEqual(
        values?.map(({ text, value }) => [text, value]),
        [
          ['input.freshness.age_ms', '30001'],
          ['settings.freshness_max_ms', '30000'],
        ],
      );
    });

    for (const profile of PROFILES) {
      it(`of ${profile} are those of the result that the engine comes to, whatever the input`, async function () {
        this.timeout(RUNS * 10_000);
        const engine = await compileEngine(bundleOf(profile), { spare: false });
        const same = fc.asyncProperty(nearInputs(profile), async (input) => {
          const { value, clauses, decision } = await traceOf(profile, input);
          const { result } = engine.evaluate(bytes(input));
          assert.equal(canonicalJson(value), canonicalJson(result));
          const rules = tracedRules(clauses ?? [], decision, value);
          assert.deepEqual(
            rules.map(checkRule).filter(({ ok }) => !ok),
            [],
          );
          // Each reason was given by a rule that fired, in the order in which the reasons stand.
          const given = rules.slice(0, result.reasons.length).map(({ gives }) => gives);
          assert.deepEqual(
            given,
            result.reasons.map((code) => JSON.stringify(code)),
          );
        });
        await fc.assert(same, { seed: SEED, numRuns: RUNS });
      });
    }
  });
});
