import { createServer, type Server } from 'node:http';
import type { Socket } from 'node:net';
import { parseAddress } from '../config/address.ts';
import { InputError, type Problem } from '../reason.ts';
import { destinationsOf, type Received } from '../request/firewall.ts';
import { allowedOf } from '../request/proxy.ts';
import type { AgentTools } from '../schema/agent-tools.ts';
import type { FirewallApi, FirewallProxy } from '../schema/config.ts';
import type { Actor, Decision } from '../schema/decision.ts';
import type { McpServer } from '../schema/mcp.ts';
import type { AuthzRequest } from '../schema/request.ts';
import { connectThrough } from './connect.ts';
import { type Apis, type Exchanges, exchange, type TaintCause } from './exchange.ts';
import type { McpFront } from './mcp/front.ts';
import { askedOf } from './permit.ts';
import type { Resolve } from './resolve.ts';
import { credentialSecret, headerSecret } from './secret.ts';
import { createUnderWay } from './under-way.ts';
import { upgrade } from './upgrade.ts';
import { openUpstreams } from './upstream.ts';

export type { TaintCause } from './exchange.ts';

export interface FirewallOptions {
  /** `host:port`; port 0 takes a free one. */
  readonly address: string;
  readonly apis: readonly FirewallApi[];
  /** Null, or absent: it is no forward proxy. */
  readonly proxy?: FirewallProxy | null;
  readonly mcp?: McpOptions;
  /** Agents whose hooks may ask at `/tool/<agent>/<tool>`; absent: none. */
  readonly agents?: readonly AgentTools[];
  readonly decide: (request: AuthzRequest) => Promise<Decision>;
  /**
   * Awaited before the first byte of a tainting answer goes out: it must resolve only when the runtime's new taint
   * epoch is durable and in force. When it rejects, nothing of the answer passes.
   */
  readonly taint: (actor: Actor, cause: TaintCause) => Promise<void>;
  readonly log: {
    info(facts: object, message: string): void;
    error(facts: object, message: string): void;
  };
  readonly limits?: Partial<FirewallLimits>;
  /** Calls back whenever what `Decision.stopped` says may be another than before. Gives what ends that. */
  readonly watch?: (changed: () => void) => () => void;
  /** Addresses of upstreams' names; default: the system's resolver. */
  readonly resolve?: Resolve;
}

export interface McpOptions {
  readonly servers: readonly McpServer[];
  /** Where the pins of tool descriptions are kept. */
  readonly pinFile: string;
  /** Milliseconds since 1970. */
  readonly clock: () => number;
}

export interface FirewallLimits {
  /** Bytes of a body that are held for the decision; default 1 MiB. */
  readonly bodyBytes: number;
  /** Milliseconds to connect to an upstream; default 10,000. */
  readonly connectMs: number;
  /** Milliseconds that an upstream, or a tunnel, may be silent; default 300,000: models think long. */
  readonly idleMs: number;
  /** Milliseconds that `close` waits for requests under way; default 10,000. */
  readonly drainMs: number;
}

const LIMITS: FirewallLimits = {
  bodyBytes: 1024 * 1024,
  connectMs: 10_000,
  idleMs: 300_000,
  drainMs: 10_000,
};

export interface Firewall {
  /** As bound: a port 0 is replaced by the real one. */
  readonly address: string;
  /** Takes other apis, MCP servers and another proxy, whole, for requests from now on. Rejects (InputError) and keeps the running ones. */
  replace(
    next: Pick<FirewallOptions, 'apis' | 'proxy' | 'agents'> & { readonly mcp?: readonly McpServer[] },
  ): Promise<void>;
  /** What would be decided about a request from this machine, for a dry run. */
  asked(received: Received): AuthzRequest;
  /** Takes no new requests, ends tunnels, lets other requests under way finish, then closes. Idempotent. */
  close(): Promise<void>;
}

/**
 * Serves `/firewall/<api>/<path>`: each request is decided on and, when allowed, sent to the api's upstream without
 * what belongs to this hop or to Lemma, with the identity that was proven. Redirects are passed on, never followed.
 * With `proxy` it is a forward proxy on the same port, too.
 *
 * @throws InputError when the address or an api cannot be used.
 */
export async function startFirewall(options: FirewallOptions): Promise<Firewall> {
  const { decide, taint, log } = options;
  const limits = { ...LIMITS, ...options.limits };
  let apis = usable(options, log);
  const upstreams = openUpstreams(limits, options.resolve);
  let mcp = await frontFor(options, options.mcp?.servers ?? []);
  let port = 0;
  const underWay = createUnderWay();
  const unwatch = options.watch?.(underWay.look);
  const firewall: Exchanges = {
    port: () => port,
    apis: () => apis,
    mcp: () => mcp,
    decide,
    taint,
    upstreams,
    underWay,
    bodyLimit: limits.bodyBytes,
    idleMs: limits.idleMs,
    log,
  };
  const server = createServer({ maxHeaderSize: 64 * 1024 }, (incoming, outgoing) => {
    void exchange(incoming, outgoing, firewall);
    // A connection that is kept alive would keep a closing server open.
    outgoing.once('close', () => setImmediate(() => server.listening || server.closeIdleConnections()));
  });
  server.on('upgrade', (incoming, socket, ahead) => {
    void upgrade(incoming, socket as Socket, ahead, firewall);
  });
  server.on('connect', (incoming, socket, ahead) => {
    void connectThrough(incoming, socket as Socket, ahead, firewall);
  });
  // Node drops what is over it without a word; the size of all headers is limited anyway.
  server.maxHeadersCount = 0;
  port = await listen(server, options.address);
  const address = options.address.replace(/\d+$/, String(port));
  log.info({ address, apis: [...apis.destinations.keys()] }, 'firewall is listening');

  let closing: Promise<void> | undefined;
  return {
    address,
    async replace(next) {
      const checked = usable(next, log);
      const before = mcp;
      mcp = await frontFor(options, next.mcp ?? []);
      apis = checked;
      await before?.close();
    },
    asked: (received) => askedOf(received, apis).request,
    close() {
      closing ??= drain(server, limits.drainMs).finally(async () => {
        unwatch?.();
        upstreams.close();
        await mcp?.close();
      });
      underWay.close();
      return closing;
    },
  };
}

/** Loaded only where there is a server: the SDK takes a quarter of a second. */
async function frontFor(
  { mcp, decide, taint, log }: FirewallOptions,
  servers: readonly McpServer[],
): Promise<McpFront | null> {
  if (mcp === undefined || servers.length === 0) return null;
  const { createMcpFront } = await import('./mcp/front.ts');
  return createMcpFront({ ...mcp, servers, decide, taint, log });
}

/** Throws InputError with everything that is wrong with them. */
function usable(
  { apis, proxy = null, agents = [] }: Pick<FirewallOptions, 'apis' | 'proxy' | 'agents'>,
  log: FirewallOptions['log'],
): Apis {
  const problems: Problem[] = [];
  const read = <T>(field: string, secret: () => T): T | null => {
    try {
      return secret();
    } catch (error) {
      problems.push({ field, message: error instanceof Error ? error.message : String(error) });
      return null;
    }
  };
  const secrets = new Map<string, string>();
  for (const [i, { id, inject }] of apis.entries()) {
    if (inject === null) continue;
    const { value_file } = inject;
    const secret = read(`firewall.apis[${i}].inject.value_file`, () => headerSecret(value_file));
    if (secret !== null) secrets.set(id, secret);
  }
  const file = proxy?.credential_file ?? null;
  if (file !== null) read('firewall.proxy.credential_file', () => credentialSecret(file));
  if (problems.length > 0) throw new InputError(problems);
  return {
    destinations: destinationsOf(apis),
    secrets,
    proxy: proxy === null ? null : { allowed: allowedOf(proxy), allowPrivate: proxy.allow_private },
    fallback: () => (file === null ? null : renewed('firewall.proxy.credential_file', file, log)),
    agents,
    agentCredential: ({ credential_file }) =>
      credential_file === null ? null : renewed('firewall.agents[].credential_file', credential_file, log),
  };
}

/** Read for each who needs it: proofs are renewed in place. */
function renewed(field: string, file: string, log: FirewallOptions['log']): string | null {
  try {
    return credentialSecret(file);
  } catch (error) {
    log.error({ err: error }, `${field} cannot be used: clients without a credential are denied`);
    return null;
  }
}

function listen(server: Server, text: string): Promise<number> {
  const address = parseAddress(text);
  if (address?.kind !== 'tcp') throw unusable(text, 'must be host:port: agents reach the firewall over TCP');
  return new Promise((resolve, reject) => {
    server.once('error', (error) => reject(unusable(text, `cannot be bound: ${error.message}`)));
    server.listen(address.port, address.host, () => {
      const bound = server.address();
      resolve(typeof bound === 'object' && bound !== null ? bound.port : address.port);
    });
  });
}

function unusable(address: string, message: string): InputError {
  return new InputError([{ field: 'firewall.listen', message: `${address} ${message}` }]);
}

async function drain(server: Server, limitMs: number): Promise<void> {
  const closed = new Promise<void>((resolve) => server.close(() => resolve()));
  const timer = setTimeout(() => server.closeAllConnections(), limitMs);
  await closed;
  clearTimeout(timer);
}
