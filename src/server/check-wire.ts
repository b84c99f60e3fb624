import type { CheckRequestMessage, HeaderValueMessage, HttpRequestMessage } from '../schema/check.ts';

/**
 * A CheckRequest of envoy.service.auth.v3 from its bytes, with the members that Lemma reads and no others: what
 * `proto/` says of the rest is passed over. https://protobuf.dev/programming-guides/encoding
 *
 * As protobuf has it, of a field that comes twice the last counts, and a message that does is merged; text that is not
 * UTF-8 becomes U+FFFD.
 *
 * Throws RangeError for bytes that are no such message.
 */
export function decodeCheckRequest(bytes: Buffer): CheckRequestMessage {
  const message: { attributes?: Attributes } = {};
  eachField(bytes, 0, bytes.length, (field, at, end) => {
    if (field !== 1) return;
    message.attributes ??= {};
    readAttributes(bytes, at, end, message.attributes);
  });
  return message;
}

type Writable<T> = { -readonly [K in keyof T]: T[K] };
type Texts = Record<string, string>;

interface Attributes {
  source?: Peer;
  request?: { http?: Http };
  context_extensions?: Texts;
}

interface Peer {
  address?: { socket_address?: { address?: string }; pipe?: { path?: string } };
  principal?: string;
}

type Http = Omit<Writable<HttpRequestMessage>, 'headers' | 'header_map'> & {
  headers?: Texts;
  header_map?: { headers: HeaderValueMessage[] };
};

function readAttributes(bytes: Buffer, start: number, stop: number, attributes: Attributes): void {
  eachField(bytes, start, stop, (field, at, end) => {
    if (field === 1) {
      attributes.source ??= {};
      readPeer(bytes, at, end, attributes.source);
    } else if (field === 4) {
      attributes.request ??= {};
      readRequest(bytes, at, end, attributes.request);
    } else if (field === 10) {
      attributes.context_extensions ??= noTexts();
      readEntry(bytes, at, end, attributes.context_extensions);
    }
  });
}

function readPeer(bytes: Buffer, start: number, stop: number, peer: Peer): void {
  eachField(bytes, start, stop, (field, at, end) => {
    if (field === 1) peer.address = { ...peer.address, ...readAddress(bytes, at, end) };
    else if (field === 4) peer.principal = text(bytes, at, end);
  });
}

function readAddress(bytes: Buffer, start: number, stop: number): NonNullable<Peer['address']> {
  const found: NonNullable<Peer['address']> = {};
  eachField(bytes, start, stop, (field, at, end) => {
    if (field === 1) found.socket_address = { address: textIn(bytes, at, end, 2) };
    else if (field === 2) found.pipe = { path: textIn(bytes, at, end, 1) };
  });
  return found;
}

function readRequest(bytes: Buffer, start: number, stop: number, request: { http?: Http }): void {
  eachField(bytes, start, stop, (field, at, end) => {
    if (field !== 2) return;
    request.http ??= {};
    readHttp(bytes, at, end, request.http);
  });
}

function readHttp(bytes: Buffer, start: number, stop: number, http: Http): void {
  const visit: Visitor = (field, at, end) => {
    switch (field) {
      case 2:
        http.method = text(bytes, at, end);
        break;
      case 3:
        http.headers ??= noTexts();
        readEntry(bytes, at, end, http.headers);
        break;
      case 4:
        http.path = text(bytes, at, end);
        break;
      case 5:
        http.host = text(bytes, at, end);
        break;
      case 6:
        http.scheme = text(bytes, at, end);
        break;
      case 10:
        http.protocol = text(bytes, at, end);
        break;
      case 11:
        http.body = text(bytes, at, end);
        break;
      case 12:
        http.raw_body = bytes.subarray(at, end);
        break;
      case 13:
        http.header_map ??= { headers: [] };
        readHeaderMap(bytes, at, end, http.header_map.headers);
        break;
      default:
    }
  };
  eachField(bytes, start, stop, visit, (field, value) => {
    if (field === 9) http.size = value;
  });
}

function readHeaderMap(bytes: Buffer, start: number, stop: number, lines: HeaderValueMessage[]): void {
  eachField(bytes, start, stop, (field, at, end) => {
    if (field === 1) lines.push(readHeader(bytes, at, end));
  });
}

function readHeader(bytes: Buffer, start: number, stop: number): HeaderValueMessage {
  const line: Writable<HeaderValueMessage> = {};
  eachField(bytes, start, stop, (field, at, end) => {
    if (field === 1) line.key = text(bytes, at, end);
    else if (field === 2) line.value = text(bytes, at, end);
    else if (field === 3) line.raw_value = bytes.subarray(at, end);
  });
  return line;
}

/** An entry of a map of texts. */
function readEntry(bytes: Buffer, start: number, stop: number, into: Texts): void {
  let key = '';
  let value = '';
  eachField(bytes, start, stop, (field, at, end) => {
    if (field === 1) key = text(bytes, at, end);
    else if (field === 2) value = text(bytes, at, end);
  });
  into[key] = value;
}

/** A field that holds text; empty where it is absent. Throws RangeError as `decodeCheckRequest`. */
export function textIn(bytes: Buffer, start: number, stop: number, wanted: number): string {
  let found = '';
  eachField(bytes, start, stop, (field, at, end) => {
    if (field === wanted) found = text(bytes, at, end);
  });
  return found;
}

/** Without a prototype: names are the client's. */
function noTexts(): Texts {
  return Object.create(null) as Texts;
}

function text(bytes: Buffer, at: number, end: number): string {
  return bytes.toString('utf8', at, end);
}

/** Hears where the content of a field begins and ends. */
type Visitor = (field: number, at: number, end: number) => void;

const WIRE = { varint: 0, fixed64: 1, bytes: 2, fixed32: 5 } as const;

/** Where the last varint ended. */
let after = 0;

/** Those of a known length; `number` hears of the numbers. A field of another wire type than its own is not known. */
function eachField(
  bytes: Buffer,
  start: number,
  stop: number,
  visit: Visitor,
  number?: (field: number, value: number) => void,
): void {
  let at = start;
  while (at < stop) {
    const tag = varint(bytes, at, stop);
    at = after;
    const field = Math.floor(tag / 8);
    if (field === 0) throw malformed('a field without a number');
    if (tag % 8 === WIRE.varint) {
      const value = varint(bytes, at, stop);
      at = after;
      number?.(field, value);
      continue;
    }
    const length = lengthOf(tag % 8, bytes, at, stop);
    if (tag % 8 === WIRE.bytes) at = after;
    if (length < 0 || length > stop - at) throw malformed('a field that ends beyond its message');
    if (tag % 8 === WIRE.bytes) visit(field, at, at + length);
    at += length;
  }
}

function lengthOf(wireType: number, bytes: Buffer, at: number, stop: number): number {
  switch (wireType) {
    case WIRE.bytes:
      return varint(bytes, at, stop);
    case WIRE.fixed64:
      return 8;
    case WIRE.fixed32:
      return 4;
    default:
      throw malformed(`a field of wire type ${wireType}`);
  }
}

/** As int64, in a double: exact up to 2^53, which no size reaches. */
function varint(bytes: Buffer, start: number, end: number): number {
  let value = 0;
  let factor = 1;
  for (let at = start; at < end && at - start < 10; at++) {
    const byte = bytes[at] ?? 0;
    value += (byte & 0x7f) * factor;
    if (byte < 0x80) {
      after = at + 1;
      // Ten bytes carry 64 bits, the highest of which is the sign.
      return at - start === 9 ? signed(bytes.subarray(start, after)) : value;
    }
    factor *= 128;
  }
  throw malformed('a number that does not end');
}

function signed(bytes: Buffer): number {
  const value = bytes.reduceRight((sum, byte) => sum * 128n + BigInt(byte & 0x7f), 0n);
  return Number(BigInt.asIntN(64, value));
}

function malformed(message: string): RangeError {
  return new RangeError(`no CheckRequest: ${message}`);
}
