import { InputError, type Problem } from '../reason.ts';

/**
 * `envoy.service.auth.v3` as plain objects: the members that Lemma reads and writes, named as in `proto/`, absent when
 * unset. The same shapes come from gRPC (proto-loader) and from proto3 JSON (the REST mirror).
 */

export interface HeaderValueMessage {
  readonly key?: string | undefined;
  readonly value?: string | undefined;
  readonly raw_value?: Uint8Array | undefined;
}

export interface PeerMessage {
  readonly address?: {
    readonly socket_address?: { readonly address?: string | undefined } | undefined;
    readonly pipe?: { readonly path?: string | undefined } | undefined;
  };
  readonly principal?: string | undefined;
}

export interface HttpRequestMessage {
  readonly method?: string | undefined;
  readonly headers?: Readonly<Record<string, string>> | undefined;
  readonly header_map?: { readonly headers?: readonly HeaderValueMessage[] | undefined } | undefined;
  readonly path?: string | undefined;
  readonly host?: string | undefined;
  readonly scheme?: string | undefined;
  /** Bytes; -1 (and 0, which proto3 does not send) is unknown. */
  readonly size?: number | undefined;
  readonly protocol?: string | undefined;
  readonly body?: string | undefined;
  readonly raw_body?: Uint8Array | undefined;
}

export interface CheckRequestMessage {
  readonly attributes?:
    | {
        readonly source?: PeerMessage | undefined;
        readonly request?: { readonly http?: HttpRequestMessage | undefined } | undefined;
        readonly context_extensions?: Readonly<Record<string, string>> | undefined;
      }
    | undefined;
}

/** `HeaderValueOption.HeaderAppendAction`. */
export const APPEND = 0;
export const OVERWRITE = 2;

export interface HeaderOptionMessage {
  readonly header: { readonly key: string; readonly value: string };
  readonly append: { readonly value: boolean };
  readonly append_action: typeof APPEND | typeof OVERWRITE;
  readonly keep_empty_value: boolean;
}

/** `google.protobuf.Value`; proto-loader names the members of protobuf's own types in lowerCamel. */
export type ValueMessage =
  | { readonly nullValue: 0 }
  | { readonly numberValue: number }
  | { readonly stringValue: string }
  | { readonly boolValue: boolean }
  | { readonly structValue: StructMessage }
  | { readonly listValue: { readonly values: readonly ValueMessage[] } };

export interface StructMessage {
  readonly fields: Readonly<Record<string, ValueMessage>>;
}

export interface AllowMessage {
  readonly status: { readonly code: 0; readonly message: string };
  readonly ok_response: {
    readonly headers: readonly HeaderOptionMessage[];
    readonly headers_to_remove: readonly string[];
    readonly response_headers_to_add: readonly HeaderOptionMessage[];
  };
  readonly dynamic_metadata: StructMessage;
}

export interface DenyMessage {
  readonly status: { readonly code: 7 | 16; readonly message: string };
  readonly denied_response: {
    readonly status: { readonly code: number };
    readonly headers: readonly HeaderOptionMessage[];
    readonly body: string;
  };
  readonly dynamic_metadata: StructMessage;
}

export type CheckResponseMessage = AllowMessage | DenyMessage;

/** A JSON object as a `google.protobuf.Struct`. What JSON has no word for becomes null. */
export function toStruct(json: Readonly<Record<string, unknown>>): StructMessage {
  return { fields: Object.fromEntries(Object.entries(json).map(([key, value]) => [key, toValue(value)])) };
}

function toValue(json: unknown): ValueMessage {
  if (typeof json === 'number') return { numberValue: json };
  if (typeof json === 'string') return { stringValue: json };
  if (typeof json === 'boolean') return { boolValue: json };
  if (Array.isArray(json)) return { listValue: { values: json.map(toValue) } };
  if (typeof json === 'object' && json !== null)
    return { structValue: toStruct(json as Record<string, unknown>) };
  return { nullValue: 0 };
}

function fromStruct(struct: StructMessage): Record<string, unknown> {
  return Object.fromEntries(Object.entries(struct.fields).map(([key, value]) => [key, fromValue(value)]));
}

function fromValue(value: ValueMessage): unknown {
  if ('numberValue' in value) return value.numberValue;
  if ('stringValue' in value) return value.stringValue;
  if ('boolValue' in value) return value.boolValue;
  if ('listValue' in value) return value.listValue.values.map(fromValue);
  if ('structValue' in value) return fromStruct(value.structValue);
  return null;
}

/**
 * The answer as proto3 JSON (lowerCamel names). `status.code` is written even when it is 0, and HTTP statuses stand as
 * numbers, which every protobuf JSON parser takes for an enum.
 */
export function checkResponseToJson(message: CheckResponseMessage): object {
  const dynamicMetadata = fromStruct(message.dynamic_metadata);
  if ('denied_response' in message) {
    const { status, headers, body } = message.denied_response;
    return {
      status: message.status,
      deniedResponse: { status, headers: headers.map(optionToJson), body },
      dynamicMetadata,
    };
  }
  const { headers, headers_to_remove, response_headers_to_add } = message.ok_response;
  return {
    status: message.status,
    okResponse: {
      headers: headers.map(optionToJson),
      headersToRemove: headers_to_remove,
      responseHeadersToAdd: response_headers_to_add.map(optionToJson),
    },
    dynamicMetadata,
  };
}

function optionToJson(option: HeaderOptionMessage): object {
  return {
    header: option.header,
    append: option.append.value,
    appendAction: option.append_action === APPEND ? 'APPEND_IF_EXISTS_OR_ADD' : 'OVERWRITE_IF_EXISTS_OR_ADD',
    keepEmptyValue: option.keep_empty_value,
  };
}

/**
 * A CheckRequest from proto3 JSON: lowerCamel or snake_case names, bytes in base64 (either alphabet), int64 as string or
 * number, null for unset; unknown members are skipped, as protobuf skips unknown fields.
 *
 * @throws InputError naming every field of a wrong type.
 */
export function checkRequestFromJson(json: unknown): CheckRequestMessage {
  const problems: Problem[] = [];
  const root = new Reader(json, '', problems);
  const attributes = root.message('attributes');
  const message = { attributes: attributes && readAttributes(attributes) };
  if (problems.length > 0) throw new InputError(problems);
  return message;
}

function readAttributes(attributes: Reader): CheckRequestMessage['attributes'] {
  const source = attributes.message('source');
  const request = attributes.message('request');
  const http = request?.message('http');
  return {
    source: source && readPeer(source),
    request: request && { http: http && readHttp(http) },
    context_extensions: attributes.strings('context_extensions'),
  };
}

function readPeer(peer: Reader): PeerMessage {
  const address = peer.message('address');
  return {
    address: {
      socket_address: { address: address?.message('socket_address')?.text('address') },
      pipe: { path: address?.message('pipe')?.text('path') },
    },
    principal: peer.text('principal'),
  };
}

function readHttp(http: Reader): HttpRequestMessage {
  const lines = http.message('header_map')?.list('headers');
  return {
    method: http.text('method'),
    headers: http.strings('headers'),
    header_map: lines && { headers: lines.map(readHeader) },
    path: http.text('path'),
    host: http.text('host'),
    scheme: http.text('scheme'),
    size: http.whole('size'),
    protocol: http.text('protocol'),
    body: http.text('body'),
    raw_body: http.bytes('raw_body'),
  };
}

function readHeader(line: Reader): HeaderValueMessage {
  return { key: line.text('key'), value: line.text('value'), raw_value: line.bytes('raw_value') };
}

const BASE64 = /^[A-Za-z0-9+/_-]*={0,2}$/;

/** Reads members of one JSON object by their proto name; what is wrong is collected, and reads as unset. */
class Reader {
  readonly #members: Readonly<Record<string, unknown>>;
  readonly #path: string;
  readonly #problems: Problem[];

  constructor(json: unknown, path: string, problems: Problem[]) {
    this.#path = path;
    this.#problems = problems;
    const isObject = typeof json === 'object' && json !== null && !Array.isArray(json);
    if (!isObject) problems.push({ field: path, message: 'must be a JSON object' });
    this.#members = isObject ? (json as Record<string, unknown>) : {};
  }

  message(name: string): Reader | undefined {
    const json = this.#take(name);
    return json === undefined ? undefined : new Reader(json, this.#field(name), this.#problems);
  }

  list(name: string): Reader[] | undefined {
    const json = this.#take(name);
    if (json === undefined) return undefined;
    if (!Array.isArray(json)) return this.#wrong(name, 'must be an array');
    return json.map((item, i) => new Reader(item, `${this.#field(name)}[${i}]`, this.#problems));
  }

  text(name: string): string | undefined {
    const json = this.#take(name);
    if (json === undefined || isText(json)) return json;
    return this.#wrong(name, 'must be a string of Unicode characters');
  }

  /** `map<string, string>`. */
  strings(name: string): Record<string, string> | undefined {
    const json = this.#take(name);
    if (json === undefined) return undefined;
    if (typeof json !== 'object' || json === null || Array.isArray(json))
      return this.#wrong(name, 'must be an object of strings');
    const entries = Object.entries(json);
    const bad = entries.find(([key, value]) => !isText(key) || !isText(value));
    if (bad) return this.#wrong(`${name}.${bad[0]}`, 'must be a string of Unicode characters');
    return Object.fromEntries(entries);
  }

  whole(name: string): number | undefined {
    const json = this.#take(name);
    if (json === undefined) return undefined;
    const number = typeof json === 'string' && /^-?\d{1,19}$/.test(json) ? Number(json) : json;
    if (typeof number === 'number' && Number.isInteger(number)) return number;
    return this.#wrong(name, 'must be a whole number, or a string of its digits');
  }

  bytes(name: string): Uint8Array | undefined {
    const json = this.#take(name);
    if (json === undefined) return undefined;
    const characters = typeof json === 'string' && BASE64.test(json) ? json.replace(/=+$/, '') : null;
    if (characters === null || characters.length % 4 === 1)
      return this.#wrong(name, 'must be bytes in base64');
    return Buffer.from(characters, 'base64');
  }

  /** By the proto name or its lowerCamel form; null counts as unset. */
  #take(name: string): unknown {
    const camel = name.replace(/_([a-z])/g, (_, letter: string) => letter.toUpperCase());
    const found = [...new Set([name, camel])].filter((key) => Object.hasOwn(this.#members, key));
    if (found.length > 1) return this.#wrong(name, `is given twice, also as ${camel}`);
    return found[0] === undefined ? undefined : (this.#members[found[0]] ?? undefined);
  }

  #wrong(name: string, message: string): undefined {
    this.#problems.push({ field: this.#field(name), message });
    return undefined;
  }

  #field(name: string): string {
    return this.#path === '' ? name : `${this.#path}.${name}`;
  }
}

function isText(json: unknown): json is string {
  return typeof json === 'string' && json.isWellFormed();
}
