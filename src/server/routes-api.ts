import type { Authority } from '../authority/authority.ts';
import type { OperatorHandler } from './guard.ts';

/** What whoever connects a runtime has to know of the configuration. */
export function routeHandlers({
  routesOf,
}: Pick<Authority, 'routesOf'>): Record<'listRoutes', OperatorHandler> {
  return {
    listRoutes: (operator) => ({
      success: true,
      routes: routesOf(operator).map(
        ({ id, methods, host, path, scope, audience, risk, public: open, mode }) => ({
          ...{ id, methods, host, path, scope, audience, risk, public: open, mode },
        }),
      ),
    }),
  };
}
