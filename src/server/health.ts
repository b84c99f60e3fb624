import type { FastifyInstance } from 'fastify';
import { failure } from './errors.ts';
import { sendFailure } from './http.ts';

/** `/healthz`: the process answers. `/readyz`: it can decide; 503 `state_not_ready` until then. */
export function addHealth(app: FastifyInstance, ready: () => boolean): void {
  app.get('/healthz', async () => ({ status: 'ok' }));
  app.get('/readyz', (request, reply) => {
    if (ready()) reply.send({ status: 'ready' });
    else sendFailure(failure('state_not_ready', 'not ready to decide yet'), request, reply);
  });
}
