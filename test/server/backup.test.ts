import assert from 'node:assert/strict';
import { once } from 'node:events';
import { get, type IncomingMessage } from 'node:http';
import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { type FastifyInstance, fastify } from 'fastify';
import type { Operator } from '../../src/authority/operators.ts';
import { backupHandlers } from '../../src/server/backup-api.ts';

const PIECE = Buffer.alloc(65_536, 7);
const OPERATOR: Operator = {
  id: 'owner',
  org: 'acme',
  env: 'prod',
  may: new Set(['platform.backup']),
  grants: null,
  by: { kind: 'owner_key', id: null },
};

describe('Backups on their way out', () => {
  let app: FastifyInstance;

  async function served(pieces: number): Promise<{ base: string; ended: Promise<unknown> }> {
    const stream = Readable.from(Array.from({ length: pieces }, () => PIECE));
    const ended = new Promise((resolve) => stream.once('close', resolve));
    const bytes = pieces * PIECE.length;
    const { backup } = backupHandlers(async () => ({ bytes, stream }), 50);
    app = fastify({ forceCloseConnections: true });
    app.get('/', (request, reply) => backup(OPERATOR, request, reply));
    return { base: await app.listen({ port: 0, host: '127.0.0.1' }), ended };
  }

  const answer = async (url: string) => {
    const [response] = (await once(get(url, { agent: false }), 'response')) as [IncomingMessage];
    return response;
  };

  afterEach(() => app.close());

  it('are whole', async () => {
    const { base, ended } = await served(20);
    assert.equal((await buffer(await answer(base))).length, 20 * PIECE.length);
    await ended;
  });

  it('are cut off, and over, where a client takes nothing of them for long', async () => {
    const { base, ended } = await served(1000);
    const response = await answer(base);
    await ended;
    await assert.rejects(buffer(response), /aborted/);
  });
});
