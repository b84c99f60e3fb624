import { deepEqual, equal } from 'node:assert/strict';
import { once } from 'node:events';
import { connect, createServer, type ServerHttp2Session } from 'node:http2';
import type { AddressInfo } from 'node:net';
import fc from 'fast-check';
import { createStreamTable, keepStreamsInPlace } from '../../src/server/grpc-streams.ts';

describe('the streams of an HTTP/2 session', () => {
  it('are found by their ids as in a Map, whatever comes and goes', () => {
    const opened = fc.record({ act: fc.constant('open' as const), id: fc.nat(6000) });
    const closed = fc.record({ act: fc.constant('close' as const), id: fc.nat(6000) });
    const crowd = fc.record({ act: fc.constant('crowd' as const), id: fc.nat(2000) });
    fc.assert(
      fc.property(fc.array(fc.oneof(opened, closed, crowd), { maxLength: 60 }), (steps) => {
        const table = createStreamTable<string>();
        const map = new Map<number, string>();
        const open = (id: number) => {
          table.set(id, `stream ${id}`);
          map.set(id, `stream ${id}`);
        };
        for (const { act, id } of steps) {
          // Ids of one place (64 and 128 apart), of a client's and, in a crowd, many in a row.
          const odd = id * 2 + 1;
          if (act === 'close') equal(table.delete(odd), map.delete(odd));
          else for (let i = 0; i < (act === 'crowd' ? 300 : 1); i++) open(odd + i * 2);
          equal(table.size, map.size);
          equal(table.get(odd), map.get(odd));
        }
        const seen: [number, string][] = [];
        table.forEach((stream, id) => {
          seen.push([id, stream]);
        });
        deepEqual(seen.toSorted(byId), [...map].toSorted(byId));
      }),
    );
  });

  it('can be closed while they are gone through', () => {
    const table = createStreamTable<string>();
    for (let id = 1; id < 400; id += 2) table.set(id, 'open');
    table.forEach((_, id) => {
      table.delete(id);
    });
    equal(table.size, 0);
  });

  it('are kept so by the Node that runs this, and end with their session', async () => {
    const server = createServer();
    const sessions: ServerHttp2Session[] = [];
    const kept: boolean[] = [];
    const closed: Promise<unknown>[] = [];
    server.on('session', (session) => {
      sessions.push(session);
      kept.push(keepStreamsInPlace(session));
    });
    server.on('stream', (stream) => {
      stream.on('error', () => undefined);
      closed.push(once(stream, 'close'));
      if (closed.length === 3) for (const session of sessions) session.destroy();
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const client = connect(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
    client.on('error', () => undefined);
    for (let i = 0; i < 3; i++) client.request().on('error', () => undefined);
    await once(client, 'close');
    await Promise.all(closed);
    server.close();
    deepEqual([kept, closed.length], [[true], 3]);
  });
});

function byId([a]: [number, string], [b]: [number, string]): number {
  return a - b;
}
