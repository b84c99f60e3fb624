import assert from 'node:assert/strict';
import { type Exchanged, exchange, type TokenWish } from '../../src/pdp/exchange.ts';
import { loadEmbedded } from '../../src/policy/embedded.ts';
import { memoryArchive, PolicyRegistry } from '../../src/policy/registry.ts';
import type { Lemma } from '../../src/schema/lemma.ts';
import { bytes, withFile } from '../policy/support.ts';
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
    policies = await openTo(['documents.read']);
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

  it('names what was wished beyond the proof', async () => {
    await bear(chain(), { scope: ['site.read'] });
    assert.deepEqual((await records())[0].failed.facts.wanted, ['site.read']);
  });

  it('names the tenant that its key is no good for', async () => {
    await send(bearing(chain()), {}, 'another');
    assert.deepEqual((await records())[0].failed?.facts, { org: 'acme', env: 'prod' });
  });

  it('denies where the data open no route', async () => {
    const closed = await openTo([]);
    assert.equal(await reasonOf(send(bearing(chain()), {}, 'own', closed)), 'legacy_disabled');
  });

  it('denies who shows no proof', async () => {
    assert.equal(await reasonOf(send({ ...bearing(chain()), headers: [] })), 'auth_required');
  });

  it('takes no token for a token', async () => {
    assert.equal(await reasonOf(send(tokened(tokenFor(chain())))), 'auth_required');
  });

  it('denies a proof that is over', async () => {
    const over = chain({ runtime: { issued_at: NOW - 900, expires_at: NOW - 600 } });
    assert.notEqual(await reasonOf(bear(over)), 'allowed');
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

  it('asks the policy about the route, as a reader', async () => {
    await bear(chain());
    const { method, path, scheme, body } = (await records())[0].input.request;
    assert.deepEqual(
      [method, scheme, path.startsWith('/v1/documents'), body.state],
      ['GET', 'https', true, 'none'],
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
});
