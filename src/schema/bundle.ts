import type { FromSchema } from 'json-schema-to-ts';
import { BYTES32_PATTERN, BYTES64_PATTERN, ID_PATTERN, PROFILES } from './common.ts';

/** A policy bundle's own documents: OPA's `.manifest` with our metadata, and the signature beside it. */

export const MANIFEST_FILE = '.manifest';
export const SIGNATURE_FILE = '.lemma-signature.json';
/** OPA's own signature: what counts where `SIGNATURE_FILE` is not there, for a bundle of stock `opa build`. */
export const OPA_SIGNATURES_FILE = '.signatures.json';
export const WASM_FILE = 'policy.wasm';
export const DATA_FILE = 'data.json';

/** Lower-case hex of a SHA-256: how bundles are referred to in records, pins and the archive. */
export const SHA256_HEX_PATTERN = '^[0-9a-f]{64}$';

const serial = { type: 'integer', minimum: 1, maximum: 9_007_199_254_740_991 } as const;
/** Token of RFC 9110 in lower case, as the input shows header names. */
const headerName = { type: 'string', pattern: "^[!#$%&'*+.^_`|~0-9a-z-]{1,128}$" } as const;
/** Dotted, below the request: `query.<name>` or `body.<member>…`. */
const redactPath = { type: 'string', pattern: '^(?:query|body)(?:\\.[^.]{1,128}){1,8}$' } as const;

/** What TypeScript must know of a profile (contracts.md). */
const bundleMetaSchema = {
  type: 'object',
  additionalProperties: false,
  required: ['serial', 'confirm', 'record', 'headers', 'redact', 'envoy'],
  properties: {
    serial: { ...serial, description: 'grows with each publication of the profile: an older one is refused' },
    confirm: { type: 'boolean', description: 'freshness is confirmed after the request came' },
    record: { enum: ['durable', 'behind'], description: 'durable: the answer waits for its record' },
    headers: { type: 'array', maxItems: 64, items: headerName, description: 'request headers to show' },
    redact: {
      type: 'array',
      maxItems: 64,
      items: redactPath,
      description: 'taken out before the input is made',
    },
    envoy: { type: 'boolean', description: "the input holds the CheckRequest's attributes" },
    steps: {
      type: 'integer',
      minimum: 1,
      maximum: 2_147_483_647,
      description:
        'what one evaluation may take: function entries and loop turns, and their length; default 1,200,000',
    },
    memory_pages: {
      type: 'integer',
      minimum: 8,
      maximum: 16_384,
      description: 'of 64 KiB, for the data and one evaluation; default 1,024',
    },
    reasons: {
      type: 'object',
      maxProperties: 256,
      additionalProperties: { type: 'string', pattern: '^[A-Za-z0-9._/-]{1,240}\\.rego:[1-9][0-9]{0,6}$' },
      description:
        "denial code -> file:line of its rule in this bundle; without it they are looked for in the bundle's Rego",
    },
  },
} as const;

/** Whose input and answers a policy knows, where they are not those of contracts.md. */
export const ADAPTERS = ['opa-envoy'] as const;
export type Adapter = (typeof ADAPTERS)[number];

export const manifestSchema = {
  $schema: 'http://json-schema.org/draft-07/schema#',
  title: 'Lemma policy bundle manifest',
  type: 'object',
  additionalProperties: false,
  required: ['revision', 'roots', 'rego_version', 'wasm', 'metadata'],
  properties: {
    revision: { type: 'string', pattern: ID_PATTERN },
    roots: {
      type: 'array',
      minItems: 1,
      maxItems: 1,
      items: { type: 'string', pattern: `^lemma/(?:${PROFILES.join('|')})$` },
    },
    rego_version: { const: 1 },
    wasm: {
      type: 'array',
      minItems: 1,
      maxItems: 1,
      items: {
        type: 'object',
        additionalProperties: false,
        required: ['entrypoint', 'module'],
        properties: {
          entrypoint: { type: 'string', pattern: `^lemma/(?:${PROFILES.join('|')})/decision$` },
          module: { const: `/${WASM_FILE}` },
          annotations: { type: 'array', description: "OPA's, of the entrypoint's rule" },
        },
      },
    },
    metadata: {
      type: 'object',
      required: ['lemma'],
      properties: { lemma: bundleMetaSchema },
    },
  },
} as const;

const { wasm: ownWasm, ...plainProperties } = manifestSchema.properties;
const { reasons: _reasons, ...adaptedProperties } = bundleMetaSchema.properties;

/** Of a policy that was written for something else: its package and entrypoint are its own, and it says its profile. */
export const adaptedManifestSchema = {
  ...manifestSchema,
  title: 'Lemma policy bundle manifest, of a policy behind an adapter',
  properties: {
    ...manifestSchema.properties,
    roots: {
      type: 'array',
      minItems: 1,
      maxItems: 16,
      items: { type: 'string', pattern: '^[A-Za-z0-9_-]{0,64}(?:/[A-Za-z0-9_-]{1,64}){0,8}$' },
    },
    wasm: {
      ...ownWasm,
      items: {
        ...ownWasm.items,
        properties: {
          ...ownWasm.items.properties,
          entrypoint: { type: 'string', pattern: '^[A-Za-z0-9_-]{1,64}(?:/[A-Za-z0-9_-]{1,64}){1,8}$' },
        },
      },
    },
    metadata: {
      type: 'object',
      required: ['lemma'],
      properties: {
        lemma: {
          ...bundleMetaSchema,
          required: [...bundleMetaSchema.required, 'adapter', 'profile'],
          properties: {
            ...adaptedProperties,
            envoy: { const: true },
            adapter: { enum: ADAPTERS, description: 'opa-envoy: input and answers of opa-envoy-plugin' },
            profile: { enum: PROFILES, description: 'that it decides for' },
          },
        },
      },
    },
  },
} as const;

/** Of the Rego-only variant: ordinary builds of OPA refuse a manifest with `wasm`. */
export const regoOnlyManifestSchema = {
  ...manifestSchema,
  title: 'Lemma policy bundle manifest, Rego only',
  required: ['revision', 'roots', 'rego_version', 'metadata'],
  properties: plainProperties,
} as const;

/** What may sign a bundle in OPA's way (RFC 7518 section 3.1, RFC 8037): never a shared secret. */
export const OPA_ALGORITHMS = ['RS256', 'ES256', 'EdDSA'] as const;
export type OpaAlgorithm = (typeof OPA_ALGORITHMS)[number];

/** OPA's `.signatures.json`: one JWT. `plugin` names who checks it; any but the default one has other rules. */
export const opaSignaturesSchema = {
  type: 'object',
  additionalProperties: false,
  required: ['signatures'],
  properties: {
    signatures: { type: 'array', minItems: 1, maxItems: 1, items: { type: 'string' } },
    plugin: { const: '_default' },
  },
} as const;

export const opaSignatureHeaderSchema = {
  type: 'object',
  required: ['alg'],
  properties: { alg: { enum: OPA_ALGORITHMS }, kid: { type: 'string' }, crit: false },
} as const;

export const opaSignaturePayloadSchema = {
  type: 'object',
  required: ['files'],
  properties: {
    files: {
      type: 'array',
      items: {
        type: 'object',
        additionalProperties: false,
        required: ['name', 'hash', 'algorithm'],
        properties: {
          name: { type: 'string' },
          hash: { type: 'string', pattern: SHA256_HEX_PATTERN },
          algorithm: { const: 'SHA-256' },
        },
      },
    },
    keyid: { type: 'string' },
    scope: { type: 'string' },
  },
} as const;

/** Ed25519 over the canonical JSON of every other member, behind `lemma/bundle-signature/v1` and a line feed. */
export const bundleSignatureSchema = {
  $schema: 'http://json-schema.org/draft-07/schema#',
  title: 'Lemma policy bundle signature v1',
  type: 'object',
  additionalProperties: false,
  required: ['v', 'keyid', 'name', 'revision', 'serial', 'sha256', 'signature'],
  properties: {
    v: { const: 1 },
    keyid: {
      type: 'string',
      pattern: BYTES32_PATTERN,
      description: "RFC 7638 thumbprint of the signer's key",
    },
    name: { enum: PROFILES },
    revision: { type: 'string', pattern: ID_PATTERN },
    serial,
    sha256: { type: 'string', pattern: SHA256_HEX_PATTERN },
    expires_at: {
      type: 'integer',
      minimum: 0,
      description: 'seconds since 1970; after it the bundle is not activated',
    },
    signature: { type: 'string', pattern: BYTES64_PATTERN },
  },
} as const;

type WrittenManifest = FromSchema<typeof manifestSchema>;
type WrittenMeta = FromSchema<typeof bundleMetaSchema>;

/** With the places of its rules, said there or found. */
export type BundleMeta = WrittenMeta & {
  readonly reasons: NonNullable<WrittenMeta['reasons']>;
  readonly adapter?: Adapter;
};
export type BundleManifest = Omit<WrittenManifest, 'metadata'> & {
  readonly metadata: Omit<WrittenManifest['metadata'], 'lemma'> & { readonly lemma: BundleMeta };
};
/** Whether its policy is one of another, behind an adapter. */
export function isAdapted({ metadata }: Pick<BundleManifest, 'metadata'>): boolean {
  return metadata.lemma.adapter !== undefined;
}

export type RegoOnlyManifest = FromSchema<typeof regoOnlyManifestSchema>;
export type OpaSignaturePayload = FromSchema<typeof opaSignaturePayloadSchema>;
export type BundleSignature = FromSchema<typeof bundleSignatureSchema>;
