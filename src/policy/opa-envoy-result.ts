import { Denial } from '../reason.ts';
import type { Adapter } from '../schema/bundle.ts';
import type { PolicyResult } from '../schema/result.ts';
import { resultOf } from './result.ts';

/**
 * What a policy answers, as the contract says it, from OPA's result set.
 *
 * @throws Denial `policy_error` as `resultOf`
 */
export function answerOf(resultSet: unknown, adapter?: Adapter): PolicyResult {
  return resultOf(adapter === undefined ? resultSet : adapted(resultSet));
}

/** What is wrong in number is for `resultOf` to say. */
function adapted(resultSet: unknown): unknown {
  if (!Array.isArray(resultSet) || resultSet.length !== 1) return resultSet;
  const [entry]: unknown[] = resultSet;
  return [{ result: contractual(isObject(entry) ? entry.result : undefined) }];
}

type Members = Readonly<Record<string, unknown>>;

/** What an answer may hold of opa-envoy-plugin's (envoyauth/response.go). */
const KNOWN: ReadonlySet<string> = new Set([
  'allowed',
  'headers',
  'response_headers_to_add',
  'request_headers_to_remove',
  'body',
  'http_status',
  'dynamic_metadata',
]);

const QUERY = 'the upstream gets the query that was decided about';

/** What it may not hold, and why: said when it is built, where its line is seen, and when it is answered. */
export const NOT_HONOURED: Readonly<Record<string, string>> = {
  query_parameters_to_set: QUERY,
  query_parameters_to_remove: QUERY,
  status_code: 'it is called http_status',
};

/**
 * `true`, `false`, or an object with `allowed`. A denial is `policy_denied`; its `http_status` counts from 400 on (a redirect would be
 * no denial to a client). What opa-envoy-plugin leaves out as well is dropped: `body` and `http_status` of what is allowed, what is
 * for the upstream or its answer of what is denied.
 */
function contractual(decision: unknown): unknown {
  if (typeof decision === 'boolean') return decision ? ALLOWED : DENIED;
  if (!isObject(decision)) throw wrong(`must be a boolean, or an object with "allowed"`);
  const strange = Object.keys(decision).find((member) => !KNOWN.has(member));
  if (strange !== undefined) {
    const why = Object.hasOwn(NOT_HONOURED, strange) ? NOT_HONOURED[strange] : 'take it out';
    throw wrong(`has the member "${strange}", which is not honoured here: ${why}`);
  }
  if (typeof decision.allowed !== 'boolean') throw wrong('"allowed" must be a boolean');
  return decision.allowed ? allowedBy(decision) : deniedBy(decision);
}

const ALLOWED = { allow: true, reason: 'allowed', reasons: [] };
const DENIED = { allow: false, reason: 'policy_denied', reasons: ['policy_denied'] };

function allowedBy(decision: Members): Members {
  const { request_headers_to_remove: removed, dynamic_metadata: metadata } = decision;
  return {
    ...ALLOWED,
    ...headersIn(decision, 'headers'),
    ...headersIn(decision, 'response_headers_to_add'),
    ...(removed === undefined ? {} : { request_headers_to_remove: removed }),
    ...(metadata === undefined ? {} : { dynamic_metadata: metadata }),
  };
}

function deniedBy(decision: Members): Members {
  const { http_status: status, body, dynamic_metadata: metadata } = decision;
  if (status !== undefined && typeof status !== 'number') throw wrong('"http_status" must be a number');
  return {
    ...DENIED,
    ...(status !== undefined && status >= 400 ? { http_status: status } : {}),
    ...headersIn(decision, 'headers'),
    ...(body === undefined ? {} : { body }),
    ...(metadata === undefined ? {} : { dynamic_metadata: metadata }),
  };
}

/** One object, or a list of them; a value is a text or a list of texts. Lines of one name become one (RFC 9110, 5.3). */
function headersIn(decision: Members, member: 'headers' | 'response_headers_to_add'): Members {
  const given = decision[member];
  if (given === undefined) return {};
  const lines = new Map<string, string>();
  for (const part of Array.isArray(given) ? given : [given]) {
    if (!isObject(part)) throw wrong(`"${member}" must be an object, or a list of objects`);
    for (const [name, value] of Object.entries(part)) {
      for (const line of Array.isArray(value) ? value : [value]) add(lines, member, name.toLowerCase(), line);
    }
  }
  return { [member]: Object.fromEntries(lines) };
}

function add(lines: Map<string, string>, member: string, name: string, line: unknown): void {
  if (typeof line !== 'string')
    throw wrong(`"${member}": the value of "${name}" must be a text, or a list of texts`);
  const before = lines.get(name);
  if (before !== undefined && name === 'set-cookie')
    throw wrong(`"${member}": set-cookie cannot be there twice`);
  lines.set(name, before === undefined ? line : `${before}, ${line}`);
}

function isObject(value: unknown): value is Members {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function wrong(problem: string): Denial {
  return new Denial('policy_error', `the answer ${problem}`, { problem: `the answer ${problem}` });
}
