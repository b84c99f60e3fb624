import type { IncomingHttpHeaders } from 'node:http2';
import { promisify } from 'node:util';
import { gunzip, inflate } from 'node:zlib';

/** gRPC over HTTP/2, as far as bytes go: https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md */

/** The codes that this server ends calls with (grpc/doc/statuscodes.md). */
export const STATUS = {
  ok: 0,
  deadlineExceeded: 4,
  notFound: 5,
  resourceExhausted: 8,
  unimplemented: 12,
  internal: 13,
} as const;

/** Ends a call with a code other than OK. */
export class GrpcError extends Error {
  override readonly name = 'GrpcError';
  readonly code: number;

  constructor(code: number, message: string) {
    super(message);
    this.code = code;
  }
}

/** Compressed flag and length. */
const PREFIX = 5;

/** A message as it goes over the wire: not compressed, its length before it. */
export function frame(message: Uint8Array): Buffer {
  const bytes = Buffer.allocUnsafe(PREFIX + message.length);
  bytes[0] = 0;
  bytes.writeUInt32BE(message.length, 1);
  bytes.set(message, PREFIX);
  return bytes;
}

export interface Message {
  readonly compressed: boolean;
  readonly bytes: Buffer;
}

/** Takes a stream's chunks apart into messages. */
export interface MessageReader {
  /** Throws GrpcError for a message longer than the limit, before it has come. */
  push(chunk: Buffer): void;
  /** The next whole message, or null. */
  next(): Message | null;
  /** Whether there is nothing but whole messages, all taken. */
  readonly empty: boolean;
}

/** @param limit bytes that one message may have as it comes */
export function messageReader(limit: number): MessageReader {
  const chunks: Buffer[] = [];
  let size = 0;

  /** The first `length` bytes as one buffer, left where they are. */
  const head = (length: number): Buffer => {
    const [first] = chunks;
    if (first !== undefined && first.length >= length) return first;
    const joined = Buffer.concat(chunks.splice(0));
    chunks.push(joined);
    return joined;
  };
  const messageLength = (): number | null => (size < PREFIX ? null : head(PREFIX).readUInt32BE(1));

  return {
    push(chunk) {
      chunks.push(chunk);
      size += chunk.length;
      const length = messageLength();
      if (length !== null && length > limit) {
        throw new GrpcError(STATUS.resourceExhausted, `a message of ${length} bytes; at most ${limit}`);
      }
    },
    next() {
      const length = messageLength();
      if (length === null || size < PREFIX + length) return null;
      const bytes = head(PREFIX + length);
      chunks.shift();
      size -= PREFIX + length;
      if (bytes.length > PREFIX + length) chunks.unshift(bytes.subarray(PREFIX + length));
      return { compressed: bytes[0] === 1, bytes: bytes.subarray(PREFIX, PREFIX + length) };
    },
    get empty() {
      return size === 0;
    },
  };
}

const DECOMPRESSORS = { gzip: promisify(gunzip), deflate: promisify(inflate) } as const;
export const ACCEPTED_ENCODINGS = 'identity,deflate,gzip';

/**
 * The message of a call whose `grpc-encoding` is this.
 *
 * @throws GrpcError UNIMPLEMENTED for an encoding that is not known here, INTERNAL for a compressed message without one
 * or one that does not decompress, RESOURCE_EXHAUSTED for one that grows beyond the limit
 */
export async function decompressed(message: Message, encoding: string, limit: number): Promise<Buffer> {
  if (!message.compressed) return message.bytes;
  if (encoding === 'identity')
    throw new GrpcError(STATUS.internal, 'a compressed message without its encoding');
  if (encoding !== 'gzip' && encoding !== 'deflate') throw unknownEncoding(encoding);
  try {
    return await DECOMPRESSORS[encoding](message.bytes, { maxOutputLength: limit });
  } catch (error) {
    const tooLong = error instanceof RangeError;
    throw tooLong
      ? new GrpcError(STATUS.resourceExhausted, `a message of more than ${limit} bytes`)
      : new GrpcError(STATUS.internal, `a message that is no ${encoding}`);
  }
}

/** Of the request's messages; throws GrpcError UNIMPLEMENTED for one that is not known here. */
export function encodingOf(headers: IncomingHttpHeaders): string {
  const encoding = headers['grpc-encoding'];
  if (encoding === undefined) return 'identity';
  const known = encoding === 'identity' || encoding === 'gzip' || encoding === 'deflate';
  if (!known) throw unknownEncoding(String(encoding));
  return encoding;
}

function unknownEncoding(encoding: string): GrpcError {
  return new GrpcError(STATUS.unimplemented, `grpc-encoding ${encoding.slice(0, 64)} is not known here`);
}

const TIMEOUT = /^(\d{1,8})([HMSmun])$/;
const UNIT_MS = new Map([
  ['H', 3_600_000],
  ['M', 60_000],
  ['S', 1000],
  ['m', 1],
  ['u', 0.001],
  ['n', 0.000_001],
]);

/** Milliseconds of a `grpc-timeout`; null where there is none, or none that can be read. */
export function timeoutMs(header: unknown): number | null {
  const [, digits, unit = ''] = (typeof header === 'string' ? TIMEOUT.exec(header) : null) ?? [];
  const factor = UNIT_MS.get(unit);
  return factor === undefined ? null : Number(digits) * factor;
}

/** `grpc-message`: printable ASCII but `%` stands as it is. */
export function statusMessage(text: string): string {
  return [...Buffer.from(text, 'utf8')]
    .map((byte) =>
      byte >= 0x20 && byte <= 0x7e && byte !== 0x25
        ? String.fromCharCode(byte)
        : `%${byte.toString(16).toUpperCase().padStart(2, '0')}`,
    )
    .join('');
}
