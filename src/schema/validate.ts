import { Ajv, type ErrorObject } from 'ajv';
import type { FromSchema, JSONSchema } from 'json-schema-to-ts';
import type { Problem } from '../reason.ts';

/**
 * Strict everywhere: no coercion, nothing stripped or filled in, every error collected, so that a person mends a
 * file in one go. `ownProperties` keeps prototype members out of the check.
 *
 * Compiling is a tenth of a start, so that nothing is done twice: the schemas are constants, held against JSON Schema
 * by a test, and V8 optimizes the code that comes out by itself.
 */
const ajv = new Ajv({
  strict: true,
  allErrors: true,
  ownProperties: true,
  strictTypes: false,
  strictRequired: false,
  meta: false,
  validateSchema: false,
  code: { optimize: false },
});

/** The value, typed, or every problem with it. */
export type Checked<T> =
  | { readonly ok: true; readonly value: T }
  | { readonly ok: false; readonly problems: Problem[] };

/** Compiles on first use: start-up pays only for the schemas that it meets. */
export function checker<const S extends JSONSchema>(schema: S): (value: unknown) => Checked<FromSchema<S>> {
  return checkerOf<FromSchema<S>>(schema as object);
}

/** The same where `T` is named already: the compiler need not derive it again. */
export function checkerOf<T>(schema: object): (value: unknown) => Checked<T> {
  let validate: ReturnType<typeof ajv.compile> | undefined;
  return (value) => {
    validate ??= ajv.compile(schema);
    if (validate(value)) return { ok: true, value: value as T };
    return { ok: false, problems: (validate.errors ?? []).map(problem) };
  };
}

/** `/routes/0/risk` -> `routes[0].risk`. */
export function fieldOf(pointer: string): string {
  return pointer
    .split('/')
    .slice(1)
    .map((part) => part.replaceAll('~1', '/').replaceAll('~0', '~'))
    .reduce(
      (path, part) => (/^\d+$/.test(part) ? `${path}[${part}]` : path === '' ? part : `${path}.${part}`),
      '',
    );
}

function problem(error: ErrorObject): Problem {
  const field = fieldOf(error.instancePath);
  const params = error.params as Record<string, unknown>;
  switch (error.keyword) {
    case 'additionalProperties':
      return { field: join(field, String(params.additionalProperty)), message: 'unknown member' };
    case 'required':
      return { field: join(field, String(params.missingProperty)), message: 'missing' };
    case 'enum':
      return { field, message: `must be one of ${(params.allowedValues as unknown[]).join(', ')}` };
    case 'const':
      return { field, message: `must be ${JSON.stringify(params.allowedValue)}` };
    default:
      return { field, message: error.message ?? error.keyword };
  }
}

function join(field: string, member: string): string {
  return field === '' ? member : `${field}.${member}`;
}
