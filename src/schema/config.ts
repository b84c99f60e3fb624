import type { FromSchema } from 'json-schema-to-ts';
import { type AgentTools, agentToolsSchema } from './agent-tools.ts';
import { OPA_ALGORITHMS, type OpaAlgorithm } from './bundle.ts';
import {
  BYTES32_PATTERN,
  HEADER_PATTERN,
  ID_PATTERN,
  jwkSchema,
  PROFILES,
  SUBJECT_PATTERN,
} from './common.ts';
import { type McpServer, mcpServerSchema } from './mcp.ts';
import type { Route } from './request.ts';
import { methodsSchema, permitMethodOverrideSchema, routeSchema, scopeSchema } from './route.ts';

/**
 * `lemma.yaml` (contracts.md). Everything has a default. Flags, environment names and `--help` are made from it:
 * each text at the end of a chain of objects is a setting (`listen.grpc`: --listen-grpc, LEMMA_LISTEN_GRPC).
 */

const id = { type: 'string', pattern: ID_PATTERN } as const;
const keys = { type: 'array', minItems: 1, items: jwkSchema } as const;
const { type: _object, ...jwkParts } = jwkSchema;

/** Where the firewall listens where nothing else is said. */
export const DEFAULT_FIREWALL = '127.0.0.1:8787';

export const DURATION_PATTERN = '^[1-9][0-9]{0,8}(?:s|m|h|d|w)$';
/** A client's SPIFFE ID, or all of a path: `spiffe://acme/ns/prod/*`. */
export const PEER_PATTERN = '^spiffe://[a-z0-9._-]{1,255}(?:/[A-Za-z0-9._-]{1,255})*(?:/\\*)?$';
/** Permissions of a socket file, octal. */
export const MODE_PATTERN = '^0?[0-7]{3}$';
/** Whole: a shortened one may come to mean another. */
export const COMMIT_PATTERN = '^(?:[0-9a-f]{40}|[0-9a-f]{64})$';
export const SIZE_PATTERN = '^[1-9][0-9]{0,14}(?:B|[KMGT]i?B)?$';

const trustSchema = {
  type: 'object',
  additionalProperties: false,
  required: ['org', 'env', 'keys'],
  properties: {
    org: { ...id, description: 'The organisation that the keys speak for' },
    env: { ...id, description: 'The environment that they speak for' },
    keys: { ...keys, description: 'Ed25519 public keys of its root issuers, as JWKs' },
  },
} as const;

const runtimeEntrySchema = {
  type: 'object',
  additionalProperties: false,
  required: ['runtime_id', 'agent_id', 'workspace_id', 'profile', 'subject'],
  properties: {
    org: { ...id, description: "default: the deployment's" },
    env: { ...id, description: "default: the deployment's" },
    runtime_id: { ...id, description: 'Unique within org and env' },
    agent_id: { ...id, description: 'The agent that runs in it' },
    workspace_id: { ...id, description: 'Where it works' },
    profile: { enum: PROFILES, description: 'Lowest profile that decides about it' },
    subject: { type: 'string', pattern: SUBJECT_PATTERN, description: 'Whose chain may act as this runtime' },
    keys: {
      type: 'array',
      minItems: 1,
      uniqueItems: true,
      items: { type: 'string', pattern: BYTES32_PATTERN },
      description: "Thumbprints of the only keys it may have; default: any that the subject's chain binds",
    },
  },
} as const;

const apiSchema = {
  type: 'object',
  additionalProperties: false,
  required: ['id', 'base_url', 'methods', 'path_prefixes', 'scope', 'risk', 'action'],
  properties: {
    id: { ...id, description: 'Unique; requests come to /firewall/<id>/<path>' },
    base_url: { type: 'string', description: 'Where they go: http or https, no query' },
    methods: methodsSchema,
    path_prefixes: {
      type: 'array',
      minItems: 1,
      maxItems: 256,
      uniqueItems: true,
      items: { type: 'string' },
      description: 'Paths below base_url that may be reached, by whole segments; / is all',
    },
    scope: scopeSchema,
    risk: { enum: PROFILES, description: "Lowest profile that decides; the runtime's may be stricter" },
    action: { ...id, description: 'What the policy calls this' },
    taint_on_response: {
      type: 'boolean',
      default: false,
      description: 'Whether its answers may carry injected instructions: the runtime is tainted first',
    },
    body: {
      enum: ['none', 'digest', 'json'],
      default: 'none',
      description: 'What the policy needs of the body',
    },
    forward_headers: {
      type: 'array',
      items: { type: 'string', pattern: HEADER_PATTERN },
      description: 'Request headers to forward; default: a fixed list of harmless ones',
    },
    allow_private: {
      type: 'boolean',
      default: false,
      description:
        'Whether the name in base_url may stand for this machine or a private network; an address, or localhost, says so itself. Link-local, multicast and cloud metadata are never connected to',
    },
    upgrade: {
      enum: ['deny', 'allow'],
      default: 'deny',
      description:
        'Whether WebSockets are let through: decided on once, ended when the runtime is stopped or tainted',
    },
    inject: {
      type: 'object',
      additionalProperties: false,
      required: ['header', 'value_file'],
      description: "The upstream's own credential, which the agent never holds",
      properties: {
        header: { type: 'string', pattern: HEADER_PATTERN, description: 'The header that carries it' },
        value_file: { type: 'string', minLength: 1, description: 'File with its value' },
      },
    },
  },
} as const;

const proxySchema = {
  type: 'object',
  additionalProperties: false,
  required: ['allow', 'scope', 'risk'],
  description:
    'Serves as HTTP_PROXY and HTTPS_PROXY, too: tunnels (CONNECT) to what is listed here, plain HTTP to apis by their base_url; absent: neither',
  properties: {
    allow: {
      type: 'array',
      maxItems: 256,
      uniqueItems: true,
      items: { type: 'string' },
      description:
        'Where tunnels may lead: host:port, the host exact or *.suffix; an address only where it is listed itself',
    },
    scope: scopeSchema,
    risk: {
      enum: PROFILES,
      description: "Lowest profile that decides about tunnels; the runtime's may be stricter",
    },
    action: { ...id, default: 'proxy.connect', description: 'What the policy calls a tunnel' },
    audience: {
      type: 'string',
      description:
        'Origin that the proof must be for; default: that of the host itself, https://<host>[:port], which *.suffix has none of',
    },
    taint_on_response: {
      type: 'boolean',
      default: false,
      description:
        'Whether what comes through tunnels may carry injected instructions: the runtime is tainted first',
    },
    allow_private: {
      type: 'boolean',
      default: false,
      description: 'Whether listed names may stand for this machine or a private network',
    },
    credential_file: {
      type: 'string',
      minLength: 1,
      description:
        'File with the credential of the runtime that clients on this machine act as when they show none; default: no credential, no way through',
    },
  },
} as const;

const address = 'host:port, [::1]:port or unix:///path; port 0 takes a free one';
const file = { type: 'string', minLength: 1 } as const;

const tlsSchema = {
  type: 'object',
  additionalProperties: false,
  required: ['cert', 'key'],
  description: 'Serve TLS 1.2 and 1.3 only. The files are read again when they change',
  properties: {
    cert: { ...file, description: 'Certificate chain, PEM' },
    key: { ...file, description: 'Its private key, PEM' },
    client_ca: { ...file, description: 'Clients must have a certificate of one of these authorities, PEM' },
    peers: {
      type: 'array',
      minItems: 1,
      uniqueItems: true,
      items: { type: 'string', pattern: PEER_PATTERN },
      description:
        'SPIFFE IDs of the clients that may connect (…/* for all below a path); default: any of client_ca',
    },
  },
} as const;

/** The long form of an address: its own keys apply to that listener alone. */
const listenerParts = {
  additionalProperties: false,
  required: ['address'],
  properties: {
    address: { type: 'string', description: address },
    tls: tlsSchema,
    mode: {
      type: 'string',
      pattern: MODE_PATTERN,
      default: '0660',
      description: 'Permissions of a unix socket, octal',
    },
  },
} as const;
const listener = { type: ['string', 'object'], ...listenerParts } as const;

export const configSchema = {
  $schema: 'http://json-schema.org/draft-07/schema#',
  title: 'Lemma configuration v1',
  type: 'object',
  additionalProperties: false,
  properties: {
    listen: {
      type: 'object',
      additionalProperties: false,
      description: 'Where it listens',
      properties: {
        grpc: {
          type: ['string', 'array', 'object'],
          minItems: 1,
          items: listener,
          ...listenerParts,
          default: '127.0.0.1:9191',
          description: `Envoy ext_authz over gRPC, one address or several (${address}), or {address, tls, mode}`,
        },
        decision: {
          ...listener,
          default: '127.0.0.1:8181',
          description: `REST mirror and authorize: what enforcement points call (${address}), or {address, tls, mode}`,
        },
        control: {
          ...listener,
          default: '127.0.0.1:8080',
          description: `Control plane and metrics; never for enforcement points (${address}), or {address, tls, mode}`,
        },
      },
    },
    data: {
      type: 'string',
      minLength: 1,
      default: './.lemma',
      description: 'Folder of the database and the keys',
    },
    feed: {
      type: 'string',
      minLength: 1,
      description:
        'Redis that all nodes share, for nonces and budgets: redis://[user:password@]host[:port][/database], or rediss:// for TLS; default: none, this node counts alone',
    },
    store: {
      type: 'string',
      minLength: 1,
      description:
        'PostgreSQL in place of the database in data: postgres://user:password@host:5432/database?sslmode=verify-full&sslrootcert=ca.pem&schema=lemma; the keys stay in data',
    },
    org: {
      ...id,
      description: "The deployment's organisation; default: that of the only trust entry, else local",
    },
    env: {
      ...id,
      description: "The deployment's environment; default: that of the only trust entry, else default",
    },
    node: { ...id, description: 'Name of this node in the decision log; default: from the host name' },
    public_url: { type: 'string', description: 'Origin that people reach the control plane by' },
    trust: {
      type: 'array',
      items: trustSchema,
      description: "Whose roots count; the embedded authority's own key is added by itself",
    },
    runtimes: {
      type: 'array',
      items: runtimeEntrySchema,
      description: 'Runtimes registered by file, beside those registered by API',
    },
    log: {
      type: 'object',
      additionalProperties: false,
      description: 'How much of the decision log is kept',
      properties: {
        keep: {
          type: 'string',
          pattern: DURATION_PATTERN,
          default: '90d',
          description:
            'How long records are kept at least: a number and s, m, h, d or w. Then whole spans go, at a signed checkpoint',
        },
        max_bytes: {
          type: ['string', 'integer'],
          minimum: 1,
          pattern: SIZE_PATTERN,
          default: '20GB',
          description:
            'Size of the database at which durable decisions stop (audit_unavailable): bytes, or a number and KB, MB, GB, TB, KiB, MiB, GiB, TiB',
        },
        when_full: {
          enum: ['deny', 'prune'],
          default: 'deny',
          description:
            'When the database is at 90 % of max_bytes with records younger than keep: deny (warn, then stop) or prune the oldest, keep or not',
        },
      },
    },
    decision_logs: {
      type: 'object',
      additionalProperties: false,
      required: ['url'],
      description: "Uploads the decision log in OPA's format; absent: none. Names are OPA's",
      properties: {
        url: {
          type: 'string',
          minLength: 1,
          description: 'The receiver: events are posted to <url>/logs, or <url>/logs/<partition_name>',
        },
        token_file: { ...file, description: 'File with the bearer token, read for each upload' },
        partition_name: { ...id, description: 'Last segment of the path' },
        reporting: {
          type: 'object',
          additionalProperties: false,
          description: 'When, and how much at once',
          properties: {
            min_delay_seconds: {
              type: 'integer',
              minimum: 0,
              maximum: 86_400,
              default: 5,
              description: 'Between two uploads at least, and before the first attempt after a failure',
            },
            max_delay_seconds: {
              type: 'integer',
              minimum: 1,
              maximum: 86_400,
              default: 60,
              description: 'Between two attempts at most, however often they failed',
            },
            upload_size_limit_bytes: {
              type: 'integer',
              minimum: 4096,
              maximum: 104_857_600,
              default: 1_048_576,
              description: 'Of one upload, compressed; an event alone may be more',
            },
          },
        },
        response_header_timeout_seconds: {
          type: 'integer',
          minimum: 1,
          maximum: 600,
          default: 10,
          description: 'How long the receiver may take to answer',
        },
      },
    },
    telemetry: {
      type: 'object',
      additionalProperties: false,
      description: 'What is told to other systems about the work here',
      properties: {
        traces: {
          type: 'object',
          additionalProperties: false,
          required: ['endpoint'],
          description: 'OpenTelemetry traces over OTLP/HTTP, a span for each decision; absent: none',
          properties: {
            endpoint: {
              type: 'string',
              minLength: 1,
              description:
                'The collector: spans are posted to <endpoint>/v1/traces. OTEL_… variables are not read',
            },
            headers_file: {
              ...file,
              description:
                'File with headers for the collector, a line `name: value` each; read for each post',
            },
            service_name: { ...id, default: 'lemma', description: '`service.name` of the spans' },
            sampling_ratio: {
              type: 'number',
              minimum: 0,
              maximum: 1,
              default: 1,
              description:
                "Share of traces that begin here; a request's own `traceparent` says itself whether it is recorded",
            },
            timeout_seconds: {
              type: 'integer',
              minimum: 1,
              maximum: 600,
              default: 10,
              description: 'How long the collector may take, attempts again included',
            },
            max_queue_size: {
              type: 'integer',
              minimum: 1,
              maximum: 1_000_000,
              default: 4096,
              description: 'Spans that may wait for the collector; what is more is dropped, and counted',
            },
          },
        },
      },
    },
    limits: {
      type: 'object',
      additionalProperties: false,
      description: 'What is more than this is denied before it is looked at (overloaded, rate_limited)',
      properties: {
        concurrency: {
          type: 'integer',
          minimum: 1,
          maximum: 100_000,
          default: 512,
          description:
            'Decisions under way at once at most, those that wait for their record included; fewer while that makes commits long',
        },
        queue: {
          type: 'integer',
          minimum: 0,
          maximum: 100_000,
          default: 256,
          description:
            'Requests that may wait for their turn however long it takes, within five hundred times queue_ms',
        },
        queue_ms: {
          type: 'integer',
          minimum: 1,
          maximum: 60_000,
          default: 10,
          description:
            'Milliseconds that a request may wait once more come than can wait, until none was denied for a second',
        },
        log_ms: {
          type: 'integer',
          minimum: 1,
          maximum: 60_000,
          default: 500,
          description:
            'Requests with a PoP, whose records must be durable, are denied while one has waited this long for the disk',
        },
        feed_ms: {
          type: 'integer',
          minimum: 1,
          maximum: 20_000,
          default: 100,
          description:
            'Milliseconds that Redis (feed) may take to answer; what could not be asked by then is denied',
        },
        per_source: {
          type: 'object',
          additionalProperties: false,
          required: ['rate'],
          description:
            "For each caller's address (an IPv6 network of 64 bits is one) that an enforcement point reports; default: none",
          properties: {
            rate: {
              type: 'integer',
              minimum: 1,
              maximum: 1_000_000,
              description: 'Requests a second',
            },
            burst: {
              type: 'integer',
              minimum: 1,
              maximum: 1_000_000,
              description: 'Requests at once; default: those of two seconds',
            },
          },
        },
      },
    },
    routes: {
      type: ['string', 'array'],
      minLength: 1,
      items: routeSchema,
      default: [],
      description: 'The route map: a file, or the list itself. No route, no way in',
    },
    permit_method_override: permitMethodOverrideSchema,
    bundles: {
      type: 'object',
      additionalProperties: false,
      description: 'The policies',
      properties: {
        source: {
          type: 'string',
          minLength: 1,
          default: 'embedded',
          description:
            'embedded (the three defaults); a folder of signed bundles (./bundles: <profile>/ or <profile>.tar.gz); a server that has them (https://host/bundles: <profile>.tar.gz below it); or a branch of a repository of policies, each commit of which is checked, tested, built and signed here: git+https://host/policies.git#main, git+ssh:…, git+file:///srv/policies.git?path=policies#main; or a folder of policies, the same with each change: rego+file:./policies',
        },
        every: {
          type: 'string',
          pattern: DURATION_PATTERN,
          default: '10s',
          description: 'How often a repository is asked for its branch, a server for its bundles',
        },
        rewind_to: {
          type: 'string',
          pattern: COMMIT_PATTERN,
          description:
            'The one commit that may come into force although it does not follow the one that is: a branch that was moved back or made anew',
        },
        keys: { ...keys, description: 'Ed25519 public keys that may sign bundles, as JWKs' },
        opa_keys: {
          type: 'object',
          maxProperties: 64,
          propertyNames: { pattern: '^[A-Za-z0-9._:/-]{1,128}$' },
          additionalProperties: {
            type: 'object',
            additionalProperties: false,
            required: ['algorithm', 'key'],
            properties: {
              algorithm: { enum: OPA_ALGORITHMS, description: '`--signing-alg` of `opa build`' },
              key: { type: 'string', minLength: 1, description: 'The public key in PEM, or its file' },
              scope: { type: 'string', minLength: 1, description: 'That its signatures must have' },
            },
          },
          description:
            "Keys that may sign bundles as `opa build --signing-key` does, by the names in its signatures (`--verification-key-id`): OPA's own `keys`",
        },
      },
    },
    control: {
      type: 'object',
      additionalProperties: false,
      description: 'For `lemma pdp`: the control plane whose decision node this is',
      properties: {
        url: {
          type: 'string',
          description: 'Origin of its control listener: https, or http on this machine',
        },
        keys: {
          type: 'array',
          minItems: 1,
          items: { type: ['string', 'object'], pattern: BYTES32_PATTERN, ...jwkParts },
          description:
            'Its authority keys, by thumbprint (`lemma keys list`) or as JWKs: what else signs is refused',
        },
        token_file: { ...file, description: 'File with the API key that this node shows' },
      },
    },
    firewall: {
      type: 'object',
      additionalProperties: false,
      description: 'The local gateway between an agent and the APIs that it calls; absent: none',
      properties: {
        listen: { type: 'string', default: DEFAULT_FIREWALL, description: `Where it listens (${address})` },
        apis: { type: 'array', items: apiSchema, description: 'What may be reached through it' },
        proxy: proxySchema,
        mcp: { type: 'array', items: mcpServerSchema, description: 'MCP servers behind it, and their tools' },
        agents: {
          type: 'array',
          items: agentToolsSchema,
          description: 'Agents whose hooks ask it before each call of their own tools',
        },
      },
    },
  },
} as const;

/** The file's shape: everything may be absent. */
export type ConfigFile = FromSchema<typeof configSchema, { keepDefaultedPropertiesOptional: true }>;
export type Jwk = FromSchema<typeof jwkSchema>;
export type TrustEntry = FromSchema<typeof trustSchema>;
export type ProxyEntry = FromSchema<typeof proxySchema, { keepDefaultedPropertiesOptional: true }>;
export type ApiEntry = FromSchema<typeof apiSchema, { keepDefaultedPropertiesOptional: true }>;

type RuntimeFile = FromSchema<typeof runtimeEntrySchema>;
/** A runtime registered by file; org and env are filled in. `keys` are thumbprints, null for any. */
export interface RuntimeEntry extends Omit<RuntimeFile, 'org' | 'env' | 'keys'> {
  readonly org: string;
  readonly env: string;
  readonly keys: readonly string[] | null;
}

/** One api behind the firewall, defaults filled in. Header names are lower case; `value_file` is absolute. */
export interface FirewallApi {
  readonly id: string;
  readonly base_url: string;
  readonly methods: readonly string[];
  readonly path_prefixes: readonly string[];
  readonly scope: readonly string[];
  readonly risk: Route['risk'];
  readonly action: string;
  readonly taint_on_response: boolean;
  readonly body: Route['body'];
  /** Null: the firewall's own list. */
  readonly forward_headers: readonly string[] | null;
  readonly allow_private: boolean;
  readonly upgrade: Route['upgrade'];
  readonly inject: { readonly header: string; readonly value_file: string } | null;
}

/** The forward proxy, defaults filled in. */
export interface FirewallProxy {
  /** Each is one that `parseAllowed` takes. */
  readonly allow: readonly string[];
  readonly scope: readonly string[];
  readonly risk: Route['risk'];
  readonly action: string;
  /** Null: that of each host. */
  readonly audience: string | null;
  readonly taint_on_response: boolean;
  readonly allow_private: boolean;
  /** Absolute. Null: clients that show nothing are nobody. */
  readonly credential_file: string | null;
}

/** Files of a listener's TLS, absolute. `client_ca` null: clients show no certificate. `peers` null: any of them. */
export interface TlsFiles {
  readonly cert: string;
  readonly key: string;
  readonly client_ca: string | null;
  readonly peers: readonly string[] | null;
}

/** Where and how one server listens. `mode` are the permissions of a unix socket. */
export interface Listener {
  readonly address: string;
  readonly tls: TlsFiles | null;
  readonly mode: number;
}

/** Where the decision log is uploaded to. `url` without a slash at its end, `token_file` absolute. */
export interface DecisionLogs {
  readonly url: string;
  readonly token_file: string | null;
  readonly partition_name: string | null;
  readonly min_delay_ms: number;
  readonly max_delay_ms: number;
  readonly size_limit_bytes: number;
  readonly timeout_ms: number;
}

/** Where spans are posted to: `url` whole, `headers_file` absolute. */
export interface Traces {
  readonly url: string;
  readonly headers_file: string | null;
  readonly service_name: string;
  readonly sampling_ratio: number;
  readonly timeout_ms: number;
  readonly max_queue_size: number;
}

/** Beyond these a request is denied unread. `per_source` null: no limit of that kind. */
export interface Limits {
  readonly concurrency: number;
  readonly queue: number;
  readonly queue_ms: number;
  readonly log_ms: number;
  readonly feed_ms: number;
  readonly per_source: { readonly rate: number; readonly burst: number } | null;
}

/** The Redis that nodes share. `host` has no brackets; a null user is Redis's own default one. */
export interface FeedServer {
  readonly host: string;
  readonly port: number;
  readonly tls: boolean;
  readonly username: string | null;
  /** A secret: never logged, and no part of the configuration's revision. */
  readonly password: string | null;
  readonly database: number;
}

/** Where a PostgreSQL is, and how to get in: a `postgres://` URL, taken apart. */
export interface StoreAddress {
  /** A name, an address, or the folder of a Unix socket. */
  readonly host: string;
  readonly port: number;
  readonly user: string;
  /** Null: from the user's password file (PGPASSFILE, ~/.pgpass), or none is needed. */
  readonly password: string | null;
  readonly database: string;
  /** The PostgreSQL schema that holds the tables. */
  readonly schema: string;
  readonly tls: StoreTls | null;
}

/** `verify-full`: certificate and name; `verify-ca`: certificate only; `require`: encrypted, to whomever. */
export interface StoreTls {
  readonly mode: 'require' | 'verify-ca' | 'verify-full';
  /** PEM files. `ca` null: the authorities that Node trusts. */
  readonly ca: string | null;
  readonly cert: string | null;
  readonly key: string | null;
}

/** A PostgreSQL. Its address, with the password, is a function's value, so that no printing of a configuration shows it. */
export interface StoreSetting {
  readonly shown: string;
  readonly schema: string;
  readonly address: () => StoreAddress;
}

/** A public key of `bundles.opa_keys`; `key` in PEM, or the absolute path of its file. */
export interface OpaKeyEntry {
  readonly algorithm: OpaAlgorithm;
  readonly key: string;
  readonly scope?: string | undefined;
}

/** `bundles.source` in a git repository. */
export interface GitSource {
  readonly kind: 'git';
  readonly protocol: 'file' | 'https' | 'ssh';
  /** As git takes it; an absolute path of `file`. It holds no secret. */
  readonly url: string;
  /** In full: `refs/heads/main`. */
  readonly ref: string;
  /** Folder of the policies; null: `policies` where the commit has that, else all of it. */
  readonly path: string | null;
}

/** `bundles.source` in a folder of policies that are built here; an absolute path. */
export interface FolderSource {
  readonly kind: 'folder';
  readonly path: string;
}

export interface BundleSetting {
  /** `embedded`, an absolute folder of bundles, the URL of a server that has them, or the text that `rego` was read from. */
  readonly source: string;
  /** Where policies are that are built here. Null: bundles come built. */
  readonly rego: GitSource | FolderSource | null;
  readonly every_ms: number;
  readonly rewind_to: string | null;
  readonly keys: readonly Jwk[];
  readonly opa_keys: Readonly<Record<string, OpaKeyEntry>>;
}

/** The effective configuration: defaults filled in, paths absolute, durations in ms, sizes in bytes. */
export interface Config {
  readonly listen: {
    readonly grpc: readonly Listener[];
    readonly decision: Listener;
    readonly control: Listener;
  };
  readonly data: string;
  /** Null: nothing is shared with other nodes. */
  readonly feed: FeedServer | null;
  /** Null: SQLite in `data`. */
  readonly store: StoreSetting | null;
  readonly org: string;
  readonly env: string;
  readonly node: string;
  readonly public_url: string | null;
  readonly trust: readonly TrustEntry[];
  readonly runtimes: readonly RuntimeEntry[];
  readonly log: {
    readonly keep_ms: number;
    readonly max_bytes: number;
    readonly when_full: 'deny' | 'prune';
  };
  readonly decision_logs: DecisionLogs | null;
  readonly telemetry: { readonly traces: Traces | null };
  readonly limits: Limits;
  readonly routes: readonly Route[];
  /** Lower-case header names. */
  readonly permit_method_override: readonly string[];
  readonly bundles: BundleSetting;
  /** `keys`: thumbprints, or JWKs. Null where this is no decision node; a member that nobody gave is empty. */
  readonly control: {
    readonly url: string;
    readonly keys: readonly (string | { readonly x?: unknown })[];
    readonly token_file: string;
  } | null;
  readonly firewall: {
    readonly listen: string;
    readonly apis: readonly FirewallApi[];
    /** Null: it is no forward proxy. */
    readonly proxy: FirewallProxy | null;
    readonly mcp: readonly McpServer[];
    readonly agents: readonly AgentTools[];
  } | null;
}
