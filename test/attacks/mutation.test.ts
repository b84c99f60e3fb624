import { deepEqual, equal, ok } from 'node:assert/strict';
import fc from 'fast-check';
import { REASONS, type ReasonCode } from '../../src/reason.ts';
import type { CheckResponseMessage } from '../../src/schema/check.ts';
import { checkMethod, loadProtos } from '../../src/server/proto.ts';
import type { Running } from '../support/running.ts';
import { BASES } from './mutation/draft.ts';
import { ask, type Case, mutantOf, problemOf } from './mutation/judge.ts';
import { BY_NAME, OPERATORS } from './mutation/operators.ts';
import { inProcess, overPorts, spending } from './mutation/world.ts';

const CI = process.env.CI === 'true';
/** Requests against `decide`, and those of them that go over the ports too. */
const REQUESTS = Number(process.env.LEMMA_MUTATIONS ?? (CI ? 200_000 : 10_000));
const PORT_REQUESTS = REQUESTS / 10;
const SEED = Number(process.env.LEMMA_SEED ?? 20_261_125);
/** Requests under way at once, and those that one store and log take. */
const AT_ONCE = 250;
const PER_WORLD = 20_000;

/** Codes that no request brings about by itself: they need another configuration, or a failure. */
const OUT_OF_REACH: readonly ReasonCode[] = [
  'replay_check_unavailable',
  'freshness_stale',
  'state_not_ready',
  'clock_untrusted',
  'policy_denied',
  'policy_error',
  'policy_timeout',
  'policy_unavailable',
  'bundle_rejected',
  'bundle_rollback',
  'legacy_disabled',
  'token_expired',
  'rate_limited',
  'overloaded',
  'audit_unavailable',
  'internal_error',
];

const cases: fc.Arbitrary<Case> = fc.record({
  base: fc.nat({ max: BASES.length - 1 }),
  steps: fc.uniqueArray(fc.record({ operator: fc.constantFrom(...BY_NAME.keys()), seed: fc.nat() }), {
    selector: ({ operator }) => operator,
    minLength: 1,
    maxLength: 3,
    size: 'max',
  }),
});

const method = checkMethod(loadProtos());
const codec = (message: CheckResponseMessage) =>
  method.responseDeserialize(method.responseSerialize(message)) as CheckResponseMessage;

/** As it is told to a person: `a PoP over a body: flip_signature_bit(7), header_case(3)`. */
function told({ base, steps }: Case): string {
  return `${BASES[base]?.name}: ${steps.map(({ operator, seed }) => `${operator}(${seed})`).join(', ')}`;
}

interface Counts {
  asked: number;
  allowed: number;
  readonly operators: Map<string, number>;
  readonly codes: Map<string, number>;
}

const counts: Counts = { asked: 0, allowed: 0, operators: new Map(), codes: new Map() };
const add = (map: Map<string, number>, key: string) => map.set(key, (map.get(key) ?? 0) + 1);

/** Asks all of them, in one world; what is wrong, by case. */
async function judge(all: readonly Case[]): Promise<{ case_: Case; problem: string }[]> {
  const world = await inProcess();
  const kept = new Map<string, string>();
  world.log.onRecord(({ decision_id, verdict, reason }) =>
    kept.set(decision_id, verdict === 'allow' ? 'allow' : reason),
  );
  const wrong: { case_: Case; problem: string }[] = [];
  const given = new Map<string, string>();
  try {
    for (const wire of spending()) equal((await ask(world.pdp, wire, codec)).verdict, 'allow');
    for (let from = 0; from < all.length; from += AT_ONCE) {
      const batch = all.slice(from, from + AT_ONCE);
      await Promise.all(
        batch.map(async (case_) => {
          const mutant = mutantOf(case_);
          const answer = await ask(world.pdp, mutant.wire, codec);
          counts.asked += 1;
          add(counts.codes, answer.verdict);
          if (answer.verdict === 'allow') counts.allowed += 1;
          for (const { name } of mutant.applied) add(counts.operators, name);
          const problem = given.has(answer.decisionId) ? 'a decision id twice' : problemOf(mutant, answer);
          given.set(answer.decisionId, answer.verdict);
          if (problem !== null) wrong.push({ case_, problem });
        }),
      );
      await world.log.settled();
    }
    const unrecorded = [...given].filter(([id, verdict]) => kept.get(id) !== verdict);
    deepEqual(unrecorded, [], 'each answer has its record, with its verdict');
    equal(world.log.stats().lost, 0);
  } finally {
    await world.close();
  }
  return wrong;
}

/** The smallest case that goes wrong in the same way, for a person. */
async function shrunk(case_: Case): Promise<string> {
  const world = await inProcess();
  try {
    for (const wire of spending()) await ask(world.pdp, wire, codec);
    const property = fc.asyncProperty(cases, async (one) => {
      const mutant = mutantOf(one);
      const problem = problemOf(mutant, await ask(world.pdp, mutant.wire, codec));
      if (problem !== null) throw new Error(problem);
    });
    const { counterexample, errorInstance } = await fc.check(property, {
      examples: [[case_]],
      numRuns: 1,
      seed: SEED,
    });
    return `${told(counterexample?.[0] ?? case_)}: ${errorInstance instanceof Error ? errorInstance.message : ''}`;
  } finally {
    await world.close();
  }
}

describe(`mutated requests (seed ${SEED})`, function () {
  this.timeout(600_000);
  const all = fc.sample(cases, { numRuns: REQUESTS, seed: SEED });

  it('start from requests that are allowed', async () => {
    deepEqual(await judge(BASES.map((_, base) => ({ base, steps: [] }))), []);
  });

  for (let from = 0; from < REQUESTS; from += PER_WORLD) {
    it(`${from} to ${Math.min(REQUESTS, from + PER_WORLD)}: allowed where nothing breaks them, else denied, each with its record`, async () => {
      const wrong = await judge(all.slice(from, from + PER_WORLD));
      const first = wrong.slice(0, 5);
      const causes = await Promise.all(first.map(({ case_ }) => shrunk(case_)));
      deepEqual(
        { wrong: wrong.length, causes, as: first.map(({ case_, problem }) => `${told(case_)}: ${problem}`) },
        { wrong: 0, causes: [], as: [] },
      );
    });
  }

  it('use each operator', () => {
    deepEqual(
      OPERATORS.map(({ name }) => name).filter((name) => !counts.operators.has(name)),
      [],
    );
  });

  it('bring about every code that a request can bring about', () => {
    const missing = Object.keys(REASONS).filter(
      (code) => code !== 'allowed' && !counts.codes.has(code) && !OUT_OF_REACH.includes(code as ReasonCode),
    );
    deepEqual(missing, []);
  });

  describe(`over the ports, the first ${PORT_REQUESTS}`, () => {
    const services: Record<'grpc' | 'rest', Running> = {} as never;
    before(async () => {
      for (const border of ['grpc', 'rest'] as const) {
        services[border] = await overPorts();
        for (const wire of spending()) equal((await services[border][border](wire)).verdict, 'allow');
      }
    });
    after(async () => {
      for (const service of Object.values(services)) await service.stop();
    });

    it('get the same verdict over gRPC and its mirror, and the one that they must', async () => {
      const wrong: string[] = [];
      for (let from = 0; from < PORT_REQUESTS; from += AT_ONCE) {
        await Promise.all(
          all.slice(from, Math.min(PORT_REQUESTS, from + AT_ONCE)).map(async (case_) => {
            const mutant = mutantOf(case_);
            const [grpc, rest] = await Promise.all(
              (['grpc', 'rest'] as const).map((b) => services[b][b](mutant.wire)),
            );
            for (const answer of [grpc, rest]) {
              const problem = answer === undefined ? 'no answer' : problemOf(mutant, answer);
              if (problem !== null) wrong.push(`${told(case_)}: ${problem}`);
            }
            if (grpc?.verdict !== rest?.verdict)
              wrong.push(`${told(case_)}: ${grpc?.verdict} over gRPC, ${rest?.verdict} over REST`);
          }),
        );
      }
      deepEqual(wrong.slice(0, 5), []);
    });
  });

  after(() => {
    const list = (map: Map<string, number>) =>
      [...map]
        .sort((a, b) => b[1] - a[1])
        .map(([name, count]) => `${name} ${count}`)
        .join(', ');
    console.log(
      `\n${counts.asked} mutated requests, ${counts.allowed} allowed; ${OPERATORS.length} operators, ${counts.codes.size - 1} codes: ${list(counts.codes)}`,
    );
    const least = [...counts.operators.values()].reduce((a, b) => Math.min(a, b), Number.POSITIVE_INFINITY);
    ok(least > 0);
    console.log(`the operator used least was used ${least} times`);
  });
});
