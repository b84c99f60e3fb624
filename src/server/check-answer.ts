import type {
  CheckResponseMessage,
  HeaderOptionMessage,
  StructMessage,
  ValueMessage,
} from '../schema/check.ts';

/**
 * A CheckResponse of envoy.service.auth.v3 as bytes. Written from its end to its beginning, so that the length of what
 * is inside is known when it must be written; so within each function the last field stands first.
 *
 * Text with lone surrogates is written as U+FFFD: what is no UTF-8, Envoy would take for no answer at all.
 */
export function encodeCheckResponse(message: CheckResponseMessage): Buffer {
  const out = writer();
  nested(out, 4, () => struct(out, message.dynamic_metadata));
  if ('ok_response' in message) nested(out, 3, () => okResponse(out, message.ok_response));
  else nested(out, 2, () => deniedResponse(out, message.denied_response));
  nested(out, 1, () => {
    text(out, 2, message.status.message);
    whole(out, 1, message.status.code);
  });
  return Buffer.from(out.bytes.subarray(out.at));
}

type Ok = Extract<CheckResponseMessage, { ok_response: unknown }>['ok_response'];
type Denied = Extract<CheckResponseMessage, { denied_response: unknown }>['denied_response'];

function okResponse(out: Writer, response: Ok): void {
  each(response.response_headers_to_add, (option) => headerOption(out, 6, option));
  each(response.headers_to_remove, (name) => nested(out, 5, () => characters(out, name)));
  each(response.headers, (option) => headerOption(out, 2, option));
}

function deniedResponse(out: Writer, response: Denied): void {
  text(out, 3, response.body);
  each(response.headers, (option) => headerOption(out, 2, option));
  nested(out, 1, () => whole(out, 1, response.status.code));
}

function headerOption(out: Writer, field: number, option: HeaderOptionMessage): void {
  nested(out, field, () => {
    whole(out, 4, Number(option.keep_empty_value));
    whole(out, 3, option.append_action);
    // google.protobuf.BoolValue
    nested(out, 2, () => whole(out, 1, Number(option.append.value)));
    nested(out, 1, () => {
      text(out, 2, option.header.value);
      text(out, 1, option.header.key);
    });
  });
}

function struct(out: Writer, { fields }: StructMessage): void {
  each(Object.entries(fields), ([key, entry]) =>
    nested(out, 1, () => {
      nested(out, 2, () => value(out, entry));
      text(out, 1, key);
    }),
  );
}

/** The member that is set is written whatever it is: an empty text is a text. */
function value(out: Writer, entry: ValueMessage): void {
  if ('stringValue' in entry) nested(out, 3, () => characters(out, entry.stringValue));
  else if ('boolValue' in entry) set(out, 4, Number(entry.boolValue));
  else if ('numberValue' in entry) double(out, 2, entry.numberValue);
  else if ('structValue' in entry) nested(out, 5, () => struct(out, entry.structValue));
  else if ('listValue' in entry) {
    nested(out, 6, () => each(entry.listValue.values, (item) => nested(out, 1, () => value(out, item))));
  } else set(out, 1, 0);
}

/** From the last to the first. */
function each<T>(items: readonly T[], write: (item: T) => void): void {
  for (let i = items.length - 1; i >= 0; i--) {
    const item = items[i];
    if (item !== undefined) write(item);
  }
}

/** `bytes` from `at` on is what has been written. */
interface Writer {
  bytes: Buffer;
  at: number;
}

const KEPT_BYTES = 16 * 1024;
/** For one answer after the other: encoding is synchronous. A larger one has its own. */
const kept = Buffer.allocUnsafeSlow(KEPT_BYTES);

function writer(): Writer {
  return { bytes: kept, at: KEPT_BYTES };
}

/** Makes room for `size` bytes before what is written. */
function reserve(out: Writer, size: number): void {
  if (out.at < size) {
    const written = out.bytes.length - out.at;
    const larger = Buffer.allocUnsafeSlow(2 * (out.bytes.length + size));
    out.bytes.copy(larger, larger.length - written, out.at);
    out.at = larger.length - written;
    out.bytes = larger;
  }
  out.at -= size;
}

const WIRE = { varint: 0, fixed64: 1, bytes: 2 } as const;

function nested(out: Writer, field: number, write: () => void): void {
  const end = out.bytes.length - out.at;
  write();
  varint(out, out.bytes.length - out.at - end);
  varint(out, field * 8 + WIRE.bytes);
}

/** Absent where it is empty, as proto3 has it of what is not repeated. */
function text(out: Writer, field: number, content: string): void {
  if (content !== '') nested(out, field, () => characters(out, content));
}

function characters(out: Writer, content: string): void {
  const size = Buffer.byteLength(content, 'utf8');
  reserve(out, size);
  out.bytes.write(content, out.at, size, 'utf8');
}

/** Absent where it is 0, as proto3 has it. */
function whole(out: Writer, field: number, number: number): void {
  if (number !== 0) set(out, field, number);
}

function set(out: Writer, field: number, number: number): void {
  varint(out, number);
  varint(out, field * 8 + WIRE.varint);
}

function double(out: Writer, field: number, number: number): void {
  reserve(out, 8);
  out.bytes.writeDoubleLE(number, out.at);
  varint(out, field * 8 + WIRE.fixed64);
}

/** Of a number from 0 to 2^31 - 1. */
function varint(out: Writer, number: number): void {
  let size = 1;
  for (let rest = number >>> 7; rest > 0; rest >>>= 7) size += 1;
  reserve(out, size);
  let rest = number;
  for (let i = 0; i < size; i++) {
    out.bytes[out.at + i] = (rest & 0x7f) | (i < size - 1 ? 0x80 : 0);
    rest >>>= 7;
  }
}
