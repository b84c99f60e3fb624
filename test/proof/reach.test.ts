import assert from 'node:assert/strict';
import { toBase64url } from '../../src/crypto/base64url.ts';
import { verifyChain } from '../../src/proof/chain.ts';
import { checkReach } from '../../src/proof/reach.ts';
import { createTrust } from '../../src/proof/trust.ts';
import type { Route } from '../../src/schema/request.ts';
import { chain, keys, ORIGIN } from '../support/kit.ts';

const trust = createTrust([{ org: 'acme', env: 'prod', keys: [{ x: toBase64url(keys.issuer.public) }] }]);
const verified = (parts: Parameters<typeof chain>[0] = {}) => verifyChain(chain(parts), trust);

const route = (more: Partial<Route> = {}) =>
  ({ org: 'acme', env: 'prod', audience: ORIGIN, scope: ['documents.read'], ...more }) as Route;

const bounded = (bounds: object) => ({ claims: { bounds } });

function reach(
  parts: Parameters<typeof chain>[0],
  asked: Partial<Route> = {},
  method = 'GET',
  path = '/v1/a',
) {
  checkReach(verified(parts), route(asked), method, path);
}

describe('a chain reaches a route', () => {
  it('that it is for', () => reach({}));

  for (const [name, asked] of [
    ['audience', { audience: 'https://other.example' }],
    ['org', { org: 'rival' }],
    ['env', { env: 'dev' }],
  ] as const) {
    it(`not of another ${name}: audience_mismatch, with both`, () => {
      const facts = { wanted: route(asked).audience, audience: [ORIGIN], realm: 'acme/prod' };
      assert.throws(() => reach({}, asked), { code: 'audience_mismatch', facts });
    });
  }

  it('of one audience among several', () => {
    const audience = [ORIGIN, 'https://other.example'];
    const link = { audience };
    reach({ root: link, delegation: link, runtime: link }, { audience: 'https://other.example' });
  });

  it('with every scope that it asks for', () => reach({}, { scope: ['documents.read', 'documents.write'] }));
  it('without a scope where it asks for none', () => reach({ runtime: { scope: [] } }, { scope: [] }));
  it('not with some of the scopes: scope_denied, with both', () => {
    const facts = { wanted: ['documents.read', 'pay.send'], scope: ['documents.read'] };
    const asked = { scope: ['documents.read', 'pay.send'] };
    assert.throws(() => reach({ runtime: { scope: ['documents.read'] } }, asked), {
      code: 'scope_denied',
      facts,
    });
  });

  for (const [link, type] of [
    [1, 'delegation'],
    [2, 'runtime'],
    [3, 'run'],
  ] as const) {
    const within = (bounds: object) => ({ run: {}, [type]: bounded(bounds) });

    it(`not with a method beyond the bounds of its ${type}, which is named`, () => {
      const methods = ['HEAD', 'PUT'];
      const facts = { link, methods };
      assert.throws(() => reach(within({ methods })), { code: 'bounds_exceeded', facts });
    });

    it(`not with a path beyond the bounds of its ${type}, which is named`, () => {
      const path_prefixes = ['/v2', '/v1/b'];
      const facts = { link, path_prefixes };
      assert.throws(() => reach(within({ path_prefixes })), { code: 'bounds_exceeded', facts });
    });
  }

  it('with a method and under a path that are among several', () => {
    reach({ runtime: bounded({ methods: ['PUT', 'GET'], path_prefixes: ['/v2', '/v1'] }) });
  });

  it('not when the bounds of one link of two hold', () => {
    const parts = { delegation: bounded({ methods: ['GET'] }), runtime: bounded({ methods: ['PUT'] }) };
    assert.throws(() => reach(parts), { code: 'bounds_exceeded', facts: { link: 2, methods: ['PUT'] } });
  });

  it('within its scope before its bounds are looked at, and its audience before both', () => {
    const parts = { runtime: { scope: [], ...bounded({ methods: ['PUT'] }) } };
    assert.throws(() => reach(parts), { code: 'scope_denied' });
    assert.throws(() => reach(parts, { org: 'rival' }), { code: 'audience_mismatch' });
  });
});
