import type { PassThrough } from 'node:stream';
import type { FastifyInstance } from 'fastify';
import type { Logger } from 'pino';
import type { Access } from '../authority/access.ts';
import type { Authority } from '../authority/authority.ts';
import type { BackupStream } from '../authority/backup.ts';
import type { KeyRing } from '../authority/key-ring.ts';
import type { OpaKey } from '../authority/opa-key.ts';
import type { Operators } from '../authority/operators.ts';
import type { Policies } from '../authority/policies.ts';
import type { SourceStatus } from '../authority/policy-source.ts';
import { notFound } from '../authority/refusal.ts';
import type { Tokens } from '../authority/tokens.ts';
import type { ImpactJobs } from '../pdp/impact/jobs.ts';
import type { Replays } from '../pdp/replays.ts';
import type { Shadow } from '../pdp/shadow.ts';
import type { ServedBundles } from '../policy/served.ts';
import type { Tenant } from '../store/model.ts';
import { apiKeyHandlers } from './api-keys-api.ts';
import { auditHandlers } from './audit-api.ts';
import { createAuthenticate } from './authenticate.ts';
import { backupHandlers } from './backup-api.ts';
import { bundleHandlers } from './bundles-api.ts';
import { addConsole } from './console-api.ts';
import { authorizeHandler, CONTROL_BODY_LIMIT, type Decide } from './decide-routes.ts';
import { streamHandlers } from './decision-stream.ts';
import { type DecisionLogReader, decisionHandlers } from './decisions-api.ts';
import { addDeviceFlow, deviceHandlers } from './device-api.ts';
import { addDocs } from './docs-api.ts';
import { createFlood } from './flood.ts';
import { addForms } from './form.ts';
import { addGuarded, type OperatorHandler, REFUSALS } from './guard.ts';
import { addHealth } from './health.ts';
import { createHttp, type HttpServer, type ListenOptions, listen } from './http.ts';
import { impactHandlers } from './impact-api.ts';
import { keyHandlers } from './keys-api.ts';
import { addMetrics, type Metrics } from './metrics.ts';
import { type MonitorParts, monitorHandlers } from './monitor-api.ts';
import { type NodesApi, nodeHandlers } from './nodes-api.ts';
import { joining, renewing } from './onboarding.ts';
import { openApi } from './openapi.ts';
import { OPERATIONS, type OperationId } from './operations.ts';
import { operatorHandlers } from './operators-api.ts';
import { policyHandlers } from './policies-api.ts';
import { policyTestHandlers } from './policy-tests-api.ts';
import { replayHandlers } from './replay-api.ts';
import { routeHandlers } from './routes-api.ts';
import { runtimeVerbHandlers } from './runtime-verbs-api.ts';
import { runtimeHandlers } from './runtimes-api.ts';
import { addSignIn, sessionHandlers } from './session-api.ts';
import { settingsHandlers } from './settings-api.ts';
import { createSite, type Site } from './site.ts';
import { siteKeyHandlers } from './site-keys-api.ts';
import type { Tls } from './tls.ts';
import { addExchange, type Exchange, tokenHandlers } from './tokens-api.ts';

export interface ControlApi extends DecisionLogReader {
  readonly authority: Authority;
  readonly monitor: Omit<MonitorParts, 'cursors'>;
  readonly keys: Pick<KeyRing, 'list' | 'rotate' | 'retire'>;
  readonly policies: Policies;
  readonly impacts: ImpactJobs;
  readonly shadow: Shadow;
  /** Null: they come from no repository. */
  readonly policySource: () => SourceStatus | null;
  readonly nodes: NodesApi;
  /** How long a node's stream of events may be, milliseconds; absent: as usual. */
  readonly nodeStreamMs?: number;
  readonly backup: () => Promise<BackupStream>;
  /** Knows the owner by his key. */
  readonly operators: Operators;
  readonly tokens: Tokens;
  readonly bundles: ServedBundles;
  readonly opaKey: () => OpaKey;
  readonly exchange: Exchange;
  readonly access: Access;
  /** The deployment's own org and env. */
  readonly home: Tenant;
  /** Origin that people reach it by; null: localhost. */
  readonly publicUrl: string | null;
  readonly decide: Decide;
  readonly replays: Replays;
  readonly ready: () => boolean;
  readonly metrics: Metrics;
  readonly log: Logger;
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
  const streams = new Set<PassThrough>();
  app.addHook('preClose', async () => {
    for (const stream of streams) stream.destroy();
  });
  const { access, home } = api;
  const site = createSite(api.publicUrl, tls !== null);
  const guard = {
    authenticate: createAuthenticate(operators, access, site),
    audit: access.audit,
    refusals: createFlood(REFUSALS),
  };
  const { bootstrap, issueProof, ...handlers } = guardedHandlers(api, site, streams);
  for (const [id, handler] of Object.entries<OperatorHandler>(handlers)) {
    addGuarded(app, guard, id as Guarded, OPERATIONS[id as Guarded], handler);
  }
  const { introspect, revokeToken, deviceCode, deviceToken } = OPERATIONS;
  addForms(
    app,
    [introspect, revokeToken, deviceCode, deviceToken].map(({ path }) => path),
  );
  addExchange(app, api.exchange);
  addSignIn(app, { access, site, home });
  addDeviceFlow(app, access, site);
  addGuarded(app, guard, 'bootstrap', OPERATIONS.bootstrap, bootstrap, joining(api.authority));
  addGuarded(app, guard, 'issueProof', OPERATIONS.issueProof, issueProof, renewing(api.authority));
  // Streams have no end of their own: they would hold up the orderly one.
  app.addHook('preClose', async () => api.monitor.streams.close());
  addHealth(app, ready);
  addMetrics(app, metrics);
  addDocs(app, openApi(api.version));
  addConsole(app, site);
  return app;
}

/** @throws InputError (`listen.control`) when the address cannot be used. */
export function startControlServer(
  options: ControlApi & ListenOptions & { readonly address: string },
): Promise<HttpServer> {
  return listen(controlApp(options), options.address, 'listen.control', options);
}

function guardedHandlers(
  api: ControlApi,
  site: Site,
  streams: Set<PassThrough>,
): Record<Guarded, OperatorHandler> {
  const { authority, decide } = api;
  const authorize = authorizeHandler(decide);
  const monitor = { ...api.monitor, cursors: api.cursors };
  return {
    ...runtimeHandlers(authority),
    ...runtimeVerbHandlers(authority),
    ...settingsHandlers(authority.settings, api.home),
    ...policyHandlers(api.policies, api.policySource),
    ...policyTestHandlers(api.policies),
    ...impactHandlers(api),
    ...keyHandlers(api.keys),
    ...nodeHandlers(api.nodes, streams, api.nodeStreamMs),
    ...routeHandlers(authority),
    ...backupHandlers(api.backup),
    ...decisionHandlers(api),
    ...replayHandlers(api.replays),
    ...tokenHandlers(api.tokens),
    ...bundleHandlers(api.bundles, api.opaKey),
    ...streamHandlers(monitor),
    ...monitorHandlers(monitor),
    ...operatorHandlers(api.access),
    ...apiKeyHandlers(api.access),
    ...sessionHandlers(api.access),
    ...siteKeyHandlers(api.access, site),
    ...deviceHandlers(api.access),
    ...auditHandlers(api.access),
    authorize(operator, request, reply) {
      const { id } = request.params as { readonly id: string };
      if (authority.find(operator, id) === null) throw notFound('runtime');
      return authorize(request, reply);
    },
  };
}
