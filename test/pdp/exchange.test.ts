import assert from 'node:assert/strict';
import { type Exchanged, exchange, type TokenWish } from '../../src/pdp/exchange.ts';
import { loadEmbedded } from '../../src/policy/embedded.ts';
import { PolicyRegistry } from '../../src/policy/registry.ts';
import type { Lemma } from '../../src/schema/lemma.ts';
import type { Route } from '../../src/schema/request.ts';
import { bytes, memoryArchive, withFile } from '../policy/support.ts';
import { bearing, chain, keyNamed, keys, NOW, ORIGIN, proving, type WireRequest } from '../support/kit.ts';
import { asked, type Composed, composed, folders, tokened, tokenFor } from './support.ts';

const SETTINGS = { reading_methods: ['GET', 'HEAD', 'OPTIONS'], freshness_max_ms: 30_000 };

/** Policies whose data open these routes to tokens. */
async function openTo(routes: readonly string[]): Promise<PolicyRegistry> {
  const data = bytes({ lemma: { low: { settings: { ...SETTINGS, legacy_routes: routes } } } });
  const embedded = await loadEmbedded();
  const bundles = embedded.map((one) => (one.name === 'low' ? withFile(one, 'data.json', data) : one));
  const policies = new PolicyRegistry(memoryArchive());
  await policies.activate(bundles, { kind: 'pinned', digests: new Set(bundles.map(({ sha256 }) => sha256)) });
  return policies;
}

describe('an exchange of a proof for a token', () => {
  const temporary = folders();
  let policies: PolicyRegistry;
  let world: Composed;

  before(async () => {
    policies = await openTo(['documents.read', 'writing', 'last']);
  });
  beforeEach(async () => {
    world = await composed(temporary.make());
    sunset = null;
  });
  afterEach(async () => {
    await world.close();
    temporary.remove();
  });

  let sunset: number | null;
  const ends = async () => sunset;
  const send = (request: WireRequest, wish: TokenWish = {}, signer = 'own', over = policies) =>
    exchange(asked(request), wish, { ...world.pdp, policies: over }, keyNamed(signer).seed, ends);
  const bear = (links: readonly Lemma[], wish?: TokenWish) => send(bearing(links), wish);
  const reasonOf = async (exchanged: Promise<Exchanged>) => (await exchanged).decision.reason;
  const records = async () => {
    await world.log.settled();
    const { lines } = await world.store.queryRecords({ org: 'acme', env: 'prod', order: 'desc', limit: 10 });
    return lines.map((line) => JSON.parse(line));
  };

  it('gives a token', async () => {
    assert.match((await bear(chain())).token?.text ?? '', /^lm_at_/);
  });

  it('holds all of the proof unless less is wished', async () => {
    const links = chain();
    const { token } = await bear(links);
    const leaf = links.at(-1);
    assert.deepEqual(
      [token?.scope, token?.audience, token?.runtime_id],
      [leaf?.scope, leaf?.audience, 'bot-1'],
    );
  });

  it('holds no more than is wished', async () => {
    const { token } = await bear(chain(), { scope: ['documents.read'], audience: [ORIGIN] });
    assert.deepEqual([token?.scope, token?.audience], [['documents.read'], [ORIGIN]]);
  });

  it('lasts as long as is wished', async () => {
    const { token } = await bear(chain(), { ttl_s: 60 });
    assert.deepEqual([token?.facts.issued_at, token?.facts.expires_at], [NOW, NOW + 60]);
  });

  it('never outlives its proof', async () => {
    const { token } = await bear(chain({ runtime: { expires_at: NOW + 20 } }));
    assert.equal(token?.facts.expires_at, NOW + 20);
  });

  it('outlives no sunset of legacy tokens', async () => {
    sunset = (NOW + 20) * 1000;
    assert.equal((await bear(chain())).token?.facts.expires_at, NOW + 20);
  });

  it('gives none from the sunset on, and the record says why', async () => {
    sunset = NOW * 1000;
    const { decision, token } = await bear(chain());
    assert.deepEqual([token, decision.reason], [null, 'legacy_disabled']);
    const [record] = await records();
    assert.match(record.failed.message, /legacy_sunset/);
    // A token's times are whole seconds: none that ends as it begins.
    sunset += 999;
    assert.equal(await reasonOf(bear(chain())), 'legacy_disabled');
  });

  it('gives none where it is denied', async () => {
    assert.equal((await bear(chain(), { scope: ['site.read'] })).token, null);
  });

  for (const [name, wish, code] of [
    ['more scope', { scope: ['site.read'] }, 'scope_denied'],
    ['another audience', { audience: ['https://other.example.com'] }, 'audience_mismatch'],
    ['scope of no route that takes tokens', { scope: ['documents.write'] }, 'legacy_disabled'],
    ['an audience of no route', { audience: [] }, 'legacy_disabled'],
  ] as const) {
    it(`denies ${name}: ${code}`, async () => {
      assert.equal(await reasonOf(bear(chain(), wish)), code);
    });
  }

  it('names the audience that the proof has', async () => {
    await bear(chain(), { audience: ['https://other.example.com'] });
    assert.deepEqual((await records())[0].failed.facts, { audience: [ORIGIN] });
  });

  it('names what was wished beyond the proof', async () => {
    await bear(chain(), { scope: ['site.read'] });
    assert.deepEqual((await records())[0].failed.facts.wanted, ['site.read']);
  });

  it('names the tenant that its key is no good for', async () => {
    const { decision } = await send(bearing(chain()), {}, 'another');
    assert.equal(decision.reason, 'legacy_disabled');
    assert.deepEqual((await records())[0].failed?.facts, { org: 'acme', env: 'prod' });
  });

  it('denies where the data open no route, and gives no token', async () => {
    const closed = await openTo([]);
    const { decision, token } = await send(bearing(chain()), {}, 'own', closed);
    assert.deepEqual([decision.reason, token], ['legacy_disabled', null]);
  });

  it('denies who shows no proof', async () => {
    assert.equal(await reasonOf(send({ ...bearing(chain()), headers: [] })), 'auth_required');
    assert.equal((await records())[0].stage, 'proof');
  });

  it('denies a credential that is too large to look at', async () => {
    const headers = [['x-lemma-credential', 'A'.repeat(22_000)]] as const;
    assert.equal(await reasonOf(send({ ...bearing(chain()), headers })), 'payload_too_large');
  });

  it('takes no token for a token', async () => {
    assert.equal(await reasonOf(send(tokened(tokenFor(chain())))), 'auth_required');
  });

  it('denies a proof that is over', async () => {
    const over = chain({ runtime: { issued_at: NOW - 900, not_before: NOW - 900, expires_at: NOW - 600 } });
    assert.equal(await reasonOf(bear(over)), 'proof_expired');
  });

  it('denies a proof that has not begun', async () => {
    const early = chain({ runtime: { not_before: NOW + 31 } });
    assert.equal(await reasonOf(bear(early)), 'proof_not_yet_valid');
  });

  it('denies a proof whose bounds ask for a PoP, and says which link', async () => {
    const links = chain({ runtime: { claims: { bounds: { pop: true } } } });
    await send(proving(links, keys.runtime));
    const { reason, failed } = (await records())[0];
    assert.deepEqual([reason, failed.facts.link], ['pop_required', 2]);
  });

  it('spends the nonce of a PoP', async () => {
    const once = proving(chain(), keys.runtime);
    await send(once);
    assert.equal(await reasonOf(send(once)), 'replay_detected');
  });

  it('denies a killed runtime', async () => {
    await world.stops.kill('bot-1', { reason: 'test' }, { org: 'acme', env: 'prod' });
    assert.equal(await reasonOf(bear(chain())), 'runtime_killed');
  });

  it('denies a runtime that nobody registered', async () => {
    const stranger = chain({ runtime: { claims: { runtime_id: 'bot-nobody' } } });
    assert.equal(await reasonOf(bear(stranger)), 'runtime_unknown');
    assert.equal((await records())[0].stage, 'gate');
  });

  it('asks the policy about the route, as a reader', async () => {
    await bear(chain());
    const { method, scheme, path, segments, query, body } = (await records())[0].input.request;
    assert.deepEqual(
      [method, scheme, path, segments, query, body],
      ['GET', 'https', '/v1/documents/{id}', ['v1', 'documents', '{id}'], {}, { state: 'none' }],
    );
  });

  it('tells the policy that a token asks', async () => {
    await bear(chain());
    assert.equal((await records())[0].input.subject.via, 'token');
  });

  it('leaves the token in the record', async () => {
    const { token } = await bear(chain());
    assert.equal((await records())[0].token.id, token?.facts.id);
  });

  it('makes its record durable before the token leaves', async () => {
    const durable: (boolean | undefined)[] = [];
    const append: Composed['log']['append'] = (record, options) => {
      durable.push(options.durable);
      return world.log.append(record, options);
    };
    const pdp = { ...world.pdp, policies, log: { ...world.log, append } };
    await exchange(asked(bearing(chain())), {}, pdp, keyNamed('own').seed, ends);
    assert.deepEqual(durable, [true]);
  });

  describe('and the routes that the token would reach', () => {
    /** Asks where these are the routes, each one like `documents.read` but for what it says. */
    const among = (routes: readonly Partial<Route>[]) => {
      const settings = world.pdp.settings();
      const [like] = settings.routes.routes;
      assert.ok(like);
      const all = { ...settings.routes, routes: routes.map((over) => ({ ...like, ...over })) };
      const pdp = { ...world.pdp, policies, settings: () => ({ ...settings, routes: all }) };
      return reasonOf(exchange(asked(bearing(chain())), {}, pdp, keyNamed('own').seed, ends));
    };
    const routeAsked = async () => (await records())[0].route.id;

    it('asks about one after another until one takes it', async () => {
      assert.equal(await among([{ id: 'a' }, { id: 'documents.read' }, { id: 'b' }]), 'allowed');
      assert.equal(await routeAsked(), 'documents.read');
    });

    it('says why one that takes tokens does not take this one', async () => {
      world.pdp.gate.putRuntime({
        ...(world.pdp.gate.runtime('acme', 'prod', 'bot-1') ?? assert.fail()),
        taint_epoch: 1,
      });
      const reason = await among([{ id: 'a' }, { id: 'writing', methods: ['PUT'] }, { id: 'b' }]);
      assert.deepEqual([reason, await routeAsked()], ['taint_stale', 'writing']);
    });

    it('says it of the first of them', async () => {
      world.pdp.gate.putRuntime({
        ...(world.pdp.gate.runtime('acme', 'prod', 'bot-1') ?? assert.fail()),
        taint_epoch: 1,
      });
      const methods = ['PUT'] as const;
      await among([
        { id: 'writing', methods },
        { id: 'last', methods },
      ]);
      assert.equal(await routeAsked(), 'writing');
    });

    for (const [name, over] of [
      ['of another org', { org: 'rival' }],
      ['of another env', { env: 'dev' }],
      ['of another audience', { audience: 'https://other.example.com' }],
      ['of more scope', { scope: ['documents.read', 'site.read'] }],
      ['open to all', { public: true }],
    ] as const) {
      it(`asks about none ${name}`, async () => {
        assert.equal(await among([over]), 'legacy_disabled');
        const { input, failed } = (await records())[0];
        assert.deepEqual([input, failed.facts.scope], [null, chain()[2]?.scope]);
      });
    }

    it('asks about 256 of them at most', async () => {
      const closed = Array.from({ length: 256 }, (_, i) => ({ id: `closed-${i}` }));
      assert.equal(await among([...closed, { id: 'last' }]), 'legacy_disabled');
    });

    for (const [methods, method] of [
      [['PUT', 'GET'], 'GET'],
      [['PUT', 'HEAD'], 'HEAD'],
      [['PUT', 'OPTIONS'], 'OPTIONS'],
      [['PUT', 'POST'], 'PUT'],
    ] as const) {
      it(`asks about ${methods.join(' and ')} by ${method}`, async () => {
        await among([{ methods }]);
        assert.equal((await records())[0].input.request.method, method);
      });
    }
  });
});
