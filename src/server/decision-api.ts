import type { FastifyInstance } from 'fastify';
import type { Logger } from 'pino';
import { type Authzen, addAuthzen } from './authzen-api.ts';
import { authorizeHandler, checkHandler, DECIDE_BODY_LIMIT, type Decide } from './decide-routes.ts';
import { addForwardAuth, routedAs } from './forward-auth.ts';
import { addHealth } from './health.ts';
import { createHttp, type HttpServer, type ListenOptions, listen } from './http.ts';
import { addMetrics, type Metrics } from './metrics.ts';
import { OPERATIONS, routePath } from './operations.ts';
import type { Tls } from './tls.ts';
import { addExchange, type Exchange } from './tokens-api.ts';

export interface DecisionApi {
  readonly decide: Decide;
  /** Absent where no key signs tokens: a node that only decides. */
  readonly exchange?: Exchange;
  readonly authzen?: Authzen;
  /** Of a node, which has no control listener to serve them on. */
  readonly metrics?: Metrics;
  readonly ready: () => boolean;
  readonly log: Logger;
  readonly tls?: Tls | null;
}

/** What enforcement points call: the mirror of Envoy's Check, authorize, forward-auth, health. */
export function decisionApp({
  decide,
  exchange,
  authzen,
  metrics,
  ready,
  log,
  tls = null,
}: DecisionApi): FastifyInstance {
  const app = createHttp({ log, bodyLimit: DECIDE_BODY_LIMIT, routedAs, proxied: true, tls });
  app.post(routePath(OPERATIONS.check), checkHandler(decide));
  app.post(routePath(OPERATIONS.authorize), authorizeHandler(decide));
  if (exchange !== undefined) addExchange(app, exchange);
  if (authzen !== undefined) addAuthzen(app, decide, authzen);
  addForwardAuth(app, decide);
  addHealth(app, ready);
  if (metrics !== undefined) addMetrics(app, metrics);
  return app;
}

/** @throws InputError (`listen.decision`) when the address cannot be used. */
export function startDecisionServer(
  options: DecisionApi & ListenOptions & { readonly address: string },
): Promise<HttpServer> {
  return listen(decisionApp(options), options.address, 'listen.decision', options);
}
