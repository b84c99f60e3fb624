import { once } from 'node:events';
import { type Agent, request as httpRequest, type IncomingHttpHeaders } from 'node:http';
import { connect as connectHttp2, constants, type OutgoingHttpHeaders } from 'node:http2';
import { connect } from 'node:net';
import { text } from 'node:stream/consumers';
import type { WireRequest } from './kit.ts';

export interface Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

/** What a denial says to its caller. */
export interface DenialBody {
  readonly success: boolean;
  readonly error: string;
  readonly decision_id: string;
}

/** Sends a request, its header lines as they are, over a connection of its own, or of the agent's. */
export async function send(port: number, request: WireRequest, agent?: Agent): Promise<Answer> {
  const { method, path, host, headers, body } = request;
  const outgoing = httpRequest({
    host: '127.0.0.1',
    port,
    method,
    path,
    headers: ['host', host, ...headers.flat()],
    agent: agent ?? false,
  });
  const answered = new Promise<Answer>((resolve, reject) => {
    outgoing.on('error', reject).on('response', async (response) => {
      const { statusCode = 0 } = response;
      resolve({ status: statusCode, headers: response.headers, body: await text(response) });
    });
  });
  outgoing.end(body === undefined || body === null ? undefined : Buffer.from(body, 'base64url'));
  return answered;
}

/** The JSON of a denial; throws when it is none. */
export function denialOf({ body }: Answer): DenialBody {
  return JSON.parse(body) as DenialBody;
}

/** What came back to raw bytes: the status of each answer, and all of it as text. */
export interface RawAnswer {
  readonly statuses: readonly number[];
  readonly text: string;
}

/** Writes these bytes (latin1) to a socket, and reads until the other side closes it. */
export async function sendRaw(port: number, bytes: string): Promise<RawAnswer> {
  const socket = connect(port, '127.0.0.1');
  await once(socket, 'connect');
  socket.setTimeout(5_000, () => socket.destroy(new Error('no end of the answer within 5 s')));
  socket.write(bytes, 'latin1');
  let text = '';
  for await (const chunk of socket) {
    text += (chunk as Buffer).toString('latin1');
    // Envoy, having said so, waits a second for the client to close first.
    if (/^connection: close\r$/im.test(text)) socket.end();
  }
  const statuses = [...text.matchAll(/HTTP\/1\.[01] (\d{3}) /g)].map((match) => Number(match[1]));
  return { statuses, text };
}

/** Sends a request over HTTP/2 without TLS; a stream or a connection that was cut is status 0. */
export async function sendHttp2(port: number, headers: OutgoingHttpHeaders): Promise<Answer> {
  const session = connectHttp2(`http://127.0.0.1:${port}`);
  try {
    const stream = session.request(headers);
    const cut = new Promise<Answer>((resolve) => {
      const none = () => resolve({ status: 0, headers: {}, body: '' });
      session.on('error', none).on('goaway', none);
      stream.on('error', none).on('close', none);
    });
    const answered = once(stream, 'response').then(async ([answer]) => ({
      status: Number(answer[constants.HTTP2_HEADER_STATUS]),
      headers: answer as IncomingHttpHeaders,
      body: await text(stream),
    }));
    stream.end();
    return await Promise.race([answered, cut]);
  } finally {
    session.destroy();
  }
}
