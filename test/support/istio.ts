import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { parse, parseAllDocuments } from 'yaml';

const run = promisify(execFile);

const FOLDER = fileURLToPath(new URL('../../tools/istio/', import.meta.url));
const CHECK = join(FOLDER, 'check');

/** An object of Kubernetes, as far as a test reads it. */
export interface Manifest {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: { readonly name: string; readonly namespace: string };
  readonly spec: Readonly<Record<string, unknown>>;
}

export interface Provider {
  readonly name: string;
  readonly envoyExtAuthzGrpc: {
    readonly service: string;
    readonly port: number;
    readonly timeout?: string;
    readonly failOpen?: boolean;
    readonly statusOnError?: string;
    readonly includeRequestBodyInCheck?: Readonly<Record<string, unknown>>;
  };
}

export interface MeshConfig {
  readonly extensionProviders: readonly Provider[];
}

export async function manifests(file: 'lemma.yaml' | 'external.yaml'): Promise<Manifest[]> {
  const documents = parseAllDocuments(await readFile(join(FOLDER, file), 'utf8'));
  return documents.map((document) => {
    const [error] = document.errors;
    if (error !== undefined) throw error;
    return document.toJS() as Manifest;
  });
}

export async function meshConfig(): Promise<MeshConfig> {
  return parse(await readFile(join(FOLDER, 'mesh-config.yaml'), 'utf8')) as MeshConfig;
}

/**
 * The folder of the published module istio.io/api, brought by Go if it is not there.
 *
 * @throws Error when there is no Go, or no module.
 */
export async function istioApi(): Promise<string> {
  const { stdout } = await run('go', ['mod', 'download', '-json', 'istio.io/api'], { cwd: CHECK });
  return (JSON.parse(stdout) as { Dir: string }).Dir;
}

/** The configuration as Istio's own types read it, in their canonical form. Rejects with what they say of it. */
export async function readByIstio(config: object): Promise<MeshConfig> {
  const child = spawn('go', ['run', '.'], { cwd: CHECK, stdio: ['pipe', 'pipe', 'pipe'] });
  const said = Promise.all([text(child.stdout), text(child.stderr)]);
  child.stdin.end(JSON.stringify(config));
  const [[code], [out, error]] = await Promise.all([once(child, 'close'), said]);
  // Not by what it said: Go tells there what it downloads.
  if (code !== 0) throw new Error(error.trim());
  return JSON.parse(out) as MeshConfig;
}

interface Crd {
  readonly kind: string;
  readonly spec: {
    readonly group: string;
    readonly names: { readonly kind: string };
    readonly versions: readonly {
      readonly name: string;
      readonly schema: { readonly openAPIV3Schema: object };
    }[];
  };
}

/** The published schemas by `apiVersion kind`, each closed: a member that it does not name is an error. */
export async function crdSchemas(api: string): Promise<Map<string, object>> {
  const yaml = await readFile(join(api, 'kubernetes', 'customresourcedefinitions.gen.yaml'), 'utf8');
  const crds = parseAllDocuments(yaml).map((document) => document.toJS() as Crd | null);
  return new Map(
    crds.flatMap((crd) =>
      crd === null
        ? []
        : crd.spec.versions.map(({ name, schema }) => {
            const { group, names } = crd.spec;
            return [`${group}/${name} ${names.kind}`, closed(schema.openAPIV3Schema, true)] as const;
          }),
    ),
  );
}

/** Kubernetes drops unknown members in silence. At the top stand those that every object has. */
function closed(schema: object, top = false): object {
  if (Array.isArray(schema)) return schema.map((one) => (isObject(one) ? closed(one) : one));
  const entries = Object.entries(schema).map(([key, value]) => [
    key,
    isObject(value) ? closed(value) : value,
  ]);
  const copy = Object.fromEntries(entries) as Record<string, unknown>;
  const open = 'additionalProperties' in copy || copy['x-kubernetes-preserve-unknown-fields'] === true;
  if (!isObject(copy.properties) || copy.type !== 'object' || open) return copy;
  const every = top ? { apiVersion: {}, kind: {}, metadata: {} } : {};
  return { ...copy, properties: { ...every, ...copy.properties }, additionalProperties: false };
}

function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null;
}

/**
 * The two HTTP filters that Istio 1.32 makes of a CUSTOM policy with one rule that holds for all requests: it finds the
 * policy in shadow, and asks the provider where it was found (pilot/pkg/security/authz/builder: extauthz.go, builder.go).
 */
export function istioFilters(policy: Manifest, { name, envoyExtAuthzGrpc: provider }: Provider): object[] {
  const { namespace, name: policyName } = policy.metadata;
  const { service, port, timeout = '600s', failOpen, statusOnError, includeRequestBodyInCheck } = provider;
  const any = { any: true };
  const matchesAll = {
    permissions: [{ andRules: { rules: [any] } }],
    principals: [{ andIds: { ids: [any] } }],
  };
  return [
    {
      name: 'envoy.filters.http.rbac',
      typedConfig: {
        '@type': 'type.googleapis.com/envoy.extensions.filters.http.rbac.v3.RBAC',
        shadowRules: {
          action: 'DENY',
          policies: {
            [`istio-ext-authz-${name}-ns[${namespace}]-policy[${policyName}]-rule[0]`]: matchesAll,
          },
        },
        shadowRulesStatPrefix: 'istio_ext_authz_',
      },
    },
    {
      name: 'envoy.filters.http.ext_authz',
      typedConfig: {
        '@type': 'type.googleapis.com/envoy.extensions.filters.http.ext_authz.v3.ExtAuthz',
        ...(failOpen ? { failureModeAllow: true } : {}),
        filterEnabledMetadata: {
          filter: 'envoy.filters.http.rbac',
          path: [{ key: 'istio_ext_authz_shadow_effective_policy_id' }],
          value: { stringMatch: { prefix: `istio-ext-authz-${name}` } },
        },
        grpcService: {
          envoyGrpc: { authority: service, clusterName: `outbound|${port}||${service}` },
          timeout,
        },
        ...(statusOnError === undefined ? {} : { statusOnError: { code: Number(statusOnError) } }),
        transportApiVersion: 'V3',
        ...(includeRequestBodyInCheck === undefined ? {} : { withRequestBody: includeRequestBodyInCheck }),
      },
    },
  ];
}
