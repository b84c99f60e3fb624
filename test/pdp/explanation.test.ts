import assert from 'node:assert/strict';
import { decide, type Pdp } from '../../src/pdp/decide.ts';
import { type ExplainDeps, explain } from '../../src/pdp/explain.ts';
import { loadEmbedded } from '../../src/policy/embedded.ts';
import { type Traced, untraced } from '../../src/policy/tracer.ts';
import { Denial } from '../../src/reason.ts';
import { buildRouteMap } from '../../src/request/route-map.ts';
import type { DecisionRecord } from '../../src/schema/decision.ts';
import type { Lemma } from '../../src/schema/lemma.ts';
import { bearing, chain, keys, NOW, proving, request, type WireRequest } from '../support/kit.ts';
import { asked, type Composed, composed, folders } from './support.ts';

const HOME = { org: 'acme', env: 'prod' };
/** A PUT that the high profile denies: it has no PoP. */
const bare = () => bearing(chain(), { method: 'PUT', headers: [['content-length', '0']] });
const traced: Traced = {
  evaluator: 'OPA',
  decision: 'data.x',
  lines: ['a line'],
  clauses: null,
  cut: true,
  value: undefined,
  error: null,
};

describe('explain, in process', () => {
  const temporary = folders();
  let parts: Composed;
  let deps: ExplainDeps;

  before(async () => {
    parts = await composed(temporary.make());
    deps = {
      store: parts.store,
      policies: parts.pdp.policies,
      archive: parts.archive,
      tracer: { trace: async () => traced },
    };
  });
  after(async () => {
    await parts.close();
    temporary.remove();
  });

  async function decided(one: WireRequest, more: Partial<Pdp> = {}): Promise<string> {
    const { decision_id } = await decide(asked(one), { ...parts.pdp, onError: () => undefined, ...more });
    await parts.log.settled();
    return decision_id;
  }

  async function explained(one: WireRequest, more: Partial<ExplainDeps> = {}, pdp: Partial<Pdp> = {}) {
    const explanation = await explain(await decided(one, pdp), HOME, { ...deps, ...more });
    assert.ok(explanation !== null);
    return explanation;
  }

  /** The same, of a record whose line was changed since. */
  async function edited(one: WireRequest, edit: (line: string) => string) {
    const recordById: ExplainDeps['store']['recordById'] = async (id, within) =>
      (await parts.store.recordById(id, within)).map(edit);
    return explained(one, {
      store: { recordById, eventsAround: (...about) => parts.store.eventsAround(...about) },
    });
  }

  const besides = (
    some: Pick<ExplainDeps['policies'], 'engineFor' | 'reasonAt'>,
  ): ExplainDeps['policies'] => ({
    ...some,
    active: (profile) => parts.pdp.policies.active(profile),
  });

  const observing = (): Partial<Pdp> => {
    const settings = parts.pdp.settings();
    const routes = buildRouteMap(settings.routes.routes.map((route) => ({ ...route, mode: 'observe' })));
    return { settings: () => ({ ...settings, routes }) };
  };

  it('says nothing of a decision that another tenant made, or nobody', async () => {
    const id = await decided(bearing(chain()));
    assert.equal(await explain(id, { org: 'rival', env: 'prod' }, deps), null);
    assert.equal(await explain('dec_nobody', HOME, deps), null);
  });

  it('gives an allow with its record, its links, and nothing that failed', async () => {
    const { record, chain: links, ...rest } = await explained(bearing(chain()));
    const { evaluated_again, policy_today, bundle, events, ...others } = rest;
    assert.deepEqual(others, {
      decision_id: record.decision_id,
      verdict: 'allow',
      reason: 'allowed',
      stage: 'policy',
      summary: `Allowed by the low policy, revision ${record.bundle?.revision}.`,
      failed: null,
      rules: [],
      trace: null,
      amended: [],
    });
    assert.deepEqual(
      links,
      record.links?.map((link) => ({ ...link, failed: false })),
    );
    assert.deepEqual(evaluated_again, { result: record.result, equal: true, error: null });
    const ref = record.bundle;
    assert.deepEqual(policy_today, { bundle: ref, result: record.result, equal: true, error: null });
    assert.deepEqual({ name: bundle?.name, events }, { name: 'low', events: [] });
  });

  it('gives the Rego of the bundle, and no other of its files', async () => {
    const { bundle } = await explained(bearing(chain()));
    const low = (await loadEmbedded()).find(({ name }) => name === 'low');
    const files = [...(low?.files ?? [])].filter(([path]) => path.endsWith('.rego'));
    assert.deepEqual(
      bundle?.rego,
      Object.fromEntries(files.map(([path, bytes]) => [path, Buffer.from(bytes).toString()])),
    );
  });

  describe('of a denial by policy', () => {
    it('gives the rule of each reason', async () => {
      const one = bearing(chain(), {
        method: 'POST',
        path: '/v1/purge/x',
        headers: [['content-length', '9']],
      });
      const { rules, record } = await explained(one);
      assert.deepEqual(
        rules.map(({ code }) => code),
        record.reasons,
      );
      const [first] = rules;
      assert.deepEqual([first?.file, typeof first?.line], ['lemma/critical/decision.rego', 'number']);
      assert.match(first?.rego ?? '', /pop_required/);
    });

    it('sums it up, with the other reasons', async () => {
      const one = bearing(chain(), {
        method: 'POST',
        path: '/v1/purge/x',
        headers: [['content-length', '9']],
      });
      const { summary, bundle } = await explained(one);
      const policy = `critical policy, revision ${bundle?.revision}`;
      assert.equal(summary, `Denied by the ${policy}: pop_required, and run_required, body_truncated.`);
    });

    it('sums it up where it is the only reason', async () => {
      const { summary, bundle } = await explained(bare());
      assert.equal(summary, `Denied by the high policy, revision ${bundle?.revision}: pop_required.`);
    });

    it('says that the route only observes', async () => {
      assert.match(
        (await explained(bare(), {}, observing())).summary,
        /: pop_required\. The route only observes: the request went on\.$/,
      );
    });

    it('has no rule for a code that the bundle does not place', async () => {
      const policies = besides({
        engineFor: (sha256) => parts.pdp.policies.engineFor(sha256),
        reasonAt: async () => null,
      });
      assert.deepEqual((await explained(bare(), { policies })).rules, []);
    });
  });

  describe('of a check that failed', () => {
    const expired = () => bearing(chain({ runtime: { expires_at: NOW } }));

    it('sums it up, and says which link it was', async () => {
      const { summary, chain: links, failed } = await explained(expired());
      assert.equal(summary, 'Denied at the proof stage, proof_expired: the runtime ended 0 s ago.');
      assert.deepEqual(
        links.map((link) => link.failed),
        [false, false, true],
      );
      assert.equal(failed?.check, 'proof_expired');
    });

    it('evaluates nothing, and names no bundle', async () => {
      const { evaluated_again, bundle, rules } = await explained(expired());
      assert.deepEqual([evaluated_again, bundle, rules], [null, null, []]);
    });

    it('has no links where none came', async () => assert.deepEqual((await explained(request())).chain, []));

    it('says that the route only observes', async () => {
      assert.match(
        (await explained(expired(), {}, observing())).summary,
        /s ago\. The route only observes: the request went on\.$/,
      );
    });
  });

  describe('evaluates again', () => {
    it('a denial, and finds it equal', async () => {
      const { evaluated_again, record } = await explained(bare());
      assert.deepEqual(evaluated_again, { result: record.result, equal: true, error: null });
    });

    it('and finds a result that was changed unequal', async () => {
      const { evaluated_again } = await edited(bare(), (line) =>
        line.replace('"result":{"allow":false', '"result":{"allow":true'),
      );
      assert.deepEqual([evaluated_again?.equal, evaluated_again?.error], [false, null]);
    });

    it('nothing of an input that is not what was evaluated, byte for byte', async () => {
      const { evaluated_again } = await edited(bare(), (line) => line.replace('"input":{', '"input":{ '));
      assert.deepEqual([evaluated_again?.result, evaluated_again?.equal], [null, false]);
      assert.match(evaluated_again?.error ?? '', /byte for byte/);
    });

    it('nothing with a bundle that this node never had', async () => {
      const policies = besides({ engineFor: async () => null, reasonAt: async () => null });
      const { evaluated_again, bundle } = await explained(bare(), {
        policies,
        archive: { get: async () => null },
      });
      const error = `this node never had bundle ${bundle?.sha256}`;
      assert.deepEqual(evaluated_again, { result: null, equal: false, error });
      assert.equal(bundle?.rego, null);
    });

    describe('what fails then', () => {
      const failing = (error: unknown) => {
        const decide = () => {
          throw error;
        };
        const engineFor = async (sha256: string) => {
          const engine = await parts.pdp.policies.engineFor(sha256);
          return engine === null ? null : { ...engine, decide };
        };
        return { policies: besides({ engineFor, reasonAt: async () => null }) };
      };

      it('and finds it unequal to a result', async () => {
        const { evaluated_again } = await explained(bare(), failing(new Error('it broke')));
        assert.deepEqual(evaluated_again, { result: null, equal: false, error: 'it broke' });
      });

      it('says so of what is no error too', async () => {
        assert.equal((await explained(bare(), failing('x'))).evaluated_again?.error, 'x');
      });

      const brokenBefore = () => {
        const active = parts.pdp.policies.active('high');
        const decide = () => {
          throw new Denial('policy_error', 'it broke');
        };
        const broken = { ...active, engine: { ...active.engine, decide } };
        return { policies: { active: () => broken } as unknown as Pdp['policies'] };
      };

      it('and finds it equal where it failed so before', async () => {
        const again = failing(new Denial('policy_error', 'it broke'));
        assert.equal((await explained(bare(), again, brokenBefore())).evaluated_again?.equal, true);
      });

      it('and finds it unequal where it failed otherwise before', async () => {
        const again = failing(new Denial('policy_timeout', 'it ran on'));
        assert.equal((await explained(bare(), again, brokenBefore())).evaluated_again?.equal, false);
      });
    });
  });

  describe('traces', () => {
    async function trace(one: WireRequest, value: unknown, more: Partial<ExplainDeps> = {}) {
      const handed: unknown[] = [];
      const tracer: ExplainDeps['tracer'] = {
        async trace(bundle, input, mode) {
          handed.push(bundle.sha256, input, mode);
          return { ...traced, value };
        },
      };
      const id = await decided(one);
      const explanation = await explain(id, HOME, { ...deps, tracer, ...more }, 'full');
      return { trace: explanation?.trace, record: explanation?.record, handed };
    }

    it('the recorded input with the recorded bundle', async () => {
      const { record, handed } = await trace(bare(), {});
      assert.deepEqual(handed, [record?.bundle?.sha256, JSON.stringify(record?.input), 'full']);
    });

    const result = { allow: false, reason: 'pop_required', reasons: ['pop_required'] };
    for (const [name, value, equal] of [
      ['the same, its members in another order', Object.fromEntries(Object.entries(result).reverse()), true],
      ['another', { ...result, allow: true }, false],
      ['what has no canonical form', { n: Number.POSITIVE_INFINITY }, false],
      ['nothing', undefined, null],
    ] as const) {
      it(`and compares what OPA answers: ${name}`, async () => {
        const { trace: made } = await trace(bare(), value);
        assert.deepEqual(made, {
          mode: 'full',
          evaluator: 'OPA',
          decision: 'data.x',
          lines: ['a line'],
          cut: true,
          error: null,
          rules: null,
          equal,
          traced: equal === true ? 'equal' : 'different',
        });
      });
    }

    it('and has no comparison where there is no trace, or no result', async () => {
      const failing: Traced = { ...traced, error: 'too long' };
      const { trace: made } = await trace(bare(), undefined, { tracer: { trace: async () => failing } });
      assert.deepEqual([made?.equal, made?.traced, made?.error], [null, null, 'too long']);
    });

    it('with the rules in their order', async () => {
      const clause = {
        ...{ path: 'data.x', file: 'x.rego', line_from: 1, line_to: 1, source: 'x', default: false },
        ...{ evaluated: 1, held: 1, gives: null, only_last: false, values: [] },
        at: { line: 1, column: 1, text: 'x' },
      };
      const told: Traced = { ...traced, clauses: [{ ...clause, path: 'data.y' }, clause], value: {} };
      const { trace: made } = await trace(bare(), undefined, { tracer: { trace: async () => told } });
      assert.deepEqual(
        made?.rules?.map(({ path }) => path),
        ['data.x', 'data.y'],
      );
    });

    it('nothing of a check that failed', async () => {
      const { trace: made, handed } = await trace(request(), {});
      assert.deepEqual([made?.equal, made?.evaluator, handed], [null, untraced('').evaluator, []]);
      assert.match(made?.error ?? '', /nothing to trace/);
    });

    it('nothing with a bundle that this node never had', async () => {
      const { trace: made, record, handed } = await trace(bare(), {}, { archive: { get: async () => null } });
      assert.deepEqual([made?.error, handed], [`this node never had bundle ${record?.bundle?.sha256}`, []]);
    });

    it('nothing of an input that is not what was evaluated', async () => {
      const recordById: ExplainDeps['store']['recordById'] = async (id, within) =>
        (await parts.store.recordById(id, within)).map((line) => line.replace('"input":{', '"input":{ '));
      const store = { ...parts.store, recordById };
      const { trace: made, handed } = await trace(bare(), {}, { store });
      assert.match(made?.error ?? '', /byte for byte/);
      assert.deepEqual(handed, []);
    });
  });

  describe('asks the policy of today', () => {
    const result = { allow: false, reason: 'x_today', reasons: ['x_today'] };
    type Decide = ReturnType<Pdp['policies']['active']>['engine']['decide'];
    const asked: (readonly [input: string, long: unknown])[] = [];
    beforeEach(() => void asked.splice(0));

    /** Another one is in force by now. */
    function today(decide: () => unknown, ref: object = { sha256: 'd'.repeat(64) }): Partial<ExplainDeps> {
      const { policies } = parts.pdp;
      const active: ExplainDeps['policies']['active'] = (profile) => {
        const now = policies.active(profile);
        const answer = ((bytes, long) => {
          asked.push([Buffer.from(bytes).toString(), long]);
          return decide();
        }) as Decide;
        return { ...now, ref: { ...now.ref, ...ref }, engine: { ...now.engine, decide: answer } };
      };
      return {
        policies: {
          active,
          engineFor: (...of) => policies.engineFor(...of),
          reasonAt: (...of) => policies.reasonAt(...of),
        },
      };
    }
    const says = (said: object) => () => ({ result: said, resultJson: JSON.stringify(said), steps: 1 });
    const high = () => parts.pdp.policies.active('high').ref;

    it('the very input of then, and finds another result unequal', async () => {
      const { policy_today, evaluated_again, record } = await explained(bare(), today(says(result)));
      const bundle = { ...high(), sha256: 'd'.repeat(64) };
      assert.deepEqual(policy_today, { bundle, result, equal: false, error: null });
      assert.deepEqual([evaluated_again?.equal, asked], [true, [[JSON.stringify(record.input), false]]]);
    });

    it('and finds the same result equal, its members in another order', async () => {
      const id = await decided(bare());
      const then = (await explain(id, HOME, deps))?.record.result ?? {};
      const same = Object.fromEntries(Object.entries(then).reverse());
      assert.equal((await explain(id, HOME, { ...deps, ...today(says(same)) }))?.policy_today?.equal, true);
    });

    it('that says why it fails', async () => {
      const broken = today(() => {
        throw new Denial('policy_error', 'it broke');
      });
      const { policy_today } = await explained(bare(), broken);
      const bundle = { ...high(), sha256: 'd'.repeat(64) };
      assert.deepEqual(policy_today, { bundle, result: null, equal: false, error: 'it broke' });
    });

    it('where it is the one of then below another adapter', async () => {
      const { policy_today } = await explained(bare(), today(says(result), { base: 'b'.repeat(64) }));
      assert.deepEqual([policy_today?.result, policy_today?.equal, asked.length], [result, false, 1]);
    });

    it('no more where it is the one of then', async () => {
      const { policy_today, evaluated_again } = await explained(bare(), today(says(result), {}));
      assert.deepEqual(policy_today, { bundle: high(), ...evaluated_again });
      assert.deepEqual(asked, []);
    });

    it('nothing where none is in force', async () => {
      const { policies } = parts.pdp;
      const active = () => {
        throw new Denial('policy_unavailable', 'none is active');
      };
      const none = {
        ...besides({ engineFor: (...of) => policies.engineFor(...of), reasonAt: async () => null }),
        active,
      };
      assert.deepEqual((await explained(bare(), { policies: none })).policy_today, {
        ...{ bundle: null, result: null, equal: false },
        error: 'none is active',
      });
    });

    it('nothing of an input that is not what was evaluated', async () => {
      const recordById: ExplainDeps['store']['recordById'] = async (id, within) =>
        (await parts.store.recordById(id, within)).map((line) => line.replace('"input":{', '"input":{ '));
      const { policy_today } = await explained(bare(), {
        ...today(says(result)),
        store: { ...parts.store, recordById },
      });
      assert.deepEqual([policy_today?.result, policy_today?.equal, asked], [null, false, []]);
      assert.match(policy_today?.error ?? '', /byte for byte/);
    });

    it('nothing of a check that failed, nor of a record without a result', async () => {
      const { policy_today, evaluated_again } = await explained(request(), today(says(result)));
      assert.deepEqual([policy_today, evaluated_again, asked], [null, null, []]);
      const bared = await edited(bare(), (line) => line.replace(/"result":\{[^}]*\}/, '"result":null'));
      assert.deepEqual([bared.policy_today, bared.evaluated_again], [null, null]);
    });

    it('nothing of a bundle that is of no profile', async () => {
      const odd = await edited(bare(), (line) =>
        line.replace('"bundle":{"name":"high"', '"bundle":{"name":"odd"'),
      );
      assert.deepEqual([odd.bundle?.name, odd.policy_today], ['odd', null]);
    });
  });

  describe('of a policy behind an adapter', () => {
    const BASE = 'e'.repeat(64);
    const behind = (line: string) => line.replace(/("bundle":\{[^}]*)\}/, `$1,"base":"${BASE}"}`);
    async function layered(more: Partial<ExplainDeps>) {
      const recordById: ExplainDeps['store']['recordById'] = async (id, within) =>
        (await parts.store.recordById(id, within)).map(behind);
      return explain(
        await decided(bare()),
        HOME,
        { ...deps, store: { ...parts.store, recordById }, ...more },
        'full',
      );
    }

    it('has the Rego of both', async () => {
      const low = (await loadEmbedded()).find(({ name }) => name === 'low');
      const get: ExplainDeps['archive']['get'] = async (sha256) =>
        sha256 === BASE ? (low ?? null) : parts.archive.get(sha256);
      const rego = Object.keys((await layered({ archive: { get } }))?.bundle?.rego ?? {});
      assert.deepEqual(
        ['lemma/low/decision.rego', 'lemma/high/decision.rego'].map((file) => rego.includes(file)),
        [true, true],
      );
    });

    it("has its own Rego where the profile's own is kept no more", async () => {
      const rego = Object.keys((await layered({}))?.bundle?.rego ?? {});
      assert.deepEqual(
        rego.filter((file) => !file.endsWith('.rego') || !file.includes('high')),
        [],
      );
    });

    it('is not traced alone', async () => {
      assert.match((await layered({}))?.trace?.error ?? '', /asked after the profile's own/);
    });

    it('is evaluated again with both', async () => {
      const bundles: unknown[] = [];
      const engineFor: ExplainDeps['policies']['engineFor'] = async (...of) => {
        bundles.push(of);
        return null;
      };
      const found = await layered({ policies: besides({ engineFor, reasonAt: async () => null }) });
      assert.deepEqual(bundles, [[found?.bundle?.sha256, BASE]]);
    });
  });

  it('gives what a late kill amended, with the events of the runtime', async () => {
    parts.register('explained');
    const links: Lemma[] = chain({ runtime: { claims: { runtime_id: 'explained' } } });
    const log: Pdp['log'] = {
      ...parts.log,
      async append(body, how) {
        await parts.log.append(body, how);
        if (!body.amends) await parts.stops.kill('explained');
      },
    };
    const { reason, amended, record, events, evaluated_again } = await explained(
      proving(links, keys.runtime),
      {},
      { log },
    );
    assert.deepEqual(
      [reason, record.amends, amended.map((one: DecisionRecord) => [one.verdict, one.amends])],
      ['runtime_killed', true, [['allow', false]]],
    );
    assert.deepEqual(
      events.map(({ type, runtime_id }) => [type, runtime_id]),
      [['kill', 'explained']],
    );
    assert.equal(evaluated_again?.equal, true);
  });

  it('gives no events of a runtime where nobody acted', async () => {
    assert.deepEqual((await explained(request())).events, []);
  });

  it('says how many requests share a decision', async () => {
    const { summary } = await edited(request(), (line) =>
      line.replace('"trace_id"', '"requests":3,"trace_id"'),
    );
    assert.match(summary, / Requests that share this decision: 3\.$/);
  });
});
