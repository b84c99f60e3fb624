import assert from 'node:assert/strict';
import { createLocalGuard } from '../../src/client/local.ts';
import type { LocalOptions } from '../../src/client/options.ts';
import { InputError } from '../../src/reason.ts';
import { buildRouteMap } from '../../src/request/route-map.ts';
import type { AuthzRequest, Route } from '../../src/schema/request.ts';
import { chain, header, keys, NOW, ORIGIN, proving, request, type WireRequest } from '../support/kit.ts';
import { vectors } from '../support/running.ts';

const TRUST = vectors.trust as LocalOptions['trust'];
const local = (over: Partial<LocalOptions> = {}) =>
  createLocalGuard({ trust: TRUST, audience: ORIGIN, clock: () => NOW * 1000, first_start: true, ...over });

function asked({ method, scheme, host, path, headers, body }: WireRequest): AuthzRequest {
  const seen = body === undefined || body === null ? null : new Uint8Array(Buffer.from(body, 'base64url'));
  return {
    ...{ border: 'rest', method, scheme, host, target: path, protocol: 'HTTP/1.1', traceId: null },
    headers: headers.map(([name, value]) => [name.toLowerCase(), value]),
    body: { seen, partial: false, size: seen?.length ?? null },
    source: { address: '', principal: '' },
  };
}

async function verdict(guard: ReturnType<typeof local>, one: WireRequest, scope = ['documents.read']) {
  const outcome = await guard.ask(asked(one), scope);
  return outcome.allowed ? 'allow' : outcome.reason;
}

describe('what is decided without a PDP', () => {
  const routes = buildRouteMap(
    (vectors.routes as Route[]).map((route) => ({ ...route, org: 'acme', env: 'prod' })),
  );

  /** Null: a middleware has no route map, the framework has found the handler. */
  function routeOf(one: WireRequest): Route | null {
    try {
      return routes.find(asked(one)).route;
    } catch {
      return null;
    }
  }

  for (const { name, level, now, expect, request: one } of vectors.cases) {
    const route = level === 'proof' ? routeOf(one) : null;
    if (route === null || route.public) continue;
    it(`is what the vectors say: ${name}`, async () => {
      const guard = local({ audience: route.audience, clock: () => now * 1000 });
      assert.equal(await verdict(guard, one, [...route.scope]), expect);
    });
  }

  it('takes no PoP that may have been used before it started, until none can be left', async () => {
    let now = NOW;
    const guard = local({ first_start: false, clock: () => now * 1000 });
    const signed = () => proving(chain(), keys.runtime, { created: now });
    assert.equal(await verdict(guard, signed()), 'replay_check_unavailable');
    now += 30;
    assert.equal(await verdict(guard, signed()), 'replay_check_unavailable');
    now += 1;
    assert.equal(await verdict(guard, signed()), 'allow');
  });

  it('takes no budget of which it may not know what was used', async () => {
    const links = chain({ run: { issued_at: NOW - 60 } });
    const one = request({ headers: [['x-lemma-credential', header(links)]] });
    assert.equal(await verdict(local({ first_start: false }), one), 'budget_exhausted');
    assert.equal(await verdict(local(), one), 'allow');
  });

  it('asks of every runtime what the API says', async () => {
    const one = request({ method: 'PUT', headers: [['x-lemma-credential', header(chain())]] });
    assert.equal(await verdict(local({ risk: 'high' }), one), 'pop_required');
    assert.equal(await verdict(local({ risk: 'critical' }), one), 'freshness_stale');
  });

  const wrong: readonly (readonly [object, RegExp])[] = [
    [{ trust: [] }, /^trust: /],
    [{ trust: [{ org: 'a', env: 'b', keys: [{ x: 'AAAA' }] }] }, /^trust\[0\]\.keys\[0\]\.x: /],
    [{ audience: 'api.example.com' }, /^audience: /],
    [{ risk: 'lower' }, /^risk: /],
    [{ trust: [...TRUST, { org: 'b', env: 'c', keys: [] }] }, /^org: say org and env/],
  ];
  for (const [options, problem] of wrong) {
    it(`names what is wrong: ${JSON.stringify(options).slice(0, 60)}`, () => {
      assert.throws(
        () => local(options),
        (error: unknown) => {
          assert.ok(error instanceof InputError, String(error));
          assert.match(error.message, problem);
          return true;
        },
      );
    });
  }
});
