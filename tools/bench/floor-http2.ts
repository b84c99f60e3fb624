import { createServer, type ServerHttp2Stream } from 'node:http2';
import type { AddressInfo } from 'node:net';

/** Program: answers every gRPC call with an allow, on node:http2 and nothing else. Prints its port; ends on SIGTERM. */
const OPENING = [':status', '200', 'content-type', 'application/grpc'];
const TRAILERS = { 'grpc-status': '0' };
/** A CheckResponse whose status is OK, framed. */
const ALLOW = Buffer.from([0, 0, 0, 0, 2, 0x0a, 0]);

const server = createServer({ settings: { initialWindowSize: 1024 * 1024 } });
server.on('session', (session) => session.setLocalWindowSize(16 * 1024 * 1024));
server.on('stream', (stream: ServerHttp2Stream) => {
  stream.on('error', () => undefined);
  stream.resume().on('end', () => {
    stream.respond(OPENING, { waitForTrailers: true });
    stream.on('wantTrailers', () => stream.sendTrailers(TRAILERS));
    stream.end(ALLOW);
  });
});
server.listen(0, '127.0.0.1', () => console.log((server.address() as AddressInfo).port));
