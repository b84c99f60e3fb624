import assert from 'node:assert/strict';
import { toBase64url } from '../../src/crypto/base64url.ts';
import { createGate } from '../../src/gate/gate.ts';
import { decide, type Pdp } from '../../src/pdp/decide.ts';
import { createReplays } from '../../src/pdp/replays.ts';
import type { PolicyRegistry } from '../../src/policy/registry.ts';
import { createTrust } from '../../src/proof/trust.ts';
import { buildRouteMap } from '../../src/request/route-map.ts';
import type { DecisionRecord } from '../../src/schema/decision.ts';
import type { Lemma } from '../../src/schema/lemma.ts';
import type { AuthzRequest, Route } from '../../src/schema/request.ts';
import type { Runtime } from '../../src/store/model.ts';
import { loaded } from '../gate/support.ts';
import { bearing, chain, keyNamed, keys, NOW, request, SUBJECT, type WireRequest } from '../support/kit.ts';
import {
  asked,
  type Composed,
  composed,
  folders,
  registration,
  tokened,
  tokenFor,
  withRun,
  writing,
} from './support.ts';

const HOME = { org: 'acme', env: 'prod' };
const ALLOWED = { verdict: 'allow', reason: 'allowed' };

describe('a decision, made again in process', () => {
  const temporary = folders();
  let parts: Composed;
  /** With a state of its own for each test. */
  let pdp: Pdp;
  let appended: number;

  before(async () => {
    parts = await composed(temporary.make());
  });
  beforeEach(() => {
    appended = 0;
    const gate = loaded();
    const append: Pdp['log']['append'] = (...of) => {
      appended += 1;
      return parts.log.append(...of);
    };
    pdp = { ...parts.pdp, gate, log: { ...parts.log, append } };
  });
  after(async () => {
    await parts.close();
    temporary.remove();
  });

  async function recordOf(one: WireRequest | AuthzRequest, more: Partial<Pdp> = {}): Promise<DecisionRecord> {
    await decide('border' in one ? one : asked(one), { ...pdp, ...more });
    await parts.log.settled();
    const { lines } = await parts.store.queryRecords({ ...HOME, order: 'desc', limit: 1 });
    return JSON.parse(lines[0] ?? '');
  }
  const again = (record: DecisionRecord, more: Partial<Pdp> = {}) =>
    createReplays({ ...pdp, ...more }).record(record, HOME);
  const reasonOf = async (record: DecisionRecord, more: Partial<Pdp> = {}) =>
    (await again(record, more)).now?.reason;

  const bare = () => pdp.settings().routes.routes;
  /** The same service with another route map. */
  function routed(routes: readonly Route[], named: readonly Route[] = []): Pick<Pdp, 'settings'> {
    const settings = pdp.settings();
    const map = buildRouteMap(routes, [], named);
    return { settings: () => ({ ...settings, routes: map }) };
  }
  const changed = (change: Partial<Route>) => routed(bare().map((route) => ({ ...route, ...change })));
  const runtime = (more: Partial<Runtime>) =>
    pdp.gate.putRuntime({
      ...{
        ...registration('bot-1'),
        ...HOME,
        keys: null,
        status: 'active',
        registered_at: 0,
        taint_epoch: 0,
      },
      ...more,
    });

  describe('of a record', () => {
    it('comes to the same, and says nothing of why', async () => {
      assert.deepEqual(await again(await recordOf(bearing(chain()))), { now: ALLOWED, why: null });
    });

    it('leaves no record, counts nothing and keeps what it was given', async () => {
      const record = await recordOf(writing(withRun(5), keys.run));
      const before = structuredClone(record);
      const nonces = pdp.gate.nonces;
      await again(record);
      assert.deepEqual([record, appended, pdp.gate.nonces], [before, 1, nonces]);
    });

    it('of another environment is not looked at', async () => {
      const record = await recordOf(bearing(chain()));
      const replays = createReplays(pdp);
      const elsewhere = { now: null, why: 'it is of another org or env' };
      assert.deepEqual(await replays.record(record, { org: 'acme', env: 'test' }), elsewhere);
      assert.deepEqual(await replays.record(record, { org: 'rival', env: 'prod' }), elsewhere);
    });

    it('without an input says which check decided', async () => {
      const { now, why } = await again(await recordOf(request()));
      assert.deepEqual([now, why?.split(':')[0]], [null, 'auth_required']);
    });

    it('tells in words why it is denied', async () => {
      const record = await recordOf(bearing(chain()));
      const { now, why } = await again(record, changed({ scope: ['other.read'] }));
      assert.deepEqual(
        [now, why],
        [{ verdict: 'deny', reason: 'scope_denied' }, 'other.read is not granted'],
      );
    });

    it('takes no fault for a denial', async () => {
      const record = await recordOf(bearing(chain()));
      await assert.rejects(again(record, { settings: () => throwing() }), RangeError);
    });

    for (const [what, change, reason] of [
      ['of another audience', { audience: 'https://b.example' }, 'audience_mismatch'],
      ['of another organisation', { org: 'rival' }, 'audience_mismatch'],
      ['of another environment', { env: 'test' }, 'audience_mismatch'],
      ['that wants more', { scope: ['documents.read', 'other.read'] }, 'scope_denied'],
      ['of critical risk', { risk: 'critical' }, 'pop_required'],
      ['that anybody may ask', { public: true }, 'allowed'],
    ] as const)
      it(`meets a route ${what}`, async () => {
        const record = await recordOf(bearing(chain()));
        runtime({});
        assert.equal(await reasonOf(record, changed(change)), reason);
      });

    it('asks for another protocol again where it did', async () => {
      const upgrading = changed({ upgrade: 'allow' });
      const asking = bearing(chain(), { headers: [['upgrade', 'websocket']] });
      const records = [await recordOf(asking, upgrading), await recordOf(bearing(chain()), upgrading)];
      assert.deepEqual(
        [
          records.map(({ reason, request: asked }) => [reason, asked?.upgrade]),
          await Promise.all(records.map((record) => reasonOf(record))),
          await Promise.all(records.map((record) => reasonOf(record, upgrading))),
        ],
        [
          [
            ['allowed', true],
            ['allowed', undefined],
          ],
          ['method_not_allowed', 'allowed'],
          ['allowed', 'allowed'],
        ],
      );
    });

    it('of a public route asks for no caller', async () => {
      const open = changed({ public: true });
      const record = await recordOf(request(), open);
      assert.deepEqual([record.actor, await reasonOf(record, open)], [null, 'allowed']);
    });

    it('of a public route that is none any more asks for one', async () => {
      const record = await recordOf(request(), changed({ public: true }));
      assert.equal(await reasonOf(record), 'auth_required');
    });

    it('is shown the route as it is now', async () => {
      const record = await recordOf(bearing(chain()));
      const seen = await inputOf(
        record,
        routed(
          bare().map((one) => ({
            ...one,
            action: 'documents.look',
            path: one.path.replace('{id}', '{other}'),
          })),
        ),
      );
      assert.deepEqual(
        [seen.route.action, seen.request.params, seen.route.revision === record.input?.route.revision],
        ['documents.look', { other: '42' }, false],
      );
    });

    it('is shown the runtime as it is now', async () => {
      const record = await recordOf(bearing(chain()));
      runtime({ registered_at: 7, profile: 'high' });
      const seen = await inputOf(record, {}, 'high');
      assert.deepEqual(
        [seen.runtime?.registered_at, seen.runtime?.profile, seen.profile],
        [7, 'high', 'high'],
      );
    });

    it('has the policy of the strictest of route, runtime and proof', async () => {
      const record = await recordOf(
        writing(chain({ runtime: { claims: { profile: 'high' } } }), keys.runtime, {
          method: 'GET',
          path: '/v1/documents/42',
        }),
      );
      assert.equal((await inputOf(record, {}, 'high')).profile, 'high');
    });

    it('needs its root trusted', async () => {
      const record = await recordOf(bearing(chain()));
      assert.equal(await reasonOf(record, trusting('operator')), 'root_untrusted');
    });

    it('by a token needs none: who vouches for it is in no record', async () => {
      const record = await withToken();
      assert.equal(record.input?.subject.via, 'token');
      assert.notEqual(await reasonOf(record, trusting('operator')), 'root_untrusted');
    });

    it('by a token falls with the token', async () => {
      const record = await withToken();
      pdp.gate.revoke({ ...HOME, kind: 'lemma', value: record.token?.id ?? '' });
      assert.equal(await reasonOf(record), 'revoked');
    });

    it('needs its runtime registered as it is bound', async () => {
      const record = await recordOf(bearing(chain()));
      runtime({ subject: `${SUBJECT.slice(0, -1)}0` });
      assert.equal(await reasonOf(record), 'runtime_unknown');
    });

    for (const kind of ['lemma', 'key', 'subject'] as const)
      it(`falls with a ${kind} that was taken back`, async () => {
        const links = chain();
        const record = await recordOf(bearing(links));
        const value = { lemma: links[2]?.id, key: links[1]?.issuer, subject: SUBJECT }[kind] ?? '';
        pdp.gate.revoke({ ...HOME, kind, value });
        assert.equal(await reasonOf(record), 'revoked');
      });

    it('falls with the key that signed its PoP', async () => {
      const record = await recordOf(writing(withRun(5), keys.run));
      pdp.gate.revoke({ ...HOME, kind: 'key', value: keys.run.id });
      assert.equal(await reasonOf(record), 'revoked');
    });

    it('of a chain that ends in the runtime takes the key of its PoP for the one that was bound', async () => {
      const record = await recordOf(writing(chain()));
      runtime({ keys: [keys.operator.id] });
      assert.equal(await reasonOf(record), 'runtime_unknown');
      runtime({ keys: [keys.operator.id, keys.runtime.id] });
      assert.equal(await reasonOf(record), 'allowed');
    });

    it("of a run takes a key of the registration for the one that was bound, not the run's", async () => {
      const record = await recordOf(writing(withRun(5), keys.run));
      runtime({ keys: [keys.runtime.id] });
      assert.equal(await reasonOf(record), 'allowed');
    });

    it('falls where its runtime is not known', async () => {
      const record = await recordOf(bearing(chain()));
      assert.equal(await reasonOf(record, { gate: loaded({ runtimes: [] }) }), 'runtime_unknown');
    });

    describe('whose bound key is not known', () => {
      let record: DecisionRecord;
      beforeEach(async () => {
        record = await recordOf(bearing(chain()));
      });

      it('passes where the registration takes a key that still counts', async () => {
        runtime({ keys: [keyNamed('lost').id, keyNamed('own').id] });
        pdp.gate.revoke({ ...HOME, kind: 'key', value: keyNamed('lost').id });
        assert.equal(await reasonOf(record), 'allowed');
      });

      it('falls where every key of the registration was taken back', async () => {
        runtime({ keys: [keyNamed('own').id] });
        pdp.gate.revoke({ ...HOME, kind: 'key', value: keyNamed('own').id });
        assert.equal(await reasonOf(record), 'revoked');
      });

      it('falls where the registration takes none', async () => {
        runtime({ keys: [] });
        assert.equal(await reasonOf(record), 'runtime_unknown');
      });
    });

    it('meets a kill, at the time that it is now', async () => {
      const record = await recordOf(bearing(chain()));
      runtime({ status: 'killed' });
      assert.equal(await reasonOf(record), 'runtime_killed');
    });

    it('meets a runtime that came back: its proof is of the life before', async () => {
      const record = await recordOf(bearing(chain()));
      runtime({ taint_epoch: 1, revived: { taint_epoch: 1, at: NOW * 1000 } });
      assert.equal(await reasonOf(record), 'runtime_killed');
    });

    it('meets a taint', async () => {
      const record = await recordOf(writing(chain()));
      runtime({ taint_epoch: 1 });
      assert.equal(await reasonOf(record), 'taint_stale');
    });

    it('of edited links says what it lacks', async () => {
      const { links, ...record } = await recordOf(bearing(chain()));
      const without = links?.filter(({ type }) => type !== 'runtime') ?? [];
      assert.equal(await reasonOf({ ...record, links: without }), 'chain_incomplete');
      assert.equal(await reasonOf({ ...record, links: [] }), 'root_untrusted');
      assert.equal(await reasonOf({ ...record, links: null }), 'auth_required');
      assert.equal(await reasonOf({ ...record, links, actor: null }), 'auth_required');
      assert.ok(record.input !== null && links !== undefined);
      const input = { ...record.input, proof: null };
      assert.equal(await reasonOf({ ...record, links, input }), 'auth_required');
    });

    it('of a subject that an AuthZEN client asserts asks for no proof', async () => {
      const record = await recordOf(bearing(chain()));
      const { input } = record;
      assert.ok(input !== null);
      const asserted = { ...input, subject: { ...input.subject, via: 'asserted' as const } };
      assert.notEqual(await reasonOf({ ...record, input: asserted, links: null }), 'auth_required');
    });

    describe('by which a gateway named the route', () => {
      const gateway = (more: Partial<Route> = {}): Route => {
        const [first] = bare();
        assert.ok(first !== undefined);
        const place = { id: 'gateway', host: 'api.example.com', path: '/**', methods: ['GET'] };
        return { ...first, ...place, scope: ['documents.read'], risk: 'low', ...more };
      };
      const withGateway = (more: Partial<Route> = {}) =>
        routed(
          bare().filter(({ path }) => path !== '/v1/documents/{id}'),
          [gateway(more)],
        );
      const named = (routeId: string, border: AuthzRequest['border']): AuthzRequest => ({
        ...asked(bearing(chain())),
        ...{ routeId, border },
      });

      for (const border of ['firewall', 'grpc'] as const)
        it(`asks that route again (${border})`, async () => {
          const record = await recordOf(named('gateway', border), withGateway());
          assert.deepEqual([record.border, record.route?.id], [border, 'gateway']);
          assert.equal(await reasonOf(record, withGateway()), 'allowed');
          assert.equal(await reasonOf(record, withGateway({ scope: ['other.read'] })), 'scope_denied');
        });

      it('asks no other route for it, where that is the firewall', async () => {
        const record = await recordOf(named('gateway', 'firewall'), withGateway());
        assert.equal(await reasonOf(record), 'route_unknown');
      });

      it('asks that route again while the routes are the same, whatever it would meet by itself', async () => {
        const read = bare().map((route) => ({ ...route, scope: ['other.read'] }));
        const over = routed(read, [gateway()]);
        const record = await recordOf(named('gateway', 'grpc'), over);
        assert.deepEqual([record.reason, await reasonOf(record, over)], ['allowed', 'allowed']);
      });

      it('asks the route that the request meets by itself once they are others', async () => {
        const record = await recordOf(named('gateway', 'grpc'), withGateway());
        const read = bare().map((route) => ({ ...route, scope: ['other.read'] }));
        assert.equal(await reasonOf(record, routed(read, [gateway()])), 'scope_denied');
      });

      it('asks no other where it meets one by itself whose methods are others', async () => {
        const record = await recordOf(named('gateway', 'grpc'), withGateway());
        const write = bare().filter(({ id }) => id === 'documents.write');
        assert.equal(await reasonOf(record, routed(write, [gateway()])), 'method_not_allowed');
      });

      it('asks the route that it meets by itself where the record names none', async () => {
        const record = await recordOf(bearing(chain()));
        assert.equal(await reasonOf({ ...record, route: null }), 'allowed');
      });

      it('is told by that route what its method is refused for', async () => {
        const record = await recordOf(bearing(chain()));
        const read = bare().filter(({ id }) => id === 'documents.read');
        const others = routed(read.map((one) => ({ ...one, methods: ['DELETE'] })));
        assert.equal(await reasonOf(record, others), 'method_not_allowed');
      });
    });
  });

  describe('of a request', () => {
    const replay = (one: WireRequest, at: number | null = null, more: Partial<Pdp> = {}, within = HOME) =>
      createReplays({ ...pdp, ...more }).request({ request: asked(one), at }, within);

    it('says what it would be told, and by which route', async () => {
      assert.deepEqual(await replay(bearing(chain())), { now: ALLOWED, why: null, route: 'documents.read' });
    });

    it('says why not, in words', async () => {
      const { now, why, route } = await replay(request());
      assert.deepEqual([now?.reason, route], ['auth_required', 'documents.read']);
      assert.match(why ?? '', /./);
    });

    it('that meets no route says so', async () => {
      const { now, route } = await replay(bearing(chain(), { path: '/elsewhere' }));
      assert.deepEqual([now?.reason, route], ['route_unknown', null]);
    });

    it('of another tenant is told nothing', async () => {
      const elsewhere = { now: null, why: 'it is of another org or env', route: null };
      assert.deepEqual(await replay(bearing(chain()), null, {}, { org: 'acme', env: 'test' }), elsewhere);
      assert.deepEqual(await replay(bearing(chain()), null, {}, { org: 'rival', env: 'prod' }), elsewhere);
    });

    it('leaves nothing behind: no record, nonce, budget or taint', async () => {
      const tainted: string[] = [];
      const more = {
        ...changed({ taint_on_response: true }),
        taint: async (_: unknown, id: string) => void tainted.push(id),
      };
      const links = withRun(1);
      const one = writing(links, keys.run);
      const twice = [
        (await replay(one, null, more)).now?.reason,
        (await replay(one, null, more)).now?.reason,
      ];
      const used = pdp.gate.budgetUsed('acme', 'prod', links.at(-1)?.id ?? '');
      assert.deepEqual(
        [twice, appended, pdp.gate.nonces, used, tainted],
        [['allowed', 'allowed'], 0, 0, 0, []],
      );
    });

    it('is the same request again: its nonce was spent by itself', async () => {
      const one = writing(chain());
      await decide(asked(one), pdp);
      assert.deepEqual((await replay(one)).now, ALLOWED);
    });

    it('sees the budget that is left, of each link', async () => {
      const links: Lemma[] = withRun(2);
      const reasons: (string | undefined)[] = [];
      for (let n = 0; n < 3; n += 1) {
        reasons.push((await replay(writing(links, keys.run))).now?.reason);
        await decide(asked(writing(links, keys.run)), pdp);
      }
      assert.deepEqual(reasons, ['allowed', 'allowed', 'budget_exhausted']);
    });

    it('asks nothing of what nodes share, nor of a collector of traces', async () => {
      const unused = () => {
        throw new RangeError('asked');
      };
      const more = { shared: { take: unused, count: unused, stats: unused, close: unused }, follow: unused };
      assert.deepEqual((await replay(writing(withRun(9), keys.run), null, more)).now, ALLOWED);
    });

    it('is judged at its own time, with the state of now', async () => {
      const one = writing(chain());
      const later = { clock: () => (NOW + 120) * 1000 };
      assert.deepEqual(
        [(await replay(one, null, later)).now?.reason, (await replay(one, NOW * 1000, later)).now?.reason],
        ['pop_stale', 'allowed'],
      );
    });

    it('does not make the clock seem to go back', async () => {
      await replay(bearing(chain()), (NOW + 3_000_000) * 1000);
      assert.equal((await decide(asked(bearing(chain())), pdp)).reason, 'allowed');
    });

    it('is told of a state that is not loaded', async () => {
      const { now } = await replay(bearing(chain()), null, { gate: createGate() });
      assert.equal(now?.reason, 'state_not_ready');
    });
  });

  function throwing(): never {
    throw new RangeError('a fault');
  }

  function trusting(who: 'operator'): Pick<Pdp, 'settings'> {
    const settings = pdp.settings();
    const trust = createTrust([{ ...HOME, keys: [{ x: toBase64url(keys[who].public) }] }]);
    return { settings: () => ({ ...settings, trust }) };
  }

  async function withToken(): Promise<DecisionRecord> {
    const links = chain();
    return recordOf(tokened(tokenFor(links)));
  }

  /** What a policy is shown of it now. */
  async function inputOf(record: DecisionRecord, more: Partial<Pdp>, profile = 'low') {
    const asked: NonNullable<DecisionRecord['input']>[] = [];
    const { policies } = pdp;
    const active: PolicyRegistry['active'] = (name) => {
      const policy = policies.active(name);
      assert.equal(name, profile);
      const { engine } = policy;
      return {
        ...policy,
        engine: {
          ...engine,
          decide(bytes) {
            asked.push(JSON.parse(Buffer.from(bytes).toString()));
            return engine.decide(bytes);
          },
        },
      };
    };
    await again(record, { ...more, policies: Object.assign(Object.create(policies), { active }) });
    const [input] = asked;
    assert.ok(input !== undefined);
    return input;
  }
});
