import type { Route } from './answers.ts';

/** Of those that a proof opens without a signature of each request; reading ones first. */
export function firstRoutes(routes: readonly Route[]): readonly Route[] {
  const open = routes.filter((route) => !route.public && route.risk === 'low' && route.scope.length > 0);
  const reads = (route: Route) => (route.methods.includes('GET') ? 0 : 1);
  return [...open].sort((a, b) => reads(a) - reads(b));
}

/** A request that the route matches. */
export function exampleOf({ methods, host, path, audience }: Route): { method: string; url: string } {
  const name = host === '*' ? new URL(audience).host : host.replace(/^\*/, 'www');
  return {
    method: methods.includes('GET') ? 'GET' : (methods[0] ?? 'GET'),
    url: `${new URL(audience).protocol}//${name}${path.replaceAll(/\{[^}]*\}/g, '1').replace(/\*\*$/, '')}`,
  };
}
