import { fromBase64 } from '../crypto/base64url.ts';
import { InputError, type Problem, statusOf } from '../reason.ts';
import type { AuthorizeBody } from '../schema/api.ts';
import type { HeaderOptionMessage } from '../schema/check.ts';
import type { Decision } from '../schema/decision.ts';
import type { AuthzRequest } from '../schema/request.ts';
import { toRequest as fromCheck, toResponse as toCheck } from './envoy.ts';

/** The border of `POST /api/wallet/runtimes/:id/authorize`: a request described in JSON, answered in JSON. */

/** `[scheme, host, rest]` of an absolute URL, nothing decoded or normalised: what is ambiguous must stay visible. */
const ABSOLUTE_URL = /^(https?):\/\/([^/?#\\]+)(.*)$/is;

interface Target {
  readonly scheme: string;
  readonly host: string;
  readonly target: string;
}

/** The described request, acting as `runtimeId`. Throws InputError as `described`. */
export function toRequest(body: AuthorizeBody, runtimeId: string): AuthzRequest {
  return { ...described(body), runtimeId };
}

/**
 * The described request. Header values become byte strings, as from any other border.
 *
 * @throws InputError when `url` and `scheme`, `host`, `target` do not name one target, or the body is not base64.
 */
export function described(body: AuthorizeBody): AuthzRequest {
  const problems: Problem[] = [];
  const target = targetOf(body, problems);
  const seen = bodyOf(body, problems);
  if (problems.length > 0) throw new InputError(problems);
  const request = fromCheck(
    {
      attributes: {
        request: { http: { ...checkTarget(target), method: body.method, header_map: headersOf(body) } },
      },
    },
    'rest',
  );
  return {
    ...request,
    border: 'authorize',
    body: { seen, partial: request.body.partial, size: seen === null ? null : seen.length },
  };
}

function checkTarget({ scheme, host, target }: Target) {
  return { scheme, host, path: target };
}

/** Where a described request goes: `url`, or scheme, host and target. What is wrong is added to `problems`. */
export function targetOf(body: AuthorizeBody, problems: Problem[]): Target {
  const { url, scheme, host, target } = body;
  const parts = { scheme, host, target };
  const given = Object.entries(parts).filter(([, value]) => value !== undefined);
  if (url === undefined) {
    for (const [field, value] of Object.entries(parts)) {
      if (value === undefined)
        problems.push({ field, message: 'missing: give url, or scheme, host and target' });
    }
    return { scheme: scheme ?? '', host: host ?? '', target: target ?? '' };
  }
  for (const [field] of given)
    problems.push({ field, message: 'says again what url says: give one of the two' });
  return splitUrl(url, problems);
}

function splitUrl(url: string, problems: Problem[]): Target {
  const [, scheme = '', host = '', rest = ''] = ABSOLUTE_URL.exec(url) ?? [];
  if (scheme === '')
    problems.push({ field: 'url', message: 'must be absolute: https://api.example.com/v1/documents' });
  if (host.includes('@')) problems.push({ field: 'url', message: 'must have no user name or password' });
  return {
    scheme: scheme.toLowerCase(),
    host,
    target: rest === '' || rest.startsWith('?') ? `/${rest}` : rest,
  };
}

function bodyOf({ body_base64: text }: AuthorizeBody, problems: Problem[]): Uint8Array | null {
  if (text === undefined) return null;
  const bytes = fromBase64(text);
  if (bytes === null)
    problems.push({ field: 'body_base64', message: 'must be canonical base64 with its padding' });
  return bytes;
}

function headersOf({ headers = {} }: AuthorizeBody) {
  return {
    headers: Object.entries(headers).flatMap(([key, value]) =>
      [value].flat().map((line) => ({ key, value: String(line) })),
    ),
  };
}

/** What the caller gets. `headers` are to be set on the upstream request, after those in `headers_to_remove` are gone. */
export type Answer =
  | {
      readonly status: 200;
      readonly body: {
        readonly success: true;
        readonly decision: 'allow';
        readonly reason: string;
        readonly decision_id: string;
        readonly observed: boolean;
        readonly headers: Readonly<Record<string, string>>;
        readonly headers_to_remove: readonly string[];
        readonly response_headers_to_add: Readonly<Record<string, string>>;
      };
    }
  | {
      readonly status: number;
      readonly body: {
        readonly success: false;
        readonly error: string;
        readonly message: string;
        readonly decision_id: string;
      };
    };

/** A decision as JSON: the same effects that Envoy would be told, under the reason's HTTP status. */
export function toAnswer(decision: Decision, request: AuthzRequest): Answer {
  const check = toCheck(decision, request);
  const { decision_id, reason } = decision;
  if ('denied_response' in check) {
    const message =
      decision.result?.message ?? `denied: ${reason}; the decision log says more under ${decision_id}`;
    const status = check.denied_response.status.code;
    return {
      status: status < 400 ? statusOf('internal_error').http : status,
      body: { success: false, error: reason, message, decision_id },
    };
  }
  const { headers, headers_to_remove, response_headers_to_add } = check.ok_response;
  return {
    status: 200,
    body: {
      success: true,
      decision: 'allow',
      reason,
      decision_id,
      observed: decision.observed,
      headers: toRecord(headers),
      headers_to_remove,
      response_headers_to_add: toRecord(response_headers_to_add),
    },
  };
}

function toRecord(options: readonly HeaderOptionMessage[]): Record<string, string> {
  return Object.fromEntries(options.map(({ header }) => [header.key, header.value]));
}
