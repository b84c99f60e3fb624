/** What a Fastify application imports (5): `lemma-authz/fastify`. */
import type { FastifyPluginCallback } from 'fastify';
import { InputError } from '../reason.ts';
import type { LemmaFacts } from './guard.ts';
import type { ProtectOptions } from './options.ts';
import { checkScope, protect } from './protect.ts';

export * from './backend.ts';

declare module 'fastify' {
  interface FastifyRequest {
    /** What was proven; null where the route says `lemma: false`. */
    lemma: LemmaFacts | null;
  }
  interface FastifyContextConfig {
    /** The scopes that this route needs, or false: it is open to all. */
    lemma?: { readonly scope: readonly string[] } | false;
  }
}

export type LemmaPluginOptions = ProtectOptions & {
  /** Scopes of routes that do not say their own. Without it each route must. */
  readonly scope?: readonly string[];
};

/**
 * Protects every route that is registered after it. A route says what it needs, `config: { lemma: { scope: ['documents.read'] } }`,
 * or that it is open, `config: { lemma: false }`; one that says neither, with no `scope` here, is an error at start.
 *
 * It decides in `preParsing`, before the body is parsed: a body that a PoP covers is read and put back.
 */
export const lemma: FastifyPluginCallback<LemmaPluginOptions> = (app, { scope, ...options }, done) => {
  if (scope !== undefined) checkScope(scope, 'scope');
  const protection = protect(options);
  app.decorateRequest('lemma', null);
  app.addHook('onRoute', ({ method, url, config }) => {
    const needs = config?.lemma ?? (scope === undefined ? undefined : { scope });
    const route = `${String(method)} ${url}`;
    if (needs === undefined)
      throw new InputError([
        { field: route, message: 'say config: { lemma: { scope: […] } }, or config: { lemma: false }' },
      ]);
    if (needs !== false) checkScope(needs.scope, `${route}: config.lemma.scope`);
  });
  app.addHook('preParsing', async (request, reply, payload) => {
    // Who may not even know what there is learns nothing of what there is not.
    const needs = request.is404 ? { scope: [] } : (request.routeOptions.config.lemma ?? (scope && { scope }));
    if (needs === undefined) throw new Error(`${request.method} ${request.url} was registered before lemma`);
    if (needs === false) return payload;
    const { raw, id: requestId, originalUrl: target } = request;
    const verdict = await protection.decide({ raw, target, scope: needs.scope, requestId });
    if (!verdict.allowed) return reply.code(verdict.status).send(verdict.answer);
    request.lemma = verdict.facts;
    return payload;
  });
  done();
};

// As fastify-plugin does: the hooks are the application's, not those of a context of its own.
Object.assign(lemma, {
  [Symbol.for('skip-override')]: true,
  [Symbol.for('fastify.display-name')]: 'lemma-authz',
  [Symbol.for('plugin-meta')]: { name: 'lemma-authz', fastify: '5.x' },
});
