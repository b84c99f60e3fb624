/** A member of a JSON Schema, for people. */
export interface Row {
  /** From the outside in: `claims.budget.operations`, `items[].id`; empty for the whole. */
  readonly name: string;
  readonly type: string;
  readonly required: boolean;
  readonly about: string;
}

/** Of JSON Schema, what our schemas say. */
interface Schema {
  readonly $ref?: string;
  readonly type?: string | readonly string[];
  readonly description?: string;
  readonly const?: unknown;
  readonly enum?: readonly unknown[];
  readonly default?: unknown;
  readonly pattern?: string;
  readonly format?: string;
  readonly required?: readonly string[];
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly additionalProperties?: boolean | Schema;
  readonly items?: Schema;
  readonly oneOf?: readonly Schema[];
  readonly anyOf?: readonly Schema[];
  readonly [bound: string]: unknown;
}

/** Deeper than any schema of ours. */
const DEEPEST = 10;
const BOUNDS: readonly (readonly [keyword: string, text: string])[] = [
  ['minimum', 'at least'],
  ['maximum', 'at most'],
  ['minLength', 'characters at least'],
  ['maxLength', 'characters at most'],
  ['minItems', 'items at least'],
  ['maxItems', 'items at most'],
];

/** A schema's members, each followed by its own; one row for what has none. */
export function rowsOf(schema: object): Row[] {
  const rows = membersOf(schema as Schema, '', DEEPEST);
  return rows.length > 0 ? rows : [rowOf(schema as Schema, '', false)];
}

function membersOf(schema: Schema, name: string, depth: number): Row[] {
  if (depth === 0) return [];
  const { properties = {}, required = [], items, additionalProperties, oneOf, anyOf } = schema;
  const own = Object.entries(properties).flatMap(([member, inner]) => {
    const path = name === '' ? member : `${name}.${member}`;
    return [rowOf(inner, path, required.includes(member)), ...membersOf(inner, path, depth - 1)];
  });
  const listed = items === undefined ? [] : membersOf(items, `${name}[]`, depth - 1);
  const others =
    typeof additionalProperties === 'object' ? membersOf(additionalProperties, `${name}.*`, depth - 1) : [];
  const choices = [...(oneOf ?? []), ...(anyOf ?? [])].flatMap((one) => membersOf(one, name, depth - 1));
  const seen = new Set(own.map((row) => row.name));
  return [...own, ...listed, ...others, ...choices.filter((row) => !seen.has(row.name))];
}

function rowOf(schema: Schema, name: string, required: boolean): Row {
  const { description = '', pattern, format } = schema;
  const bounds = BOUNDS.flatMap(([keyword, text]) =>
    schema[keyword] === undefined ? [] : [`${text} ${String(schema[keyword])}`],
  );
  const facts = [
    description,
    ...(schema.default === undefined ? [] : [`default ${JSON.stringify(schema.default)}`]),
    ...(format === undefined ? [] : [`format ${format}`]),
    ...bounds,
    ...(pattern === undefined ? [] : [`matches ${pattern}`]),
  ];
  return { name, type: typeOf(schema), required, about: facts.filter((text) => text !== '').join('; ') };
}

function typeOf(schema: Schema): string {
  const { $ref, type, items, oneOf, anyOf, properties, additionalProperties } = schema;
  if ($ref !== undefined) return $ref.split('/').at(-1) ?? '';
  if (schema.const !== undefined) return JSON.stringify(schema.const);
  if (schema.enum !== undefined) return schema.enum.map((one) => JSON.stringify(one)).join(' or ');
  const choices = oneOf ?? anyOf;
  if (type === undefined && choices !== undefined) return [...new Set(choices.map(typeOf))].join(' or ');
  if (type === undefined) return properties === undefined ? 'anything' : 'object';
  return [type]
    .flat()
    .map((one) => {
      if (one === 'array' && items !== undefined) return `list of ${typeOf(items)}`;
      const mapped = one === 'object' && properties === undefined && typeof additionalProperties === 'object';
      return mapped ? `object of ${typeOf(additionalProperties)}` : one;
    })
    .join(' or ');
}

/** A value of the schema's form: its required members, a placeholder for each text. */
export function exampleOf(schema: object, name = 'value', depth = DEEPEST): unknown {
  const { type, items, properties = {}, required = [], oneOf, anyOf, ...rest } = schema as Schema;
  if (rest.const !== undefined) return rest.const;
  if (rest.enum !== undefined) return rest.enum[0];
  const [choice] = oneOf ?? anyOf ?? [];
  switch ([type].flat()[0] ?? (choice === undefined ? 'object' : 'choice')) {
    case 'choice':
      return depth === 0 ? null : exampleOf(choice ?? {}, name, depth - 1);
    case 'integer':
    case 'number':
      return rest.default ?? rest.minimum ?? 1;
    case 'boolean':
      return rest.default ?? true;
    case 'array':
      return items === undefined || depth === 0 ? [] : [exampleOf(items, name, depth - 1)];
    case 'string':
      return `<${name}>`;
    default:
      return Object.fromEntries(
        required.map((member) => [
          member,
          depth === 0 ? null : exampleOf(properties[member] ?? {}, member, depth - 1),
        ]),
      );
  }
}
