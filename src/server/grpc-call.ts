import { EventEmitter } from 'node:events';
import { constants, type IncomingHttpHeaders, type ServerHttp2Stream } from 'node:http2';
import {
  ACCEPTED_ENCODINGS,
  decompressed,
  encodingOf,
  frame,
  GrpcError,
  type Message,
  messageReader,
  STATUS,
  statusMessage,
  timeoutMs,
} from './grpc-wire.ts';

/** Of a unary call. */
export interface Caller {
  /** How long it still waits; null when it named no time. */
  readonly remainingMs: number | null;
  /** Whom its certificate names; null without one. */
  readonly peer: string | null;
  /** True once it has hung up. */
  readonly gone: () => boolean;
}

/** Bytes in, bytes out. */
export type UnaryMethod = (message: Buffer, caller: Caller) => Promise<Uint8Array>;

/**
 * Where `oneRequest` one message at most, which comes once the client has ended. Answers as the handler writes them. No
 * message comes before it has settled.
 */
export interface StreamingMethod {
  readonly oneRequest: boolean;
  readonly handle: (call: StreamingCall) => void | Promise<void>;
}

export type Method =
  | { readonly kind: 'unary'; readonly call: UnaryMethod }
  | ({ readonly kind: 'streaming' } & StreamingMethod);

/**
 * A call that stays open. Emits `data` (Buffer) and `end`, and `cancelled` once where the caller or the connection goes
 * before it is over; `close` at its end, however it comes.
 */
export interface StreamingCall extends EventEmitter {
  write(message: Uint8Array): void;
  end(): void;
  fail(error: unknown): void;
}

const RESPONSE = { ':status': 200, 'content-type': 'application/grpc' } as const;
/** In the raw form, which Node takes over without looking at each name. */
const OPENING: readonly string[] = Object.entries(RESPONSE).flatMap(([name, value]) => [name, String(value)]);
const ACCEPTING = { ...RESPONSE, 'grpc-accept-encoding': ACCEPTED_ENCODINGS } as const;
const OK_TRAILERS = { 'grpc-status': String(STATUS.ok) } as const;

/** Reads one message, has it answered, and ends the call. Throws nothing; a caller that has gone hears nothing. */
export function serveUnary(
  stream: ServerHttp2Stream,
  headers: IncomingHttpHeaders,
  method: UnaryMethod,
  { limit, peer }: { readonly limit: number; readonly peer: string | null },
): void {
  const timeout = timeoutMs(headers['grpc-timeout']);
  const began = timeout === null ? 0 : performance.now();
  const reader = messageReader(limit);
  let message: Message | null = null;
  // Node keeps a stream that is over until its next major collection: what was said on it need not wait for that.
  stream.once('close', () => stream.removeAllListeners());
  stream.on('data', (chunk: Buffer) => {
    if (ended(stream)) return;
    try {
      reader.push(chunk);
      message ??= reader.next();
      if (message !== null && !reader.empty) throw tooMany();
    } catch (error) {
      fail(stream, error);
    }
  });
  stream.on('end', () => {
    if (ended(stream)) return;
    answer().then(
      (response) => respond(stream, response),
      (error: unknown) => fail(stream, error),
    );
  });

  async function answer(): Promise<Uint8Array> {
    const encoding = encodingOf(headers);
    if (message === null) throw incomplete();
    const bytes = message.compressed ? await decompressed(message, encoding, limit) : message.bytes;
    const remainingMs = timeout === null ? null : timeout - (performance.now() - began);
    // Nobody waits for it any more.
    if (remainingMs !== null && remainingMs <= 0) {
      throw new GrpcError(STATUS.deadlineExceeded, 'the deadline had passed before work began');
    }
    return method(bytes, { remainingMs, peer, gone: () => ended(stream) });
  }
}

function incomplete(): GrpcError {
  return new GrpcError(STATUS.unimplemented, 'the call ended before its message');
}

function tooMany(): GrpcError {
  return new GrpcError(STATUS.unimplemented, 'more than one message');
}

export function serveStreaming(
  stream: ServerHttp2Stream,
  headers: IncomingHttpHeaders,
  { oneRequest, handle }: StreamingMethod,
  limit: number,
): StreamingCall {
  const reader = messageReader(limit);
  /** One listener, however many messages wait. */
  let draining = false;
  const call = Object.assign(new EventEmitter(), {
    write(message: Uint8Array) {
      if (ended(stream)) return;
      open(stream);
      // Who does not read what is written is not read from either.
      if (stream.write(frame(message)) || draining) return;
      draining = true;
      stream.pause();
      stream.once('drain', () => {
        draining = false;
        stream.resume();
      });
    },
    end() {
      if (ended(stream)) return;
      open(stream);
      stream.end();
    },
    fail: (error: unknown) => fail(stream, error),
  });
  let only: Message | null = null;
  let taken = 0;
  let busy = false;
  let over = false;

  /** One message after the other; nothing more is read while one is looked at. */
  async function pump(): Promise<void> {
    if (busy) return;
    busy = true;
    stream.pause();
    try {
      const encoding = encodingOf(headers);
      await handled;
      for (let message = only ?? reader.next(); message !== null; message = reader.next()) {
        taken += 1;
        call.emit('data', await decompressed(message, encoding, limit));
      }
    } finally {
      busy = false;
      if (!stream.writableNeedDrain) stream.resume();
    }
    if (!over) return;
    if (!reader.empty || (oneRequest && taken === 0)) throw incomplete();
    call.emit('end');
  }

  stream.on('data', (chunk: Buffer) => {
    if (ended(stream)) return;
    try {
      reader.push(chunk);
      if (oneRequest) {
        only ??= reader.next();
        if (only !== null && !reader.empty) throw tooMany();
        return;
      }
    } catch (error) {
      call.fail(error);
      return;
    }
    pump().catch(call.fail);
  });
  stream.on('end', () => {
    over = true;
    pump().catch(call.fail);
  });
  stream.on('close', () => {
    if (!stream.writableFinished) call.emit('cancelled');
    call.emit('close');
  });
  const handled = handle(call);
  handled?.catch(call.fail);
  return call;
}

function respond(stream: ServerHttp2Stream, message: Uint8Array): void {
  if (ended(stream)) return;
  open(stream);
  stream.end(frame(message));
}

/** The head of an answer whose trailers say OK. */
function open(stream: ServerHttp2Stream): void {
  if (stream.headersSent) return;
  stream.respond(OPENING, { waitForTrailers: true });
  stream.on('wantTrailers', () => stream.sendTrailers(OK_TRAILERS));
}

/** Ends a call with the code of a GrpcError, or INTERNAL. After messages were written the call is reset instead. */
export function fail(stream: ServerHttp2Stream, error: unknown): void {
  if (ended(stream)) return;
  const code = error instanceof GrpcError ? error.code : STATUS.internal;
  const message = statusMessage(error instanceof Error ? error.message : String(error));
  if (stream.headersSent) {
    stream.close(constants.NGHTTP2_INTERNAL_ERROR);
    return;
  }
  stream.respond({ ...ACCEPTING, 'grpc-status': String(code), 'grpc-message': message }, { endStream: true });
  abandon(stream);
}

/** Refuses what is no gRPC call, with an HTTP status. */
export function refuse(stream: ServerHttp2Stream, httpStatus: number): void {
  stream.respond({ ':status': httpStatus }, { endStream: true });
  abandon(stream);
}

/** Whatever the caller still sends is not read: RFC 9113, 8.1. Not at once: a reset overtakes the answer's head. */
function abandon(stream: ServerHttp2Stream): void {
  stream.resume();
  if (stream.readableEnded) return;
  setImmediate(() => {
    if (!stream.readableEnded) stream.close(constants.NGHTTP2_NO_ERROR);
  });
}

function ended(stream: ServerHttp2Stream): boolean {
  return stream.destroyed || stream.closed || stream.writableEnded;
}
