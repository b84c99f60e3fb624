import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import { createRequire } from 'node:module';
import type { AddressInfo } from 'node:net';
import express from 'express';
import { fastify } from 'fastify';
import { keepBody, lemma as protectExpress } from '../../src/client/express.ts';
import { lemma as protectFastify } from '../../src/client/fastify.ts';
import type { ProtectOptions } from '../../src/client/options.ts';

const express4 = createRequire(import.meta.url)('express-4') as typeof express;

/** An API of two routes: `documents.read` to GET, `documents.write` to PUT and POST; it tells what its handlers saw. */
export interface Served {
  readonly origin: string;
  /** How many requests reached a handler. */
  handled(): number;
  close(): Promise<void>;
}

/** `before`: the body parser runs before, and keeps the bytes or not. */
export interface Ways {
  readonly options: (origin: string) => ProtectOptions;
  readonly parser?: 'after' | 'before' | 'before, keeping';
}

export const FRAMEWORKS: Record<string, (ways: Ways) => Promise<Served>> = {
  'Express 5': (ways) => serveExpress(express, ways),
  'Express 4': (ways) => serveExpress(express4, ways),
  'Fastify 5': serveFastify,
};

async function serveExpress(make: typeof express, { options, parser = 'after' }: Ways): Promise<Served> {
  let handled = 0;
  const app = make();
  const server = createServer(app);
  const origin = await listening(server);
  const reading = protectExpress({ ...options(origin), scope: ['documents.read'] });
  const writing = reading.requiring('documents.write');
  const json = make.json({
    limit: '4mb',
    ...(parser === 'before, keeping' ? { verify: keepBody } : {}),
  });
  const handler: express.RequestHandler = (request, response) => {
    handled += 1;
    const { lemma, body, headers } = request;
    response.json({ lemma, body, identity: headers['x-lemma-subject'] ?? null });
  };
  const text = make.text({ type: 'text/plain', limit: '4mb' });
  if (parser !== 'after') app.use(json);
  const router = make.Router();
  router.get('/documents/:id', reading, handler);
  router.put('/documents/:id', writing, json, text, handler);
  router.post('/documents/:id', writing, json, text, handler);
  app.use('/v1', router);
  return { origin, handled: () => handled, close: () => closed(server) };
}

async function serveFastify({ options }: Ways): Promise<Served> {
  let handled = 0;
  const app = fastify({ bodyLimit: 4 * 1024 * 1024 });
  // The port is the audience's: taken before the plugin is told.
  const probe = createServer();
  const origin = await listening(probe);
  await closed(probe);
  await app.register(protectFastify, options(origin));
  const handler = async (request: { lemma: unknown; body: unknown; headers: Record<string, unknown> }) => {
    handled += 1;
    const { lemma, body, headers } = request;
    return { lemma, body, identity: headers['x-lemma-subject'] ?? null };
  };
  app.get('/v1/documents/:id', { config: { lemma: { scope: ['documents.read'] } } }, handler);
  app.route({
    ...{ method: ['PUT', 'POST'], url: '/v1/documents/:id', handler },
    config: { lemma: { scope: ['documents.write'] } },
  });
  app.get('/open', { config: { lemma: false } }, handler);
  await app.listen({ host: '127.0.0.1', port: Number(new URL(origin).port) });
  return { origin, handled: () => handled, close: () => app.close() };
}

async function listening(server: Server): Promise<string> {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

async function closed(server: Server): Promise<void> {
  server.closeAllConnections();
  server.close();
  await once(server, 'close');
}
