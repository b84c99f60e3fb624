import type { Route } from '../../src/schema/request.ts';

/** A route; what a test does not say does not matter to it. */
export function route(over: Partial<Route> = {}): Route {
  return {
    id: 'documents.read',
    org: 'acme',
    env: 'prod',
    host: 'api.example.com',
    path: '/v1/documents/{id}',
    methods: ['GET'],
    api: 'documents',
    action: 'documents.read',
    scope: ['documents.read'],
    audience: 'https://api.example.com',
    risk: 'low',
    body: 'none',
    taint_on_response: false,
    forward_credential: false,
    mode: 'enforce',
    public: false,
    encoded_slash: 'deny',
    upgrade: 'deny',
    ...over,
  };
}
