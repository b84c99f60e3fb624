import type { FromSchema } from 'json-schema-to-ts';
import { policyInputSchema } from './input.ts';

/**
 * What opa-envoy-plugin gives a policy (envoyauth/request.go, ext_authz v3), as far as it is given here: beside the contract's
 * members in the input of a bundle with `adapter: opa-envoy`, and in `input.envoy` of any other that asks for it. Published by `lemma policy schema --adapter opa-envoy`.
 */

const text = { type: 'string' } as const;
const strings = { type: 'array', items: text } as const;
const texts = { type: 'object', additionalProperties: text } as const;

const http = {
  type: 'object',
  additionalProperties: false,
  required: ['method', 'headers', 'path', 'host', 'scheme', 'protocol'],
  properties: {
    method: text,
    headers: {
      ...texts,
      description: 'those that `metadata.lemma.headers` lists, and :authority, :method, :path, :scheme',
    },
    path: { ...text, description: 'with the query' },
    host: text,
    scheme: text,
    protocol: text,
  },
} as const;

const view = {
  attributes: {
    type: 'object',
    additionalProperties: false,
    required: ['source', 'request', 'contextExtensions'],
    properties: {
      source: {
        type: 'object',
        additionalProperties: false,
        properties: {
          address: {
            type: 'object',
            additionalProperties: false,
            properties: {
              socketAddress: { type: 'object', additionalProperties: false, properties: { address: text } },
            },
          },
          principal: text,
        },
      },
      request: {
        type: 'object',
        additionalProperties: false,
        required: ['time', 'http'],
        properties: { time: { ...text, description: 'RFC 3339, when the decision began' }, http },
      },
      contextExtensions: texts,
    },
  },
  parsed_path: strings,
  parsed_query: { type: 'object', additionalProperties: strings },
  parsed_body: { description: 'where the route says `body: json`; null where it is not whole, or no JSON' },
  truncated_body: { type: 'boolean' },
  version: {
    type: 'object',
    additionalProperties: false,
    properties: { ext_authz: text, encoding: text },
  },
} as const;

const required = [
  'attributes',
  'parsed_path',
  'parsed_query',
  'parsed_body',
  'truncated_body',
  'version',
] as const;

export const envoyViewSchema = {
  type: 'object',
  additionalProperties: false,
  required,
  properties: view,
} as const;

export const opaEnvoyInputSchema = {
  ...policyInputSchema,
  title:
    "Lemma policy input v1 behind the adapter opa-envoy: opa-envoy-plugin's members beside the contract's",
  required: [...policyInputSchema.required, ...required],
  properties: { ...policyInputSchema.properties, ...view },
} as const;

export type EnvoyView = FromSchema<typeof envoyViewSchema>;
