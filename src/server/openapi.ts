import { REASONS } from '../reason.ts';
import { API_ERRORS } from '../schema/api.ts';
import { error as errorSchema } from './answers.ts';
import { SESSION_COOKIE } from './credentials.ts';
import { OPERATIONS, type Operation } from './operations.ts';

const DENIALS = Object.values(REASONS).flatMap(({ http }) => (http === 200 ? [] : [http]));

interface ObjectSchema {
  readonly required?: readonly string[];
  readonly properties?: Readonly<Record<string, object & { readonly description?: string }>>;
}

/** What is made here of OpenAPI 3.1. Paths to methods, in lower case, to operations. */
export interface OpenApi {
  readonly openapi: string;
  readonly info: Readonly<Record<'title' | 'version' | 'summary' | 'description', string>> & {
    readonly license: object;
  };
  readonly tags: readonly { readonly name: string; readonly description: string }[];
  readonly paths: Readonly<Record<string, Readonly<Record<string, Described>>>>;
  readonly components: {
    readonly schemas: Readonly<Record<string, object>>;
    readonly securitySchemes: Readonly<Record<string, object>>;
  };
}

export interface Described {
  readonly operationId: string;
  readonly summary: string;
  readonly tags: readonly string[];
  readonly security: readonly object[];
  /** What the caller must be allowed to do; `signed_in`: only to be known. Absent where anybody may ask. */
  readonly 'x-lemma-permission'?: string;
  readonly parameters?: readonly Parameter[];
  readonly requestBody?: { readonly required: boolean; readonly content: Content };
  readonly responses: Readonly<Record<string, { readonly description: string; readonly content?: Content }>>;
}

export interface Parameter {
  readonly name: string;
  readonly in: 'path' | 'query';
  readonly required: boolean;
  readonly description?: string;
  readonly schema: object;
}

/** Media type to schema. */
export type Content = Readonly<Record<string, { readonly schema: object }>>;

/** The API as an OpenAPI 3.1 document. `version` is the package's. */
export function openApi(version: string): OpenApi {
  const paths: Record<string, Record<string, Described>> = {};
  for (const [id, operation] of Object.entries<Operation>(OPERATIONS)) {
    const item = paths[operation.path] ?? {};
    paths[operation.path] = item;
    item[operation.method.toLowerCase()] = describe(id, operation);
  }
  return {
    openapi: '3.1.0',
    info: {
      title: 'Lemma',
      version,
      summary: 'Authorization for AI agents',
      description:
        'Operations tagged `control` are served by the control listener, those tagged `decision` by the decision listener.',
      license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
    },
    tags: [
      { name: 'control', description: 'The control plane; asks who calls' },
      { name: 'decision', description: 'What enforcement points call; asks for no key' },
    ],
    paths,
    components: {
      schemas: { Error: errorSchema },
      securitySchemes: {
        operator: {
          type: 'http',
          scheme: 'bearer',
          description: "The owner's key, lm_op_…, an API key, lm_ak_…, or what the device flow gave, lm_cs_…",
        },
        apiKey: { type: 'apiKey', in: 'header', name: 'X-API-Key', description: 'An API key, lm_ak_…' },
        session: {
          type: 'apiKey',
          in: 'cookie',
          name: SESSION_COOKIE,
          description: 'A session; what changes something needs its CSRF token in X-CSRF-Token too',
        },
      },
    },
  };
}

function describe(id: string, operation: Operation): Described {
  const { summary, params, query, body, form, on, needs } = operation;
  const parameters = [...parametersOf(params, 'path'), ...parametersOf(query, 'query')];
  return {
    operationId: id,
    summary,
    tags: on,
    security: securityOf(needs !== null, on),
    ...(needs === null ? {} : { 'x-lemma-permission': needs }),
    ...(parameters.length === 0 ? {} : { parameters }),
    ...(body === undefined
      ? {}
      : { requestBody: { required: !isNullable(body), content: contentOf(body, form) } }),
    responses: responsesOf(operation),
  };
}

/** An operation that the decision listener serves too can be called without a key there. */
function securityOf(auth: boolean, on: Operation['on']): object[] {
  if (!auth) return [];
  const known = [{ operator: [] }, { apiKey: [] }, { session: [] }];
  return on.includes('decision') ? [...known, {}] : known;
}

function isNullable(schema: object): boolean {
  return 'type' in schema && Array.isArray(schema.type) && schema.type.includes('null');
}

function parametersOf(schema: ObjectSchema | undefined, place: 'path' | 'query'): Parameter[] {
  return Object.entries(schema?.properties ?? {}).map(([name, { description, ...rest }]) => ({
    name,
    in: place,
    required: schema?.required?.includes(name) ?? false,
    ...(description === undefined ? {} : { description }),
    schema: rest,
  }));
}

function responsesOf({
  answer,
  conditional,
  errors,
  needs,
  decides,
  denies,
}: Operation): Described['responses'] {
  const denials = denies ?? (decides ? DENIALS : []);
  const codes =
    needs === null
      ? errors
      : [...errors, 'auth_required' as const, 'forbidden' as const, 'rate_limited' as const];
  const statuses = new Set<number>([
    ...codes.map((code) => API_ERRORS[code]),
    ...denials,
    ...(denies === undefined ? [API_ERRORS.internal_error] : []),
  ]);
  const content =
    'mediaType' in answer
      ? Object.fromEntries([answer.mediaType].flat().map((type) => [type, { schema: { type: 'string' } }]))
      : json(answer);
  return {
    '200': { description: 'Done', content },
    ...(conditional === true ? { '304': { description: 'The caller has it already' } } : {}),
    ...Object.fromEntries(
      [...statuses].sort().map((status) => [String(status), errorResponse(status, codes, denials)]),
    ),
  };
}

function errorResponse(status: number, codes: Operation['errors'], denials: readonly number[]) {
  const named = codes.filter((code) => API_ERRORS[code] === status);
  const denied = denials.includes(status) ? ['a denial, by its reason'] : [];
  const description = [...named, ...denied].join(', ') || 'internal_error';
  return { description, content: json({ $ref: '#/components/schemas/Error' }) };
}

function contentOf(schema: object, form = false): Content {
  return form ? { ...json(schema), 'application/x-www-form-urlencoded': { schema } } : json(schema);
}

function json(schema: object): Content {
  return { 'application/json': { schema } };
}
