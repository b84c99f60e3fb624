import { deepEqual, equal } from 'node:assert/strict';
import { once } from 'node:events';
import { Agent } from 'node:http';
import { Worker } from 'node:worker_threads';
import fc from 'fast-check';
import { REASONS, type ReasonCode } from '../../src/reason.ts';
import { FORWARD_AUTH_PROXIES, type ForwardAuthProxy } from '../../src/request/forward-auth.ts';
import { askForwardAuth, unaskable, untold } from '../support/forward-auth.ts';
import type { Running } from '../support/running.ts';
import { BASES } from './mutation/draft.ts';
import { ask, type Case, type Mutant, mutantOf, problemOf, proxiedProblemOf } from './mutation/judge.ts';
import { BY_NAME, OPERATORS } from './mutation/operators.ts';
import type { Judged, Wrong } from './mutation/worker.ts';
import { inProcess, overPorts, spending } from './mutation/world.ts';

const CI = process.env.CI === 'true';
/** Requests against `decide`, and those of them that go over the ports too. */
const REQUESTS = Number(process.env.LEMMA_MUTATIONS ?? (CI ? 200_000 : 10_000));
const PORT_REQUESTS = REQUESTS / 10;
const SEED = Number(process.env.LEMMA_SEED ?? 20_261_125);
/** What one store and log take, and how many of them work at once. */
const PER_WORLD = 10_000;
const WORLDS = 2;
/** Requests under way at once over the ports. */
const AT_ONCE = 250;

/** Who ask about a request by turns, beside Envoy, which asks about each. */
const OTHERS = FORWARD_AUTH_PROXIES.filter((proxy) => proxy !== 'envoy');

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

/** As it is told to a person: `a PoP over a body: flip_signature_bit(7), header_case(3)`. */
function told({ base, steps }: Case): string {
  return `${BASES[base]?.name}: ${steps.map(({ operator, seed }) => `${operator}(${seed})`).join(', ')}`;
}

/** The smallest case that goes wrong too, for a person. */
async function shrunk({ one, problem }: Wrong): Promise<string> {
  const world = await inProcess();
  try {
    for (const wire of spending()) await ask(world.pdp, wire);
    const property = fc.asyncProperty(cases, async (smaller) => {
      const mutant = mutantOf(smaller);
      const still = problemOf(mutant, await ask(world.pdp, mutant.wire));
      if (still !== null) throw new Error(still);
    });
    const { counterexample, errorInstance } = await fc.check(property, {
      examples: [[one]],
      numRuns: 1,
      seed: SEED,
    });
    const smallest = counterexample?.[0] ?? one;
    return `${told(smallest)}: ${errorInstance instanceof Error ? errorInstance.message : problem}`;
  } finally {
    await world.close();
  }
}

describe(`mutated requests (seed ${SEED})`, function () {
  this.timeout(900_000);
  const all = fc.sample(cases, { numRuns: REQUESTS, seed: SEED });
  const [operators, codes] = [new Map<string, number>(), new Map<string, number>()];
  const workers: Worker[] = [];

  before(() => {
    for (let i = 0; i < WORLDS; i++)
      workers.push(new Worker(new URL('./mutation/worker.ts', import.meta.url)));
  });
  after(async () => {
    for (const worker of workers) await worker.terminate();
    const counted = (map: Map<string, number>) =>
      [...map].sort((a, b) => b[1] - a[1]).map(([name, count]) => `${name} ${count}`);
    const [least] = counted(operators).slice(-1);
    console.log(`\n${REQUESTS} mutated requests by ${operators.size} operators (the least used: ${least}):`);
    console.log(counted(codes).join(', '));
  });

  /** What is wrong with the answers to these, in worlds of `PER_WORLD` each. */
  async function wrongOf(chunk: readonly Case[]): Promise<Wrong[]> {
    const queue: (readonly Case[])[] = [];
    for (let from = 0; from < chunk.length; from += PER_WORLD)
      queue.push(chunk.slice(from, from + PER_WORLD));
    const wrong: Wrong[] = [];
    const work = async (worker: Worker) => {
      for (let next = queue.shift(); next !== undefined; next = queue.shift()) {
        worker.postMessage(next);
        const [judged] = (await once(worker, 'message')) as [Judged | Error];
        if (judged instanceof Error) throw judged;
        wrong.push(...judged.wrong);
        for (const [from, to] of [
          [judged.operators, operators],
          [judged.codes, codes],
        ] as const)
          for (const [name, count] of from) to.set(name, (to.get(name) ?? 0) + count);
      }
    };
    await Promise.all(workers.map(work));
    return wrong;
  }

  it('start from requests that are allowed', async () => {
    deepEqual(await wrongOf(BASES.map((_, base) => ({ base, steps: [] }))), []);
  });

  it(`are allowed where nothing breaks them, else denied, each with its record: ${REQUESTS} of them`, async () => {
    const wrong = await wrongOf(all);
    const few = wrong.slice(0, 5);
    deepEqual(
      {
        wrong: wrong.length,
        causes: await Promise.all(few.map(shrunk)),
        as: few.map(({ one, problem }) => `${told(one)}: ${problem}`),
      },
      { wrong: 0, causes: [], as: [] },
    );
  });

  it('use each operator', () => {
    deepEqual(
      OPERATORS.map(({ name }) => name).filter((name) => !operators.has(name)),
      [],
    );
  });

  it('bring about every code that a request can bring about', () => {
    const missing = Object.keys(REASONS).filter(
      (code) => code !== 'allowed' && !codes.has(code) && !OUT_OF_REACH.includes(code as ReasonCode),
    );
    deepEqual(missing, []);
  });

  describe(`over the ports, the first ${PORT_REQUESTS}`, () => {
    const borders = ['grpc', 'rest', ...FORWARD_AUTH_PROXIES] as const;
    const services = new Map<(typeof borders)[number], Running>();
    const agent = new Agent({ keepAlive: true });
    const counts = new Map<string, Map<string, number>>();

    before(async () => {
      for (const border of borders) {
        const service = await overPorts();
        services.set(border, service);
        for (const wire of spending()) equal((await service.grpc(wire)).verdict, 'allow');
      }
    });
    after(async () => {
      agent.destroy();
      for (const service of services.values()) await service.stop();
      for (const [proxy, count] of counts) {
        const said = [...count].sort((a, b) => b[1] - a[1]).map(([what, times]) => `${times} ${what}`);
        console.log(`forward-auth as ${proxy} asks: ${said.join('; ')}`);
      }
    });

    function count(proxy: ForwardAuthProxy, what: string): void {
      const counted = counts.get(proxy) ?? new Map<string, number>();
      counts.set(proxy, counted.set(what, (counted.get(what) ?? 0) + 1));
    }

    function running(border: (typeof borders)[number]): Running {
      const service = services.get(border);
      if (service === undefined) throw new Error(`${border} did not start`);
      return service;
    }

    it('get the same verdict over gRPC, its mirror and forward-auth, and the one that they must', async () => {
      const wrong: string[] = [];
      const proxied = async (proxy: ForwardAuthProxy, { wire }: Mutant, verdict: string) => {
        const hindrance = unaskable(proxy, wire);
        const less = untold(proxy, wire);
        if (hindrance !== null) {
          count(proxy, `not asked, for ${hindrance}`);
          return null;
        }
        count(proxy, less === null ? 'asked in full, with the same verdict' : `asked, but for ${less.what}`);
        const problem = proxiedProblemOf(
          verdict,
          less,
          await askForwardAuth(running(proxy), proxy, wire, agent),
        );
        return problem === null ? null : `as ${proxy} asks: ${problem}`;
      };
      const check = async (one: Case, at: number) => {
        const mutant = mutantOf(one);
        const [grpc, rest] = await Promise.all([
          running('grpc').grpc(mutant.wire),
          running('rest').rest(mutant.wire),
        ]);
        const problems = [problemOf(mutant, grpc), problemOf(mutant, rest)];
        if (grpc.verdict !== rest.verdict) problems.push(`${grpc.verdict} and ${rest.verdict}`);
        for (const proxy of ['envoy', OTHERS[at % OTHERS.length] ?? 'nginx'] as const)
          problems.push(await proxied(proxy, mutant, grpc.verdict));
        for (const problem of problems) if (problem !== null) wrong.push(`${told(one)}: ${problem}`);
      };
      for (let from = 0; from < PORT_REQUESTS; from += AT_ONCE)
        await Promise.all(
          all.slice(from, Math.min(PORT_REQUESTS, from + AT_ONCE)).map((one, i) => check(one, from + i)),
        );
      deepEqual([wrong.length, wrong.slice(0, 5)], [0, []]);
    });
  });
});
