import type { FastifyInstance } from 'fastify';
import type { Logger } from 'pino';
import type { Access } from '../authority/access.ts';
import type { Authority } from '../authority/authority.ts';
import type { BackupStream } from '../authority/backup.ts';
import type { KeyRing } from '../authority/key-ring.ts';
import type { Operators } from '../authority/operators.ts';
import { notFound } from '../authority/refusal.ts';
import type { Tenant } from '../store/model.ts';
import { apiKeyHandlers } from './api-keys-api.ts';
import { auditHandlers } from './audit-api.ts';
import { createAuthenticate } from './authenticate.ts';
import { backupHandlers } from './backup-api.ts';
import { authorizeHandler, CONTROL_BODY_LIMIT, type Decide } from './decide-routes.ts';
import { type DecisionLogReader, decisionHandlers } from './decisions-api.ts';
import { addDeviceFlow, deviceHandlers } from './device-api.ts';
import { createFlood } from './flood.ts';
import { addGuarded, type OperatorHandler, REFUSALS } from './guard.ts';
import { addHealth } from './health.ts';
import { createHttp, type HttpServer, type ListenOptions, listen } from './http.ts';
import { keyHandlers } from './keys-api.ts';
import type { Metrics } from './metrics.ts';
import { openApi } from './openapi.ts';
import { OPERATIONS, type OperationId } from './operations.ts';
import { operatorHandlers } from './operators-api.ts';
import { runtimeHandlers } from './runtimes-api.ts';
import { addSignIn, sessionHandlers } from './session-api.ts';
import { createSite } from './site.ts';
import type { Tls } from './tls.ts';

export interface ControlApi extends DecisionLogReader {
  readonly authority: Authority;
  readonly keys: Pick<KeyRing, 'list' | 'rotate' | 'retire'>;
  readonly backup: () => Promise<BackupStream>;
  /** Knows the owner by his key. */
  readonly operators: Operators;
  readonly access: Access;
  /** The deployment's own org and env. */
  readonly home: Tenant;
  /** Origin that people reach it by; null: localhost. */
  readonly publicUrl: string | null;
  readonly decide: Decide;
  readonly ready: () => boolean;
  readonly metrics: Metrics;
  readonly log: Logger;
  /** The package's, for `/openapi.json`. */
  readonly version: string;
  readonly tls?: Tls | null;
}

type Guarded = {
  [Id in OperationId]: (typeof OPERATIONS)[Id] extends { needs: null } ? never : Id;
}[OperationId];

/** The control plane: verbs and the decision log for operators; health, metrics and the API's description open. */
export function controlApp(api: ControlApi): FastifyInstance {
  const { log, operators, ready, metrics, tls = null } = api;
  const app = createHttp({ log, bodyLimit: CONTROL_BODY_LIMIT, tls });
  app.addHook('onResponse', async (request, reply) => {
    const { method, routeOptions } = request;
    const ms = Math.round(reply.elapsedTime);
    request.log.info({ method, route: routeOptions.url ?? null, status: reply.statusCode, ms }, 'answered');
  });
  const { access, home } = api;
  const site = createSite(api.publicUrl, tls !== null);
  const guard = {
    authenticate: createAuthenticate(operators, access, site),
    audit: access.audit,
    refusals: createFlood(REFUSALS),
  };
  for (const [id, handler] of Object.entries<OperatorHandler>(guardedHandlers(api))) {
    addGuarded(app, guard, id as Guarded, OPERATIONS[id as Guarded], handler);
  }
  addSignIn(app, { access, site, home });
  addDeviceFlow(app, access, site);
  addHealth(app, ready);
  app.get(OPERATIONS.metrics.path, async (_request, reply) => {
    const { contentType, text } = await metrics.expose();
    return reply.type(contentType).send(text);
  });
  const description = openApi(api.version);
  app.get(OPERATIONS.openapi.path, async () => description);
  return app;
}

/** @throws InputError (`listen.control`) when the address cannot be used. */
export function startControlServer(
  options: ControlApi & ListenOptions & { readonly address: string },
): Promise<HttpServer> {
  return listen(controlApp(options), options.address, 'listen.control', options);
}

function guardedHandlers(api: ControlApi): Record<Guarded, OperatorHandler> {
  const { authority, decide } = api;
  const authorize = authorizeHandler(decide);
  return {
    ...runtimeHandlers(authority),
    ...keyHandlers(api.keys),
    ...backupHandlers(api.backup),
    ...decisionHandlers(api),
    ...operatorHandlers(api.access),
    ...apiKeyHandlers(api.access),
    ...sessionHandlers(api.access),
    ...deviceHandlers(api.access),
    ...auditHandlers(api.access),
    authorize(operator, request, reply) {
      const { id } = request.params as { readonly id: string };
      if (authority.find(operator, id) === null) throw notFound('runtime');
      return authorize(request, reply);
    },
  };
}
