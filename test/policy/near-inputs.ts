import fc from 'fast-check';
import type { Profile } from '../../src/schema/common.ts';
import { policyInputSchema } from '../../src/schema/input.ts';
import { jsonOf } from './arbitrary.ts';
import { allowedInput, merged } from './support.ts';

type Json = { [key: string]: unknown };
type Edit = (input: Json) => Json;
type Path = readonly (string | number)[];

const NOW_S = 1_790_000_000;
const POP = { present: false, body_covered: false };

/** What the profiles' thresholds are compared with, just below, at and just above them. */
function near(...values: readonly number[]): fc.Arbitrary<number> {
  return fc.constantFrom(...values).chain((value) => fc.constantFrom(value - 1, value, value + 1));
}

const EPOCH = fc.integer({ min: 0, max: 4 });
const METHOD = fc.constantFrom('GET', 'GET', 'HEAD', 'OPTIONS', 'POST', 'DELETE', 'get', '');
const BODY_STATE = fc.constantFrom('none', 'complete', 'complete', 'truncated', 'unseen');
const BODY_JSON = fc.oneof(fc.constant(undefined), fc.jsonValue({ maxDepth: 2 }));
/** With the fractions that make an age whole: `now` ends in 123 ms. */
const ISSUED_AT = fc
  .tuple(near(10, 900, 3_600, 86_400), fc.constantFrom(0, 0, 0.122, 0.123, 0.124))
  .map(([age, part]) => NOW_S - age + part);
const link = fc.record(
  { type: fc.constantFrom('root', 'delegation', 'runtime', 'runtime', 'run'), issued_at: ISSUED_AT },
  { requiredKeys: ['type'] },
);

/** One thing that a rule of some profile looks at, laid over an input. */
const fact = fc.oneof(
  fc.record({ method: METHOD }).map((request) => ({ request })),
  fc.constantFrom('POST', 'GET').map((method) => ({
    request: { method },
    subject: { via: 'credential' },
    proof: { pop: POP },
  })),
  fc.tuple(fc.boolean(), fc.boolean()).map(([present, body_covered]) => ({
    request: { method: 'POST', body: { state: 'complete' } },
    proof: { pop: { present, body_covered } },
  })),
  fc.constantFrom(undefined, '', 'run-2').map((run_id) => ({ proof: { run_id } })),
  fc.record({ held: fc.option(EPOCH, { nil: undefined }), epoch: EPOCH, method: METHOD }).map((t) => ({
    request: { method: t.method },
    proof: { taint_epoch: t.held },
    runtime: { taint_epoch: t.epoch },
  })),
  fc
    .record({
      source: fc.constantFrom('local', 'lease', 'lease'),
      confirmed: fc.boolean(),
      age_ms: near(0, 5_000, 30_000),
    })
    .map((freshness) => ({ freshness })),
  fc.array(link, { maxLength: 3 }).map((links) => ({ proof: { links } })),
  ISSUED_AT.map((issued_at) => ({ proof: { links: [{ type: 'runtime', issued_at }] } })),
  fc
    .record({ wanted: fc.constantFrom('none', 'digest', 'json', 'json'), state: BODY_STATE, json: BODY_JSON })
    .map(({ wanted, state, json }) => ({ route: { body: wanted }, request: { body: { state, json } } })),
  BODY_JSON.map((json) => ({ route: { body: 'json' }, request: { body: { state: 'complete', json } } })),
  fc.record({ limit: fc.constantFrom(0, 5), used: near(0, 5) }).map((budget) => ({ budget })),
  fc.constantFrom('token', 'asserted', 'none', 'proof').chain((via) =>
    fc.record({ epoch: fc.constantFrom(0, 0, 1), method: METHOD }).map(({ epoch, method }) => ({
      request: { method },
      subject: { via },
      proof: via === 'token' ? { taint_epoch: 0, pop: POP } : null,
      legacy: { token: via === 'token' },
      runtime: via === 'none' ? null : { taint_epoch: epoch },
    })),
  ),
  fc.boolean().map((open) => ({ route: { public: open } })),
  fc.constantFrom('documents.read', 'documents.write').map((id) => ({ route: { id } })),
  fc.constantFrom('low', 'high', 'critical').map((profile) => ({ profile })),
);

/** What no schema allows, and a policy must deny or look past all the same. */
const odd = fc.oneof(
  fc.constantFrom<unknown>(
    undefined,
    undefined,
    null,
    false,
    true,
    0,
    -1,
    1,
    0.5,
    1e300,
    2 ** 53,
    -(2 ** 63),
  ),
  fc.constantFrom<unknown>('', '1', 'true', 'public', [], {}, [1], { json: 1 }, 'é\u0000'),
  fc.jsonValue({ maxDepth: 2 }),
);

const PATHS = [...pathsOf(allowedInput('low')), ['request', 'body', 'json']];

/**
 * Inputs around the one that a profile allows: some of what its rules look at changed, thresholds met and missed by
 * one; in one of three a member is missing or of a wrong type; one of eight is any input of the schema.
 */
export function nearInputs(profile: Profile): fc.Arbitrary<Json> {
  const facts = fc.array(
    fact.map(
      (change): Edit =>
        (input) =>
          merged(input, change),
    ),
    { maxLength: 4 },
  );
  const holes = fc.array(
    fc.tuple(fc.constantFrom(...PATHS), odd).map(
      ([path, value]): Edit =>
        (input) =>
          put(input, path, value),
    ),
    { minLength: 1, maxLength: 2 },
  );
  const edited = (edits: fc.Arbitrary<readonly Edit[]>) =>
    edits.map((all) => all.reduce((input, edit) => edit(input), allowedInput(profile) as Json));
  const both = fc.tuple(facts, holes).map(([some, more]) => [...some, ...more]);
  const any = fc
    .tuple(jsonOf(policyInputSchema) as fc.Arbitrary<Json>, fc.subarray(Object.keys(allowedInput(profile))))
    .map(([other, kept]) => {
      const allowed: Json = allowedInput(profile);
      return { ...other, ...Object.fromEntries(kept.map((name) => [name, allowed[name]])) };
    });
  return fc.oneof(
    { weight: 13, arbitrary: edited(facts) },
    { weight: 8, arbitrary: edited(both) },
    { weight: 3, arbitrary: any },
  );
}

function pathsOf(value: unknown, path: Path = []): Path[] {
  const own = path.length === 0 ? [] : [path];
  if (typeof value !== 'object' || value === null) return own;
  const entries = Array.isArray(value) ? [...value.entries()] : Object.entries(value);
  return [...own, ...entries.flatMap(([key, member]) => pathsOf(member, [...path, key]))];
}

/** `base` with another value at a path; `undefined` takes it out. A path that leads nowhere changes nothing. */
function put(base: unknown, path: Path, value: unknown): Json {
  const [key, ...rest] = path;
  if (typeof base !== 'object' || base === null || key === undefined) return base as Json;
  const copy = (Array.isArray(base) ? [...base] : { ...base }) as Json;
  const next = rest.length === 0 ? value : put(copy[key], rest, value);
  if (next === undefined && !Array.isArray(copy)) delete copy[key];
  else copy[key] = next ?? null;
  return copy;
}
