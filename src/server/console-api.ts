import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { notFound } from '../authority/refusal.ts';
import { type ConsoleFile, type ConsoleFiles, readConsole } from './console-files.ts';
import { takesGzip } from './encoding.ts';
import { tagsOf } from './etag.ts';
import { html } from './html.ts';
import { once } from './once.ts';
import type { Site } from './site.ts';

/** Agent Ops and the wallet: pages for people, which then ask the REST API as anybody does. No part of it themselves. */

const CONSOLE_PATH = '/admin/agent-ops';
export const WALLET_PATH = '/wallet';
const ASSETS = '/console';
const PAGES = [
  [CONSOLE_PATH, 'agent-ops'],
  [WALLET_PATH, 'wallet'],
] as const;

/** What the control listener serves beside its operations. All GET. */
export const CONSOLE_ROUTES: readonly string[] = [
  ...PAGES.flatMap(([path]) => [path, `${path}/*`]),
  `${ASSETS}/:name`,
];

/** Nothing inline, nothing evaluated, nothing of anybody else's, no frame; no string becomes markup or a script. */
const POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self'",
  "connect-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
  "require-trusted-types-for 'script'",
  "trusted-types 'none'",
].join('; ');

const PAGE_HEADERS = {
  'content-security-policy': POLICY,
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-resource-policy': 'same-origin',
  'permissions-policy': 'camera=(), geolocation=(), microphone=(), payment=(), usb=()',
};

/** `read`: null where it was not built. */
export function addConsole(
  app: FastifyInstance,
  site: Site,
  read: () => Promise<ConsoleFiles | null> = readConsole,
): void {
  const files = once(read);

  const page = (name: string) => async (request: FastifyRequest, reply: FastifyReply) => {
    const elsewhere = siteOf(site, request);
    // By an address nobody could sign in: the session's cookie, and what the key signs, are the site's.
    if (elsewhere !== null) return reply.redirect(`${elsewhere}${request.url}`, 302);
    reply.headers({ ...PAGE_HEADERS, 'cache-control': 'no-cache' });
    const found = (await files())?.pages.get(name);
    if (found === undefined) return reply.code(503).type('text/html; charset=utf-8').send(NOT_BUILT);
    return send(found, request, reply);
  };
  for (const [path, name] of PAGES) {
    app.get(path, page(name));
    app.get(`${path}/*`, page(name));
  }
  app.get(`${ASSETS}/:name`, async (request, reply) => {
    const { name } = request.params as { readonly name: string };
    const found = (await files())?.assets.get(name);
    if (found === undefined) throw notFound('file');
    reply.headers({ 'cache-control': 'public, max-age=31536000, immutable' });
    return send(found, request, reply);
  });
}

/** Where people reach this control plane, if not where they just did; null: here, or nowhere known. */
function siteOf(site: Site, request: FastifyRequest): string | null {
  const { host } = request.headers;
  try {
    const origin = site(request);
    return new URL(origin).host === host?.toLowerCase() ? null : origin;
  } catch {
    return null;
  }
}

function send({ type, tag, bytes, gzip }: ConsoleFile, request: FastifyRequest, reply: FastifyReply) {
  reply.headers({ etag: tag, vary: 'accept-encoding' });
  if (tagsOf(request)(tag)) return reply.code(304).send();
  reply.type(type);
  if (gzip === null || !takesGzip(request.headers['accept-encoding'])) return reply.send(bytes);
  return reply.header('content-encoding', 'gzip').send(gzip);
}

const { html: NOT_BUILT } = html`<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>Agent Ops · Lemma</title>
<h1>The console is not built yet</h1>
<p>In this clone, run <code>npm run console</code>, then start <code>npm run lemma -- serve</code> again.</p>
</html>
`;
