import assert from 'node:assert/strict';
import { Denial } from '../../src/reason.ts';
import { buildRouteMap } from '../../src/request/route-map.ts';
import type { AuthzRequest, Route } from '../../src/schema/request.ts';
import { route as routeOf } from '../support/route.ts';

const route = (id: string, path: string, more: Partial<Route> = {}) => routeOf({ id, path, ...more });

const request = (target: string, more: Partial<AuthzRequest> = {}): AuthzRequest => ({
  border: 'grpc',
  method: 'GET',
  scheme: 'https',
  host: 'api.example.com',
  target,
  headers: [],
  body: { seen: null, partial: false, size: null },
  protocol: 'HTTP/1.1',
  source: { address: '', principal: '' },
  traceId: null,
  ...more,
});

const map = buildRouteMap([
  route('exact', '/v1/a/b'),
  route('named', '/v1/a/{id}'),
  route('named.put', '/v1/a/{id}', { methods: ['PUT'] }),
  route('rest', '/v1/**'),
  route('slash', '/files/{name}', { encoded_slash: 'allow' }),
  route('socket', '/socket', { upgrade: 'allow' }),
  route('wild', '/v1/a/b', { host: '*.example.com' }),
  route('deeper', '/v1/a/b', { host: '*.eu.example.com' }),
  route('any', '/v1/a/b', { host: '*' }),
]);

function outcome(target: string, more: Partial<AuthzRequest> = {}): string {
  try {
    return map.find(request(target, more)).route.id;
  } catch (error) {
    if (error instanceof Denial) return error.code;
    throw error;
  }
}

describe('the route map', () => {
  const rows: [target: string, more: Partial<AuthzRequest>, outcome: string][] = [
    ['/v1/a/b', {}, 'exact'],
    ['/v1/a/b?x=1', {}, 'exact'],
    ['/v1/a/c', {}, 'named'],
    ['/v1/a/c', { method: 'PUT' }, 'named.put'],
    ['/v1/a/b', { method: 'PUT' }, 'method_not_allowed'],
    ['/v1/a/', {}, 'rest'],
    ['/v1', {}, 'rest'],
    ['/v1/', {}, 'rest'],
    ['/v1/a/b/c/d', {}, 'rest'],
    ['/v2', {}, 'route_unknown'],
    ['/V1/a/b', {}, 'route_unknown'],
    ['/v1/a/b', { host: 'API.example.com:8443' }, 'exact'],
    ['/v1/a/b', { host: 'x.example.com' }, 'wild'],
    ['/v1/a/b', { host: 'x.y.example.com' }, 'wild'],
    ['/v1/a/b', { host: 'x.eu.example.com' }, 'deeper'],
    ['/v1/a/b', { host: 'example.com' }, 'any'],
    ['/v1/a/b', { host: 'notexample.com' }, 'any'],
    ['/files/a%2fb', {}, 'slash'],
    ['/files/a%2f..%2fb', {}, 'path_ambiguous'],
    ['/files/a%2f%2fb', {}, 'path_ambiguous'],
    ['/v1/a/x%2fb', {}, 'path_ambiguous'],
    ['/nowhere/x%2fb', {}, 'path_ambiguous'],
    ['/v1/a/b', { routeId: 'rest' }, 'rest'],
    ['/v1/a/b', { routeId: 'slash' }, 'route_unknown'],
    ['/v1/a/b', { routeId: 'no.such' }, 'route_unknown'],
    ['/v1/a/b', { routeId: 'named.put' }, 'method_not_allowed'],
    ['/socket', { headers: [['upgrade', 'websocket']] }, 'socket'],
    ['/v1/a/b', { headers: [['upgrade', 'websocket']] }, 'method_not_allowed'],
    ['/v1/a/b', { headers: [[':protocol', 'websocket']] }, 'method_not_allowed'],
  ];
  for (const [target, more, expected] of rows) {
    it(`${target} ${JSON.stringify(more)} is ${expected}`, () =>
      assert.equal(outcome(target, more), expected));
  }

  it('gives the parameters as received', () => {
    assert.deepEqual({ ...map.find(request('/v1/a/x%40y')).params }, { id: 'x%40y' });
  });

  it('has one revision for one content', () => {
    const again = buildRouteMap([...map.routes]);
    assert.equal(again.revision, map.revision);
    assert.notEqual(buildRouteMap([route('exact', '/v1/a/b')]).revision, map.revision);
  });

  it('refuses two routes that tie, whatever their parameters are called', () => {
    assert.throws(
      () => buildRouteMap([route('one', '/v1/{a}'), route('two', '/v1/{b}', { methods: ['PUT', 'GET'] })]),
      /routes\[1\]\.path: ties with route "one" for GET/,
    );
  });
});
