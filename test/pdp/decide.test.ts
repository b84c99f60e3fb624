import assert from 'node:assert/strict';
import { type Append, NonceSpentError } from '../../src/decision-log/log.ts';
import { countedBy } from '../../src/gate/budget.ts';
import { decide, type Pdp } from '../../src/pdp/decide.ts';
import { createChainCache } from '../../src/proof/cache.ts';
import { isReasonCode } from '../../src/reason.ts';
import { buildRouteMap } from '../../src/request/route-map.ts';
import type { Decision, RecordBody } from '../../src/schema/decision.ts';
import type { Lemma } from '../../src/schema/lemma.ts';
import type { AuthzRequest, Route } from '../../src/schema/request.ts';
import { attacks } from '../attacks/cases.ts';
import { bearing, chain, keys, NOW, proving, request, type WireRequest } from '../support/kit.ts';
import { vectors } from '../support/running.ts';
import { asked, type Composed, composed, folders, registration, withRun } from './support.ts';

describe('decide, in process', () => {
  const temporary = folders();
  let parts: Composed;
  /** Runs in the moment before the next record is written. */
  let meanwhile: (() => void) | null = null;

  before(async () => {
    parts = await composed(temporary.make());
  });
  after(async () => {
    await parts.close();
    temporary.remove();
  });

  interface Outcome {
    readonly decision: Decision;
    /** What was handed to the log, in order. */
    readonly appended: readonly { readonly body: RecordBody; readonly how: Append }[];
    readonly record: RecordBody;
    /** What should never happen, with the decision that it happened to. */
    readonly errors: readonly (readonly [error: unknown, decisionId: string])[];
    /** Runtimes that were tainted. */
    readonly tainted: readonly (readonly [org: string, env: string, runtimeId: string])[];
  }

  async function outcome(one: WireRequest | AuthzRequest, more: Partial<Pdp> = {}): Promise<Outcome> {
    const appended: { body: RecordBody; how: Append }[] = [];
    const errors: [unknown, string][] = [];
    const tainted: [string, string, string][] = [];
    const pdp: Pdp = {
      ...parts.pdp,
      onError: (error, id) => void errors.push([error, id]),
      taint: async ({ org, env }, id) => void tainted.push([org, env, id]),
      ...more,
      log: {
        ...parts.log,
        append(body, how) {
          appended.push({ body, how });
          meanwhile?.();
          meanwhile = null;
          return (more.log ?? parts.log).append(body, how);
        },
      },
    };
    const decision = await decide('border' in one ? one : asked(one), pdp);
    const record = appended.at(-1)?.body;
    assert.ok(record !== undefined);
    return { decision, appended, record, errors, tainted };
  }

  /** The same service with each route changed. */
  function routes(change: Partial<Route>): Pick<Pdp, 'settings'> {
    const settings = parts.pdp.settings();
    const changed = buildRouteMap(settings.routes.routes.map((route) => ({ ...route, ...change })));
    return { settings: () => ({ ...settings, routes: changed }) };
  }

  /** A chain of a runtime that no other test stops or taints. */
  function runtimeNamed(runtime_id: string, claims: object = {}, run?: Record<string, unknown>): Lemma[] {
    parts.register(runtime_id);
    return chain({ runtime: { claims: { runtime_id, ...claims } }, ...(run === undefined ? {} : { run }) });
  }

  for (const { name, request: one, expect } of [...vectors.cases, ...attacks()]) {
    it(`${name}: ${expect}`, async () => {
      const { reason } = await decide(asked(one), parts.pdp);
      assert.equal(reason, isReasonCode(expect) ? expect : 'allowed');
    });
  }

  describe('gives a decision', () => {
    it('an id of its own that begins with its time, so that an index of them grows at one place', async () => {
      const at = (ms: number) => outcome(bearing(chain()), { clock: () => ms });
      const made = await Promise.all([at(NOW * 1000), at(NOW * 1000), at(NOW * 1000 + 1)]);
      const [a = '', b = '', c = ''] = made.map(({ decision }) => decision.decision_id.slice('dec_'.length));
      assert.equal(Buffer.from(a, 'base64url').readUIntBE(0, 6), NOW * 1000);
      assert.equal(b.slice(0, 8), a.slice(0, 8));
      assert.notEqual(b.slice(8), a.slice(8));
      assert.notEqual(c.slice(0, 8), a.slice(0, 8));
    });

    it('to allow, with who acts and what the policy asked for', async () => {
      const { decision, record } = await outcome(bearing(chain({ run: {} })));
      const { decision_id, ...rest } = decision;
      assert.match(decision_id, /^dec_[A-Za-z0-9_-]{22}$/);
      assert.deepEqual(rest, {
        verdict: 'allow',
        reason: 'allowed',
        reasons: [],
        stage: 'policy',
        actor: {
          subject: chain()[0]?.subject,
          runtime_id: 'bot-1',
          agent_id: 'bot',
          workspace_id: 'prod',
          run_id: 'job-1',
          scope: ['documents.read', 'documents.write'],
        },
        result: record.result,
        strip: ['x-lemma-credential'],
        rewrite: [],
        observed: false,
        taintOnResponse: false,
      });
    });

    it('that no run acts, where there is none', async () => {
      assert.equal((await outcome(bearing(chain()))).decision.actor?.run_id, null);
    });

    it('of a policy that denies, with its result and who asked', async () => {
      const { decision, record } = await outcome(
        bearing(chain(), { method: 'PUT', headers: [['content-length', '0']] }),
      );
      assert.equal(record.verdict, 'deny');
      assert.deepEqual(
        [
          decision.verdict,
          decision.reason,
          decision.stage,
          decision.result?.allow,
          decision.actor?.runtime_id,
        ],
        ['deny', 'pop_required', 'policy', false, 'bot-1'],
      );
    });

    it('of a check that fails, with neither', async () => {
      const { decision } = await outcome(bearing(chain({ runtime: { scope: [] } })));
      assert.deepEqual([decision.verdict, decision.actor, decision.result], ['deny', null, null]);
    });

    it('with an id of its own each time', async () => {
      const [a, b] = [await outcome(bearing(chain())), await outcome(bearing(chain()))];
      assert.notEqual(a.decision.decision_id, b.decision.decision_id);
    });
  });

  const stages: [stage: string, reason: string, one: () => WireRequest][] = [
    ['request', 'path_ambiguous', () => bearing(chain(), { path: '/v1//x' })],
    ['request', 'route_unknown', () => bearing(chain(), { path: '/v2' })],
    ['proof', 'auth_required', () => request()],
    ['proof', 'token_invalid', () => request({ headers: [['authorization', 'Bearer lm_at_x']] })],
    ['proof', 'scope_denied', () => bearing(chain({ runtime: { scope: [] } }))],
    ['gate', 'runtime_unknown', () => bearing(chain({ runtime: { claims: { runtime_id: 'nobody' } } }))],
    ['policy', 'pop_required', () => bearing(chain(), { method: 'PUT', headers: [['content-length', '0']] })],
    ['policy', 'allowed', () => bearing(chain())],
  ];
  for (const [stage, reason, one] of stages) {
    it(`stops at the ${stage} stage with ${reason}, in the record too`, async () => {
      const { decision, record } = await outcome(one());
      assert.deepEqual(
        [decision.stage, decision.reason, record.stage, record.reason, record.reasons],
        [stage, reason, stage, reason, reason === 'allowed' ? [] : [reason]],
      );
    });
  }

  describe('keeps a record', () => {
    it('of an allow, with everything that it was made from', async () => {
      const links = chain();
      const { decision, record, appended } = await outcome(
        proving(links, keys.runtime, { nonce: 'n'.repeat(22), path: '/v1/documents/42?a=1' }),
      );
      const { input, result, took_us, bundle, ...rest } = record;
      const { routes, configRevision } = parts.pdp.settings();
      assert.deepEqual(rest, {
        decision_id: decision.decision_id,
        time: NOW * 1000,
        node: 'n1',
        org: 'acme',
        env: 'prod',
        profile: 'low',
        route: { id: 'documents.read', revision: routes.revision },
        config_revision: configRevision,
        verdict: 'allow',
        reason: 'allowed',
        reasons: [],
        stage: 'policy',
        observed: false,
        amends: false,
        border: 'grpc',
        actor: decision.actor,
        request: { method: 'GET', host: 'api.example.com', path: '/v1/documents/42' },
        failed: null,
        links: links.map((link) => ({
          type: link.type,
          id: link.id,
          issuer: link.issuer,
          scope: link.scope,
          audience: link.audience,
          issued_at: link.issued_at,
          not_before: link.not_before,
          expires_at: link.expires_at,
        })),
        nonce: { keyid: keys.runtime.id, nonce: 'n'.repeat(22), created: NOW },
        trace_id: null,
      });
      assert.deepEqual([bundle?.name, result], ['low', decision.result]);
      assert.equal(appended[0]?.how.inputJson, JSON.stringify(input));
      assert.equal(appended[0]?.how.resultJson, JSON.stringify(result));
      assert.deepEqual(Object.keys(took_us), ['request', 'proof', 'gate', 'policy', 'log']);
    });

    it('of a check that failed, with its facts, and no input', async () => {
      const { record, appended } = await outcome(bearing(chain({ runtime: { expires_at: NOW } })));
      assert.deepEqual(
        [record.failed?.check, record.failed?.facts.link, record.failed?.facts.type],
        ['proof_expired', 2, 'runtime'],
      );
      assert.deepEqual(
        [record.input, record.result, record.bundle, record.profile],
        [null, null, null, null],
      );
      assert.deepEqual(Object.keys(appended[0]?.how ?? {}), ['durable', 'nonce', 'budget']);
    });

    it('of a request without a route, in the org and env of the deployment', async () => {
      const settings = () => ({ ...parts.pdp.settings(), org: 'home', env: 'base' });
      const { record } = await outcome(request({ path: '/v2' }), { settings });
      assert.deepEqual([record.org, record.env, record.route], ['home', 'base', null]);
    });

    it('of a request with a route, in the org and env of the route', async () => {
      const settings = () => ({ ...parts.pdp.settings(), org: 'home', env: 'base' });
      const { record } = await outcome(request(), { settings });
      assert.deepEqual([record.org, record.env], ['acme', 'prod']);
    });

    it('of a chain that does not hold, with its links and nobody who acts', async () => {
      const { record } = await outcome(bearing(chain({ runtime: { scope: ['pay.send'] } })));
      assert.deepEqual(
        [record.reason, record.links?.map(({ type }) => type), record.actor],
        ['scope_escalation', ['root', 'delegation', 'runtime'], null],
      );
    });

    it('of a known chain whose runtime is unknown, with who would have acted', async () => {
      const { record, decision } = await outcome(
        bearing(chain({ runtime: { claims: { runtime_id: 'nobody' } } })),
      );
      assert.deepEqual([record.actor?.runtime_id, record.links?.length, decision.actor], ['nobody', 3, null]);
    });

    it('of no links where none came', async () => {
      assert.equal((await outcome(request())).record.links, null);
    });
  });

  it('decides a public route without a proof, whatever comes with it', async () => {
    const { decision, record } = await outcome(bearing(chain(), { path: '/healthz' }));
    assert.deepEqual(
      [decision.verdict, decision.actor, record.input?.subject.via, record.input?.proof, record.links],
      ['allow', null, 'none', null, null],
    );
  });

  describe('writes before the answer', () => {
    const durably = async (one: WireRequest, more: Partial<Pdp> = {}) =>
      (await outcome(one, more)).appended.map(({ how }) => how.durable);

    it('not what the low profile allows a bearer credential', async () =>
      assert.deepEqual(await durably(bearing(chain())), [false]));
    it('not what failed before a profile was known', async () =>
      assert.deepEqual(await durably(request()), [false]));
    it('a spent nonce', async () => assert.deepEqual(await durably(proving(chain(), keys.runtime)), [true]));
    it('a spent nonce whose request was denied after it', async () => {
      const links = runtimeNamed('ahead', { taint_epoch: 7 });
      assert.deepEqual(await durably(proving(links, keys.runtime)), [true]);
    });
    it('a counted operation', async () =>
      assert.deepEqual(await durably(bearing(chain({ run: {} }))), [true]));
    it('what the high profile says, without either', async () => {
      const empty = bearing(chain(), { method: 'PUT', headers: [['content-length', '0']] });
      assert.deepEqual(await durably(empty), [true]);
    });
  });

  describe('counts operations', () => {
    const used = async (one: WireRequest) => {
      const { record, appended } = await outcome(one);
      return { budget: record.input?.budget, counted: appended[0]?.how.budget };
    };

    const countedOf = (link: { id: string } | undefined) =>
      countedBy({ org: 'acme', env: 'prod', lemmaId: link?.id ?? '' });

    it('of the runtime and of the run, each until its end', async () => {
      const links = withRun(10, { budget: { operations: 5 } });
      const [, , runtime, run] = links;
      assert.deepEqual(await used(bearing(links)), {
        budget: { limit: 5, used: 1 },
        counted: [
          { lemma_id: countedOf(runtime), used_delta: 1, expires_at: runtime?.expires_at },
          { lemma_id: countedOf(run), used_delta: 1, expires_at: run?.expires_at },
        ],
      });
    });

    it('of none where no link sets a budget', async () => {
      assert.deepEqual(await used(bearing(chain())), { budget: null, counted: [] });
    });

    it('of no request that the policy denies', async () => {
      const links = withRun(10);
      const empty = bearing(links, { method: 'PUT', headers: [['content-length', '0']] });
      assert.deepEqual(await used(empty), { budget: { limit: 10, used: 1 }, counted: [] });
      assert.deepEqual((await used(bearing(links))).budget, { limit: 10, used: 1 });
    });

    it('of no request whose record could not be kept', async () => {
      const links = withRun(10);
      const log = { ...parts.log, append: () => Promise.reject(new Error('full')) };
      await outcome(bearing(links), { log });
      assert.equal((await used(bearing(links))).budget?.used, 1);
    });
  });

  describe('asked for a runtime by name', () => {
    const named = (runtimeId: string) => ({ ...asked(bearing(chain())), runtimeId });

    it('allows the one that the proof binds', async () =>
      assert.equal((await outcome(named('bot-1'))).decision.reason, 'allowed'));
    it('knows no other', async () => {
      const { record } = await outcome(named('bot-2'));
      assert.deepEqual(
        [record.reason, record.stage, record.failed?.facts],
        ['runtime_unknown', 'gate', { runtime_id: 'bot-1' }],
      );
    });
  });

  describe('on a route that only observes', () => {
    const observing = () => routes({ mode: 'observe' });

    it('allows what it denies, keeps the verdict, and says so', async () => {
      const { decision, record } = await outcome(bearing(chain({ runtime: { scope: [] } })), observing());
      assert.deepEqual(
        [
          decision.verdict,
          decision.reason,
          decision.observed,
          decision.actor,
          record.verdict,
          record.observed,
        ],
        ['allow', 'scope_denied', true, null, 'deny', true],
      );
    });

    it('allows who shows no proof, as nobody', async () => {
      const { decision, record } = await outcome(request(), observing());
      assert.deepEqual([decision.verdict, decision.actor, record.reason], ['allow', null, 'auth_required']);
    });

    it('says nothing of what it allows', async () => {
      const { decision } = await outcome(bearing(chain()), observing());
      assert.deepEqual([decision.verdict, decision.observed], ['allow', false]);
    });

    it('denies a request that has no route', async () => {
      assert.equal((await outcome(request({ path: '/v2' }), observing())).decision.verdict, 'deny');
    });

    it('denies a runtime that was killed, as killed, whatever else is wrong', async () => {
      const links = runtimeNamed('observed-killed', { taint_epoch: 0 });
      await parts.stops.kill('observed-killed');
      const { decision, appended } = await outcome(proving(links, keys.operator), observing());
      assert.deepEqual(
        [decision.verdict, decision.reason, decision.observed],
        ['deny', 'runtime_killed', false],
      );
      assert.deepEqual(
        appended.map(({ body }) => body.observed),
        [false],
      );
    });

    it('denies when the kill comes before the answer, and observes no more', async () => {
      const links = runtimeNamed('observed-late', {}, {});
      meanwhile = () => void parts.stops.kill('observed-late');
      const { decision, appended } = await outcome(
        bearing(links),
        routes({ mode: 'observe', scope: ['pay.send'] }),
      );
      assert.deepEqual(
        [decision.verdict, decision.reason, decision.observed],
        ['deny', 'runtime_killed', false],
      );
      assert.deepEqual(
        appended.map(({ body }) => [body.reason, body.observed]),
        [
          ['scope_denied', true],
          ['runtime_killed', false],
        ],
      );
    });
  });

  describe('when a kill comes before the answer', () => {
    async function late(): Promise<Outcome> {
      const id = `late-${Math.random()}`.replace('0.', '');
      const links = runtimeNamed(id, {}, {});
      meanwhile = () => void parts.stops.kill(id);
      return outcome(proving(links, keys.run));
    }

    it('denies, at the last stage', async () => {
      const { decision } = await late();
      assert.deepEqual(
        [decision.verdict, decision.reason, decision.stage, decision.actor, decision.result],
        ['deny', 'runtime_killed', 'answer', null, null],
      );
    });

    it('keeps a second record, which amends the first', async () => {
      const { appended } = await late();
      assert.deepEqual(
        appended.map(({ body }) => [body.verdict, body.stage, body.amends]),
        [
          ['allow', 'policy', false],
          ['deny', 'answer', true],
        ],
      );
    });

    it('writes the second as durably, with the input, and spends nothing twice', async () => {
      const [first, second] = (await late()).appended;
      const { inputJson, resultJson } = first?.how ?? {};
      assert.deepEqual(second?.how, { inputJson, resultJson, durable: true });
    });

    it('denies though the second record is lost', async () => {
      const links = runtimeNamed('late-lost');
      meanwhile = () => void parts.stops.kill('late-lost');
      const log = {
        ...parts.log,
        append: (body: RecordBody, how: Append) =>
          body.amends ? Promise.reject(new Error('full')) : parts.log.append(body, how),
      };
      const { decision, errors } = await outcome(proving(links, keys.runtime), { log });
      assert.deepEqual([decision.verdict, decision.reason], ['deny', 'runtime_killed']);
      assert.deepEqual(errors, [[new Error('full'), decision.decision_id]]);
    });

    it('says nothing of one that was denied anyway', async () => {
      const links = runtimeNamed('late-denied', { taint_epoch: 7 });
      meanwhile = () => void parts.stops.kill('late-denied');
      const { decision, appended } = await outcome(proving(links, keys.runtime));
      assert.deepEqual([decision.reason, appended.length], ['taint_ahead', 1]);
    });
  });

  describe('when its record can not be kept', () => {
    const failing = (error: unknown) => ({
      log: { ...parts.log, append: () => Promise.reject(error) },
    });

    it('denies, and says that the log failed', async () => {
      const error = new Error('full');
      const { decision, errors } = await outcome(bearing(chain()), failing(error));
      assert.deepEqual(
        [decision.verdict, decision.reason, decision.stage, decision.result],
        ['deny', 'audit_unavailable', 'log', null],
      );
      assert.deepEqual(errors, [[error, decision.decision_id]]);
    });

    it('denies a nonce that the store knows as a replay', async () => {
      const { decision } = await outcome(proving(chain(), keys.runtime), failing(new NonceSpentError()));
      assert.deepEqual([decision.verdict, decision.reason], ['deny', 'replay_detected']);
    });

    it('denies on a route that only observes', async () => {
      const { decision } = await outcome(bearing(chain({ runtime: { scope: [] } })), {
        ...routes({ mode: 'observe' }),
        ...failing(new Error('full')),
      });
      assert.deepEqual([decision.verdict, decision.observed], ['deny', false]);
    });
  });

  describe('when something breaks', () => {
    const breaking = (error: unknown) => ({
      chains: {
        ...createChainCache(),
        verify: () => {
          throw error;
        },
      },
    });

    it('denies as an internal error, tells of it, and keeps only its name', async () => {
      const error = new TypeError('sekret');
      const { decision, record, errors } = await outcome(bearing(chain()), breaking(error));
      assert.deepEqual([decision.verdict, decision.reason], ['deny', 'internal_error']);
      assert.deepEqual(record.failed, { check: 'internal_error', message: 'TypeError', facts: {} });
      assert.deepEqual(errors, [[error, decision.decision_id]]);
    });

    it('denies what is no error too', async () => {
      const { record } = await outcome(bearing(chain()), breaking('sekret'));
      assert.deepEqual([record.reason, record.failed?.message], ['internal_error', 'an unknown error']);
    });

    it('tells of no denial', async () => assert.deepEqual((await outcome(request())).errors, []));
  });

  describe('on a route whose answers taint', () => {
    const tainting = (more: Partial<Route> = {}) => routes({ taint_on_response: true, ...more });

    it('taints the runtime that acts, and says so', async () => {
      const { decision, tainted } = await outcome(bearing(chain()), tainting());
      assert.deepEqual([decision.taintOnResponse, tainted], [true, [['acme', 'prod', 'bot-1']]]);
    });

    it('leaves it to the firewall, which sees the answer', async () => {
      const { decision, tainted } = await outcome(
        { ...asked(bearing(chain())), border: 'firewall' },
        tainting(),
      );
      assert.deepEqual([decision.taintOnResponse, tainted], [true, []]);
    });

    it('taints nobody with a denial', async () => {
      const { tainted } = await outcome(bearing(chain({ runtime: { scope: [] } })), tainting());
      assert.deepEqual(tainted, []);
    });

    it('taints with a denial that is only observed', async () => {
      const one = bearing(chain({ runtime: { scope: [] } }));
      const { tainted } = await outcome(one, tainting({ mode: 'observe' }));
      assert.deepEqual(tainted, [['acme', 'prod', 'bot-1']]);
    });

    it('taints nobody where nobody acts', async () => {
      const { decision, tainted } = await outcome(request({ path: '/healthz' }), tainting());
      assert.deepEqual([decision.verdict, tainted], ['allow', []]);
    });

    for (const mode of ['enforce', 'observe'] as const) {
      it(`denies in mode ${mode} when it can not taint`, async () => {
        const error = new Error('full');
        const taint = () => Promise.reject(error);
        const one = mode === 'enforce' ? chain() : chain({ runtime: { scope: [] } });
        const { decision, errors } = await outcome(bearing(one), { ...tainting({ mode }), taint });
        assert.deepEqual(
          [decision.verdict, decision.reason, decision.observed],
          ['deny', 'audit_unavailable', false],
        );
        assert.deepEqual(errors, [[error, decision.decision_id]]);
      });
    }

    it('does none of that on another', async () => {
      const { decision, tainted } = await outcome(bearing(chain()));
      assert.deepEqual([decision.taintOnResponse, tainted], [false, []]);
    });
  });

  describe('says what came over a request that outlives its answer', () => {
    const through = (links: readonly Lemma[]) => ({ ...asked(bearing(links)), border: 'firewall' }) as const;

    it('where it went through the firewall: null, then the kill', async () => {
      const { decision } = await outcome(through(runtimeNamed('outlives')));
      assert.equal(decision.stopped?.(), null);
      await parts.stops.kill('outlives');
      assert.equal(decision.stopped?.(), 'runtime_killed');
    });

    it('where a denial was only observed', async () => {
      const links = runtimeNamed('outlives-observed');
      const { decision } = await outcome(through(links), routes({ mode: 'observe', risk: 'critical' }));
      assert.deepEqual([decision.observed, decision.stopped?.()], [true, null]);
    });

    it('not at another border, where it is denied, or where nobody in particular asks', async () => {
      const links = runtimeNamed('outlives-not');
      const ones = [
        await outcome({ ...through(links), border: 'grpc' }),
        await outcome(through(links), routes({ risk: 'critical' })),
        await outcome({ ...asked(request()), border: 'firewall' }, routes({ public: true })),
      ];
      assert.deepEqual(
        ones.map(({ decision }) => [decision.verdict, decision.stopped]),
        [
          ['allow', undefined],
          ['deny', undefined],
          ['allow', undefined],
        ],
      );
    });
  });

  it('takes the stricter profile of the route, the registration and the proof', async () => {
    const low = { risk: 'low' } as const;
    const profileOf = async (registered: 'low' | 'high', proven: string, risk: Route['risk']) => {
      const runtime_id = `of-${registered}-${proven}-${risk}`;
      const home = { org: 'acme', env: 'prod', status: 'active', registered_at: 0, taint_epoch: 0 } as const;
      parts.pdp.gate.putRuntime({ ...registration(runtime_id), ...home, keys: null, profile: registered });
      const links = chain({ runtime: { claims: { runtime_id, profile: proven } } });
      const { record } = await outcome(bearing(links), routes({ ...low, risk }));
      return [record.profile, record.bundle?.name, record.input?.runtime?.profile];
    };
    assert.deepEqual(await profileOf('low', 'low', 'low'), ['low', 'low', 'low']);
    assert.deepEqual(await profileOf('high', 'low', 'low'), ['high', 'high', 'high']);
    assert.deepEqual(await profileOf('low', 'high', 'low'), ['high', 'high', 'high']);
    assert.deepEqual(await profileOf('low', 'low', 'critical'), ['critical', 'critical', 'low']);
  });
});
