import fc from 'fast-check';

/** The keywords of JSON Schema that the published schemas use. */
interface Schema {
  readonly type?: string | readonly string[];
  readonly description?: string;
  readonly const?: unknown;
  readonly enum?: readonly unknown[];
  readonly properties?: { readonly [name: string]: Schema };
  readonly required?: readonly string[];
  readonly additionalProperties?: boolean | Schema;
  readonly items?: Schema;
}

const NAMES = fc.string({ maxLength: 8, unit: 'grapheme' });

/** Values that a schema takes. Members that it does not describe are any JSON. */
export function jsonOf(schema: Schema): fc.Arbitrary<unknown> {
  if (schema.const !== undefined) return fc.constant(schema.const);
  if (schema.enum !== undefined) return fc.constantFrom(...schema.enum);
  if (schema.type === undefined) return fc.jsonValue({ maxDepth: 3 });
  const types = typeof schema.type === 'string' ? [schema.type] : schema.type;
  return fc.oneof(...types.map((type) => ofType(type, schema)));
}

function ofType(type: string, schema: Schema): fc.Arbitrary<unknown> {
  switch (type) {
    case 'object':
      return objectOf(schema);
    case 'array':
      return fc.array(jsonOf(schema.items ?? {}), { maxLength: 4 });
    case 'string':
      return fc.string({ maxLength: 24, unit: 'grapheme' });
    case 'integer':
      return fc.oneof(fc.integer({ min: -2, max: 5 }), fc.maxSafeInteger());
    case 'boolean':
      return fc.boolean();
    case 'null':
      return fc.constant(null);
    default:
      throw new Error(`no values of type ${type}`);
  }
}

function objectOf({ properties, required = [], additionalProperties }: Schema): fc.Arbitrary<unknown> {
  if (properties === undefined) {
    const values = typeof additionalProperties === 'object' ? additionalProperties : {};
    return fc.dictionary(NAMES, jsonOf(values), { maxKeys: 4 });
  }
  const members = Object.fromEntries(
    Object.entries(properties).map(([name, schema]) => [name, jsonOf(schema)]),
  );
  return fc.record(members, { requiredKeys: [...required] });
}
