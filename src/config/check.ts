import type { Problem } from '../reason.ts';
import {
  BYTES32_PATTERN,
  CONCRETE_SCOPE_PATTERN,
  HEADER_PATTERN,
  ID_PATTERN,
  SUBJECT_PATTERN,
} from '../schema/common.ts';
import {
  COMMIT_PATTERN,
  type ConfigFile,
  configSchema,
  DURATION_PATTERN,
  MODE_PATTERN,
  PEER_PATTERN,
  SIZE_PATTERN,
} from '../schema/config.ts';
import { ROUTE_METHOD_PATTERN, type RouteEntry, routesFileSchema } from '../schema/route.ts';
import { type Checked, checker } from '../schema/validate.ts';
import { hint } from './nearest.ts';
import { breaches } from './rules.ts';

/** A routes file's two parts, whichever form it has. */
export interface RoutesFile {
  readonly routes: readonly RouteEntry[];
  readonly permit_method_override: readonly string[];
}

const checkShape = checker(configSchema);
const checkRoutesShape = checker(routesFileSchema);

/** The configuration's data, typed, or everything wrong with it: shape, names and what no schema can say. */
export function checkConfig(value: unknown): Checked<ConfigFile> {
  return check(value, checkShape(value), configSchema);
}

/** A routes file's data; the fields of its problems begin with `routes`, list or not. */
export function checkRoutesFile(value: unknown): Checked<RoutesFile> {
  const whole = Array.isArray(value) ? { routes: value } : value;
  const checked = check(whole, checkRoutesShape(whole), routesFileSchema);
  if (!checked.ok) return checked;
  const { routes, permit_method_override: permitted = [] } = checked.value as Partial<RoutesFile>;
  return { ok: true, value: { routes: routes ?? [], permit_method_override: permitted } };
}

function check<T>(value: unknown, shape: Checked<T>, schema: object): Checked<T> {
  const problems = shape.ok ? [] : shape.problems.map((problem) => reword(problem, schema));
  const broken = new Set(problems.map((p) => p.field));
  problems.push(...breaches(value).filter((p) => !broken.has(p.field)));
  return problems.length === 0 ? shape : { ok: false, problems };
}

const WORDS = new Map([
  [ID_PATTERN, 'must be 1 to 64 of a-z 0-9 . _ - and begin with a letter or digit'],
  [BYTES32_PATTERN, 'must be 32 bytes as base64url: 43 characters, no padding'],
  [SUBJECT_PATTERN, 'must be did:lemma:ppid_ and 64 lower-case hex digits'],
  [CONCRETE_SCOPE_PATTERN, 'must be 1 to 8 segments of a-z 0-9 _ - joined by dots, no wildcard'],
  [ROUTE_METHOD_PATTERN, 'must be an HTTP method in upper case'],
  [HEADER_PATTERN, 'must be a header name'],
  [DURATION_PATTERN, 'must be a number and s, m, h, d or w: 90d'],
  [MODE_PATTERN, 'must be octal permissions in quotes: "0660"'],
  [PEER_PATTERN, 'must be a SPIFFE ID, or all below one: spiffe://acme/ns/prod/*'],
  [COMMIT_PATTERN, 'must be a whole commit id: 40 or 64 lower-case hex digits (git rev-parse)'],
  [SIZE_PATTERN, 'must be bytes, or a number and a unit: 20GB'],
]);

/** A validator's words into a person's, with the mend. */
function reword(problem: Problem, schema: object): Problem {
  const { field, message } = problem;
  if (message === 'unknown member') return { field, message: `unknown key${nearestKey(field, schema)}` };
  if (message === 'missing') return { field, message: 'is missing' };
  if (message === 'must be string' || message === 'must be string,object')
    return { field, message: 'must be text: put it in quotes' };
  if (message.startsWith('must be '))
    return { field, message: message.replaceAll(',', ' or ').replaceAll(' or  ', ', ') };
  const pattern = /^must match pattern "(.*)"$/s.exec(message)?.[1];
  return { field, message: (pattern === undefined ? undefined : WORDS.get(pattern)) ?? message };
}

interface Node {
  readonly items?: Node;
  readonly properties?: Readonly<Record<string, Node>>;
}

/** Follows the known part of the path through the schema; what is left is the unknown key. */
function nearestKey(field: string, schema: Node): string {
  let node = schema;
  let rest = field;
  for (;;) {
    const step = /^(?:\[\d+\]|([A-Za-z_]+))(?:\.|(?=\[))?/.exec(rest);
    const next =
      step === null ? undefined : step[1] === undefined ? node.items : own(node.properties, step[1]);
    if (step === null || next === undefined || step[0].length === rest.length) break;
    node = next;
    rest = rest.slice(step[0].length);
  }
  return hint(rest, Object.keys(node.properties ?? {}));
}

function own(properties: Node['properties'], name: string): Node | undefined {
  return properties !== undefined && Object.hasOwn(properties, name) ? properties[name] : undefined;
}
