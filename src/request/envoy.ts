import { statusOf } from '../reason.ts';
import {
  APPEND,
  type CheckRequestMessage,
  type CheckResponseMessage,
  type HeaderOptionMessage,
  type HttpRequestMessage,
  OVERWRITE,
  toStruct,
} from '../schema/check.ts';
import type { Actor, Decision } from '../schema/decision.ts';
import type { AuthzRequest, BodySeen, HeaderLine } from '../schema/request.ts';
import type { PolicyResult } from '../schema/result.ts';

export { checkRequestFromJson, checkResponseToJson } from '../schema/check.ts';

/**
 * A CheckRequest of envoy.service.auth.v3 as the request that is decided. Never throws: a message without a request
 * becomes one with empty fields, which is denied (`path_ambiguous`: no leading slash).
 *
 * Header values are byte strings (each character one byte), as Node's HTTP parser gives them, whether they came in
 * `headers` or in `header_map`. Lines of both are kept: a sender that fills both doubles each line, and a doubled
 * credential is refused.
 */
export function toRequest(message: CheckRequestMessage, border: 'grpc' | 'rest' = 'grpc'): AuthzRequest {
  const { source, request, context_extensions: extensions = {} } = message.attributes ?? {};
  const http = request?.http ?? {};
  const headers = headerLines(http);
  return {
    border,
    method: http.method ?? '',
    scheme: knownScheme(http.scheme ?? ''),
    host: http.host ?? '',
    target: http.path ?? '',
    headers,
    body: bodySeen(http, headers),
    protocol: http.protocol ?? '',
    source: {
      address: source?.address?.socket_address?.address || source?.address?.pipe?.path || '',
      principal: source?.principal ?? '',
    },
    ...routeNamed(extensions),
    ...(Object.keys(extensions).length === 0 ? {} : { extensions: { ...extensions } }),
    ...traceOf(headers),
  };
}

/** `:authority` is compared with `host`; `:protocol` marks an extended CONNECT. The others repeat other fields. */
const KEPT_PSEUDO_HEADERS = new Set([':authority', ':protocol']);

function headerLines(http: HttpRequestMessage): HeaderLine[] {
  const lines: HeaderLine[] = [];
  const keep = (read: HeaderLine) => {
    if (!read[0].startsWith(':') || KEPT_PSEUDO_HEADERS.has(read[0])) lines.push(read);
  };
  const { headers = {} } = http;
  for (const name of Object.keys(headers)) keep(line(name, utf8Bytes(headers[name] ?? '')));
  for (const { key = '', value = '', raw_value } of http.header_map?.headers ?? []) {
    keep(line(key, raw_value?.length ? byteString(raw_value) : utf8Bytes(value)));
  }
  return lines;
}

/** ASCII lower case only: `toLowerCase` would also turn the Kelvin sign into a `k`. Space and tab surround a value. */
function line(name: string, value: string): HeaderLine {
  const lower = /[A-Z]/.test(name) ? name.replace(/[A-Z]/g, (letter) => letter.toLowerCase()) : name;
  const padded = isBlank(value.charCodeAt(0)) || isBlank(value.charCodeAt(value.length - 1));
  return [lower, padded ? value.replace(/^[ \t]+|[ \t]+$/g, '') : value];
}

function isBlank(code: number): boolean {
  return code === 0x20 || code === 0x09;
}

function byteString(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('latin1');
}

/** A header of `toResponse`, whose names are in lower case, as plain HTTP sends it: its text as a byte string. */
export function sentLine({ header }: HeaderOptionMessage): HeaderLine {
  return [header.key, utf8Bytes(header.value)];
}

function utf8Bytes(text: string): string {
  // ASCII, as nearly all headers are, is its own bytes.
  if (Buffer.byteLength(text, 'utf8') === text.length) return text;
  return Buffer.from(text, 'utf8').toString('latin1');
}

function knownScheme(scheme: string): string {
  const lower = scheme.toLowerCase();
  return lower === 'http' || lower === 'https' ? lower : '';
}

/** Envoy adds `x-envoy-auth-partial-body` itself; one that a client sent beside it can only make the check stricter. */
function bodySeen(http: HttpRequestMessage, headers: readonly HeaderLine[]): BodySeen {
  const partial = headers.some(
    ([name, value]) => name === 'x-envoy-auth-partial-body' && value.toLowerCase() === 'true',
  );
  const size = http.size !== undefined && http.size > 0 ? http.size : null;
  if (http.raw_body?.length) return { seen: http.raw_body, partial, size };
  return { seen: http.body ? Buffer.from(http.body, 'utf8') : null, partial, size };
}

function routeNamed(extensions: Readonly<Record<string, string>>): { routeId?: string } {
  const routeId = Object.hasOwn(extensions, 'lemma_route') ? extensions.lemma_route : undefined;
  return routeId === undefined ? {} : { routeId };
}

/** W3C Trace Context, 3.2: version 00 has exactly four parts, a later one may have more; `ff` and zeros are invalid. */
export function traceOf(headers: readonly HeaderLine[]): Pick<AuthzRequest, 'traceId' | 'parentSpan'> {
  const lines = headers.filter(([name]) => name === 'traceparent');
  const match = lines.length === 1 ? TRACEPARENT.exec(lines[0]?.[1] ?? '') : null;
  if (match === null) return { traceId: null };
  const [, version, trace = '', id = '', flags = '', more] = match;
  if (version === 'ff' || (version === '00' && more !== undefined)) return { traceId: null };
  return { traceId: trace, parentSpan: { id, sampled: (Number.parseInt(flags, 16) & SAMPLED) !== 0 } };
}

const TRACEPARENT = /^([0-9a-f]{2})-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})(-.*)?$/;
/** The only flag that every version has. */
const SAMPLED = 1;

/**
 * A decision as a CheckResponse. `verdict` alone says allow or deny: an observed decision is one with verdict `allow`
 * and the denial's code as its reason. Never `error_response`, and never a missing status: Envoy reads both as it likes.
 */
export function toResponse(decision: Decision, request: AuthzRequest): CheckResponseMessage {
  const allowed = decision.verdict === 'allow';
  // What a policy asked for holds only where its own verdict is the one that is answered.
  const effects = decision.result?.allow === allowed ? decision.result : null;
  return allowed ? allow(decision, request, effects) : deny(decision, request, effects);
}

function allow(
  decision: Decision,
  request: AuthzRequest,
  effects: PolicyResult | null,
): CheckResponseMessage {
  const set = headersToSet(decision, effects);
  return {
    status: { code: 0, message: decision.reason },
    ok_response: {
      headers: [...set].map(([name, value]) => overwrite(name, value)),
      headers_to_remove: headersToRemove(decision, request, effects, set),
      response_headers_to_add: Object.entries(effects?.response_headers_to_add ?? {}).map(responseHeader),
    },
    dynamic_metadata: metadata(decision, request, effects),
  };
}

function deny(decision: Decision, request: AuthzRequest, effects: PolicyResult | null): CheckResponseMessage {
  const { http, grpc } = statusOf(decision.reason);
  const headers = new Map([['content-type', 'application/json']]);
  for (const [name, value] of Object.entries(effects?.headers ?? {})) headers.set(name.toLowerCase(), value);
  return {
    // A denial under a code that means success would be an allow.
    status: { code: grpc === 0 ? 7 : grpc, message: decision.reason },
    denied_response: {
      status: { code: effects?.http_status ?? (http < 400 ? 403 : http) },
      headers: [...headers].map(([name, value]) => overwrite(name, value)),
      body: effects?.body ?? denialBody(decision),
    },
    dynamic_metadata: metadata(decision, request, effects),
  };
}

function denialBody(decision: Decision): string {
  return JSON.stringify({ success: false, error: decision.reason, decision_id: decision.decision_id });
}

/** Later ones win: the policy's, then rewritten fields, then what only Lemma may say. */
function headersToSet(decision: Decision, effects: PolicyResult | null): Map<string, string> {
  const set = new Map<string, string>();
  for (const [name, value] of Object.entries(effects?.headers ?? {})) set.set(name.toLowerCase(), value);
  for (const [name, value] of rewritten(decision)) set.set(name, value);
  for (const [name, value] of identity(decision)) {
    // An empty one is not set but removed: what a client sent under that name must not stay.
    if (value === '') set.delete(name);
    else set.set(name, value);
  }
  return set;
}

/** Lines of one field become one, as RFC 9110 (5.3) allows for lists. */
function rewritten(decision: Decision): Map<string, string> {
  const fields = new Map<string, string>();
  for (const [name, value] of decision.rewrite) {
    const before = fields.get(name.toLowerCase());
    fields.set(name.toLowerCase(), before === undefined ? value : `${before}, ${value}`);
  }
  return fields;
}

/** Every name that Lemma speaks to an upstream under. */
export const IDENTITY_HEADERS = [
  'x-lemma-subject',
  'x-lemma-runtime-id',
  'x-lemma-agent-id',
  'x-lemma-workspace-id',
  'x-lemma-run-id',
  'x-lemma-scope',
  'x-lemma-decision-id',
  'x-lemma-observed',
] as const;

/** Each with its value, which is empty where there is nothing to say. */
function identity(decision: Decision): (readonly [name: string, value: string])[] {
  const actor: Partial<Actor> = decision.actor ?? {};
  const values: Record<(typeof IDENTITY_HEADERS)[number], string> = {
    'x-lemma-subject': actor.subject ?? '',
    'x-lemma-runtime-id': actor.runtime_id ?? '',
    'x-lemma-agent-id': actor.agent_id ?? '',
    'x-lemma-workspace-id': actor.workspace_id ?? '',
    'x-lemma-run-id': actor.run_id ?? '',
    'x-lemma-scope': (actor.scope ?? []).join(' '),
    'x-lemma-decision-id': decision.decision_id,
    'x-lemma-observed': decision.observed ? decision.reason : '',
  };
  return IDENTITY_HEADERS.map((name) => [name, values[name]]);
}

/**
 * Envoy sets headers first and removes after, so that no name may stand in both lists. Identity names that the client
 * sent go whatever `strip` says, in their spelling with underscores too: an upstream that speaks CGI reads both as one.
 */
function headersToRemove(
  decision: Decision,
  request: AuthzRequest,
  effects: PolicyResult | null,
  set: ReadonlyMap<string, string>,
): string[] {
  const owned = new Set(identity(decision).map(([name]) => name));
  const spoofed = request.headers
    .map(([name]) => name)
    .filter((name) => owned.has(name.replaceAll('_', '-')));
  const policys = (effects?.request_headers_to_remove ?? []).map((name) => name.toLowerCase());
  // The client's names as they were read: changed once more, a name would be another's, and its own would stay.
  const names = new Set([...decision.strip, ...policys, ...spoofed]);
  return [...names].filter((name) => !set.has(name) && !name.startsWith(':') && name !== 'host');
}

function overwrite(key: string, value: string): HeaderOptionMessage {
  return {
    header: { key, value },
    append: { value: false },
    append_action: OVERWRITE,
    keep_empty_value: true,
  };
}

/** `set-cookie` is the one field whose lines cannot be one: a policy's cookie must not replace the upstream's. */
function responseHeader([name, value]: readonly [string, string]): HeaderOptionMessage {
  const key = name.toLowerCase();
  if (key !== 'set-cookie') return overwrite(key, value);
  return { header: { key, value }, append: { value: true }, append_action: APPEND, keep_empty_value: true };
}

function metadata(decision: Decision, request: AuthzRequest, effects: PolicyResult | null) {
  return toStruct({
    ...effects?.dynamic_metadata,
    ...(effects?.obligations === undefined ? {} : { obligations: { ...effects.obligations } }),
    decision_id: decision.decision_id,
    verdict: decision.verdict,
    reason: decision.reason,
    ...(request.routeId === undefined ? {} : { route: request.routeId }),
    ...(decision.observed ? { observed: true } : {}),
  });
}
