import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { pipeline, Readable } from 'node:stream';

/**
 * What stands behind the proxies under test, in a process of its own: a kilobyte of JSON, or as many megabytes as
 * `/stream?<count>` asks for. Says its port, and ends with its standard input.
 */
const CHUNK = Buffer.alloc(64 * 1024, 'x');
const PER_MEGABYTE = 1_000_000 / CHUNK.length;
const small = JSON.stringify({ text: 'x'.repeat(1000) });

function* megabytes(count: number): Generator<Buffer> {
  for (let sent = 0; sent < count * PER_MEGABYTE; sent++) yield CHUNK;
}

const server = createServer((request, response) => {
  request.resume();
  const count = /^\/stream\?(\d+)$/.exec(request.url ?? '')?.[1];
  if (count === undefined) {
    response
      .writeHead(200, { 'content-type': 'application/json', 'content-length': small.length })
      .end(small);
    return;
  }
  response.writeHead(200, { 'content-type': 'application/octet-stream' });
  pipeline(Readable.from(megabytes(Number(count))), response, () => undefined);
});
server.keepAliveTimeout = 60_000;
server.listen(0, '127.0.0.1', () => console.log((server.address() as AddressInfo).port));
process.stdin.resume().once('end', () => process.exit());
