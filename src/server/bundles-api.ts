import type { FastifyReply, FastifyRequest } from 'fastify';
import type { OpaKey } from '../authority/opa-key.ts';
import { notFound, Refusal } from '../authority/refusal.ts';
import type { ServedBundles } from '../policy/served.ts';
import { InputError } from '../reason.ts';
import { PROFILES, type Profile } from '../schema/common.ts';
import { tagsOf } from './etag.ts';
import type { OperatorHandler } from './guard.ts';

/** OPA's bundle API (openpolicyagent.org/docs/management-bundles), long polling included. */

/** Says to OPA that `Prefer: …;wait=` is honoured. */
const LONG_POLLING = 'application/vnd.openpolicyagent.bundles';
const WAIT_AT_MOST_S = 300;

export function bundleHandlers(
  served: ServedBundles,
  opaKey: () => OpaKey,
): Record<'pullBundle' | 'opaKey', OperatorHandler> {
  return {
    async pullBundle(_operator, request, reply) {
      const profile = profileOf(request);
      const wait = waitOf(request);
      const known = served.tag(profile);
      const holds = tagsOf(request);
      if (holds(known) && wait > 0)
        await served.changed(profile, known, wait * 1000, whileConnected(request, reply));
      const tag = served.tag(profile);
      reply.header('cache-control', 'private, no-cache').header('etag', tag);
      if (holds(tag)) return reply.code(304).send();
      const bundle = await served.bundle(profile).catch((cause: unknown) => {
        throw cause instanceof InputError ? new Refusal('conflict', cause.message) : cause;
      });
      reply.header('etag', bundle.tag).type(wait > 0 ? LONG_POLLING : 'application/gzip');
      return reply.send(bundle.bytes);
    },
    opaKey() {
      const { keyid, pem } = opaKey();
      return { success: true, keyid, algorithm: 'ES256', key: pem };
    },
  };
}

function profileOf(request: FastifyRequest): Profile {
  const { profile } = request.params as { readonly profile: string };
  const found = PROFILES.find((name) => name === profile);
  if (found === undefined) throw notFound('bundle');
  return found;
}

/** `Prefer: modes=snapshot,delta;wait=30`, in seconds (RFC 7240 section 4.3); 0 without it. */
function waitOf({ headers }: FastifyRequest): number {
  const wait = /(?:^|[;,])[ \t]*wait=(\d{1,6})(?=[ \t]*(?:[;,]|$))/.exec(
    [headers.prefer].flat().join(','),
  )?.[1];
  return Math.min(Number(wait ?? 0), WAIT_AT_MOST_S);
}

function whileConnected(request: FastifyRequest, reply: FastifyReply): AbortSignal {
  const gone = new AbortController();
  reply.raw.once('close', () => gone.abort());
  if (request.raw.destroyed) gone.abort();
  return gone.signal;
}
