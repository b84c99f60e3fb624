import { once } from 'node:events';
import { connect } from 'node:net';

/**
 * A load generator for unary gRPC calls: bare HTTP/2 frames (RFC 9113) over one connection, so that it costs a few
 * microseconds a call and is never what is measured. Headers are indexed (RFC 7541) from the second call on, as Envoy's are.
 */

/** What came back. `code` and `message` are those of the CheckResponse's status; null where there was no message. */
export interface Answer {
  readonly code: number;
  readonly message: string;
}

export interface LoadClient {
  /** `done` is called once, with null where the call failed (reset, gRPC error, connection gone). */
  send(message: Uint8Array, done: (answer: Answer | null) => void): void;
  readonly inFlight: number;
  close(): void;
}

const FRAME = { data: 0, headers: 1, reset: 3, settings: 4, ping: 6, goaway: 7, windowUpdate: 8 } as const;
const END_STREAM = 0x1;
const ACK = 0x1;
const END_HEADERS = 0x4;
const LARGEST_WINDOW = 2 ** 31 - 1;
const DEFAULT_WINDOW = 65_535;
const MAX_FRAME = 16_384;
const SETTING = { maxStreams: 3, initialWindow: 4 } as const;
const PATH = '/envoy.service.auth.v3.Authorization/Check';

interface Call {
  readonly done: (answer: Answer | null) => void;
  answer: Answer | null;
  part: Buffer | null;
}

/** @param address `host:port`; `timeout` is a value of grpc-timeout, sent with each call */
export async function connectLoad(address: string, timeout?: string): Promise<LoadClient> {
  const cut = address.lastIndexOf(':');
  const socket = connect({
    host: address.slice(0, cut),
    port: Number(address.slice(cut + 1)),
    noDelay: true,
  });
  await once(socket, 'connect');
  const [firstHeaders, laterHeaders] = headerBlocks(address, timeout);
  const calls = new Map<number, Call>();
  const waiting: { readonly message: Uint8Array; readonly call: Call }[] = [];
  let lastStream = -1;
  let maxStreams = Number.POSITIVE_INFINITY;
  let window = DEFAULT_WINDOW;
  let received = 0;
  let corked = false;
  let rest: Buffer | null = null;

  socket.write('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');
  const setting = Buffer.alloc(6);
  setting.writeUInt16BE(SETTING.initialWindow, 0);
  setting.writeUInt32BE(LARGEST_WINDOW, 2);
  write(FRAME.settings, 0, 0, setting);
  grant(LARGEST_WINDOW - DEFAULT_WINDOW);

  function write(type: number, flags: number, stream: number, payload: Uint8Array): void {
    if (!corked) {
      corked = true;
      socket.cork();
      process.nextTick(() => {
        corked = false;
        socket.uncork();
      });
    }
    const head = Buffer.allocUnsafe(9);
    head.writeUIntBE(payload.length, 0, 3);
    head[3] = type;
    head[4] = flags;
    head.writeUInt32BE(stream, 5);
    socket.write(head);
    if (payload.length > 0) socket.write(payload);
  }

  function grant(bytes: number): void {
    const payload = Buffer.allocUnsafe(4);
    payload.writeUInt32BE(bytes);
    write(FRAME.windowUpdate, 0, 0, payload);
  }

  function pump(): void {
    while (waiting.length > 0 && calls.size < maxStreams) {
      const next = waiting[0];
      if (next === undefined || next.message.length + 5 > window) return;
      waiting.shift();
      begin(next.message, next.call);
    }
  }

  function begin(message: Uint8Array, call: Call): void {
    lastStream += 2;
    calls.set(lastStream, call);
    write(FRAME.headers, END_HEADERS, lastStream, lastStream === 1 ? firstHeaders : laterHeaders);
    const body = Buffer.allocUnsafe(message.length + 5);
    body[0] = 0;
    body.writeUInt32BE(message.length, 1);
    body.set(message, 5);
    window -= body.length;
    for (let at = 0; at < body.length; at += MAX_FRAME) {
      const end = Math.min(at + MAX_FRAME, body.length);
      write(FRAME.data, end === body.length ? END_STREAM : 0, lastStream, body.subarray(at, end));
    }
  }

  function finish(stream: number, failed: boolean): void {
    const call = calls.get(stream);
    if (call === undefined) return;
    calls.delete(stream);
    call.done(failed ? null : call.answer);
    pump();
  }

  function onFrame(type: number, flags: number, stream: number, payload: Buffer): void {
    switch (type) {
      case FRAME.data:
        received += payload.length;
        if (received > LARGEST_WINDOW / 2) {
          grant(received);
          received = 0;
        }
        onData(stream, payload);
        if ((flags & END_STREAM) !== 0) finish(stream, false);
        return;
      case FRAME.headers:
        if ((flags & END_STREAM) !== 0) finish(stream, false);
        return;
      case FRAME.reset:
        finish(stream, true);
        return;
      case FRAME.settings:
        if ((flags & ACK) === 0) {
          for (let at = 0; at + 6 <= payload.length; at += 6) {
            if (payload.readUInt16BE(at) === SETTING.maxStreams) maxStreams = payload.readUInt32BE(at + 2);
          }
          write(FRAME.settings, ACK, 0, Buffer.alloc(0));
        }
        return;
      case FRAME.ping:
        if ((flags & ACK) === 0) write(FRAME.ping, ACK, 0, payload);
        return;
      case FRAME.windowUpdate:
        if (stream === 0) {
          window += payload.readUInt32BE(0);
          pump();
        }
        return;
      default:
    }
  }

  function onData(stream: number, payload: Buffer): void {
    const call = calls.get(stream);
    if (call === undefined) return;
    call.part = call.part === null ? payload : Buffer.concat([call.part, payload]);
    const { part } = call;
    if (part.length >= 5 && part.length >= 5 + part.readUInt32BE(1)) call.answer = statusOf(part.subarray(5));
  }

  socket.on('data', (chunk: Buffer) => {
    let bytes: Buffer = rest === null ? chunk : Buffer.concat([rest, chunk]);
    while (bytes.length >= 9) {
      const length = bytes.readUIntBE(0, 3);
      if (bytes.length < 9 + length) break;
      const stream = bytes.readUInt32BE(5) & LARGEST_WINDOW;
      onFrame(bytes[3] ?? 0, bytes[4] ?? 0, stream, bytes.subarray(9, 9 + length));
      bytes = bytes.subarray(9 + length);
    }
    rest = bytes.length === 0 ? null : bytes;
  });
  socket.on('error', () => undefined);
  socket.on('close', () => {
    for (const stream of [...calls.keys()]) finish(stream, true);
    for (const { call } of waiting.splice(0)) call.done(null);
  });

  return {
    send(message, done) {
      waiting.push({ message, call: { done, answer: null, part: null } });
      pump();
    },
    get inFlight() {
      return calls.size + waiting.length;
    },
    close: () => void socket.destroy(),
  };
}

/** The header block of the first call, which fills the peer's dynamic table, and that of all later ones. */
function headerBlocks(authority: string, timeout: string | undefined): [Buffer, Buffer] {
  const indexed = [
    [0x44, PATH],
    [0x41, authority],
    [0x5f, 'application/grpc'],
  ] as const;
  const named = [
    ['te', 'trailers'],
    ['user-agent', 'lemma-bench'],
    ...(timeout === undefined ? [] : [['grpc-timeout', timeout] as const]),
  ] as const;
  const first = [
    Buffer.of(0x83, 0x86),
    ...indexed.map(([prefix, value]) => Buffer.concat([Buffer.of(prefix), text(value)])),
    ...named.map(([name, value]) => Buffer.concat([Buffer.of(0x40), text(name), text(value)])),
  ];
  const count = indexed.length + named.length;
  // RFC 7541, 2.3.3: the newest entry of the dynamic table has index 62.
  const later = Array.from({ length: count }, (_, i) => 0x80 | (62 + count - 1 - i));
  return [Buffer.concat(first), Buffer.from([0x83, 0x86, ...later])];
}

/** A string literal without Huffman coding; none here is longer than 126 bytes. */
function text(value: string): Buffer {
  return Buffer.concat([Buffer.of(value.length), Buffer.from(value, 'latin1')]);
}

/** `status` of a CheckResponse: field 1, google.rpc.Status {code = 1, message = 2}. */
function statusOf(message: Buffer): Answer {
  let code = 0;
  let reason = '';
  if (message[0] === 0x0a) {
    const end = 2 + (message[1] ?? 0);
    let at = 2;
    if (message[at] === 0x08) {
      code = message[at + 1] ?? 0;
      at += 2;
    }
    if (at < end && message[at] === 0x12)
      reason = message.toString('latin1', at + 2, at + 2 + (message[at + 1] ?? 0));
  }
  return { code, message: reason };
}

/** What a run of calls came to. Latencies in milliseconds, of the calls that were answered. */
export interface Run {
  readonly elapsedMs: number;
  readonly latencies: readonly number[];
  /** By `allow`, the reason of a denial, or `failed`. */
  readonly tally: ReadonlyMap<string, number>;
}

/** Keeps `inFlight` calls under way until all messages have been answered. */
export function closedLoop(
  client: LoadClient,
  messages: readonly Uint8Array[],
  inFlight: number,
): Promise<Run> {
  const tally = new Map<string, number>();
  const latencies: number[] = [];
  let next = 0;
  let answered = 0;
  const start = performance.now();
  return new Promise((resolve) => {
    const one = () => {
      const message = messages[next];
      if (message === undefined) return;
      next += 1;
      const sent = performance.now();
      client.send(message, (answer) => {
        const now = performance.now();
        count(tally, answer);
        if (answer !== null) latencies.push(now - sent);
        answered += 1;
        if (answered === messages.length) resolve({ elapsedMs: now - start, latencies, tally });
        else one();
      });
    };
    for (let i = 0; i < inFlight; i++) one();
  });
}

/**
 * Sends `messages` at a steady rate whatever comes back, and times each from when it was due. `until` is asked after all
 * were sent: calls that are still open `graceMs` later count as failed.
 */
export function openLoop(
  client: LoadClient,
  messages: readonly Uint8Array[],
  perSecond: number,
  {
    graceMs = 5000,
    onAnswer,
  }: { graceMs?: number; onAnswer?: (answer: Answer | null, due: number) => void } = {},
): Promise<Run> {
  const tally = new Map<string, number>();
  const latencies: number[] = [];
  const start = performance.now();
  let next = 0;
  let answered = 0;
  return new Promise((resolve) => {
    let over = false;
    const finish = () => {
      if (over) return;
      over = true;
      const lost = messages.length - answered;
      if (lost > 0) tally.set('failed', (tally.get('failed') ?? 0) + lost);
      resolve({ elapsedMs: performance.now() - start, latencies, tally });
    };
    const send = (message: Uint8Array, due: number) =>
      client.send(message, (answer) => {
        if (over) return;
        count(tally, answer);
        if (answer !== null) latencies.push(performance.now() - due);
        answered += 1;
        onAnswer?.(answer, due);
        if (answered === messages.length) finish();
      });
    const tick = () => {
      const due = Math.min(messages.length, Math.ceil(((performance.now() - start) / 1000) * perSecond));
      for (; next < due; next++) {
        const message = messages[next];
        if (message !== undefined) send(message, start + (next * 1000) / perSecond);
      }
      if (over) return;
      if (next < messages.length) setImmediate(tick);
      else setTimeout(finish, graceMs).unref();
    };
    tick();
  });
}

function count(tally: Map<string, number>, answer: Answer | null): void {
  const name = answer === null ? 'failed' : answer.code === 0 ? 'allow' : answer.message || 'deny';
  tally.set(name, (tally.get(name) ?? 0) + 1);
}

/** @throws Error where anything but an allow came back: a rate of denials is no rate. */
export function mustAllow({ tally }: Run, of: string): void {
  if (tally.size === 1 && tally.has('allow')) return;
  throw new Error(`${of}: not all were allowed: ${JSON.stringify(Object.fromEntries(tally))}`);
}
