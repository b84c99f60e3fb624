import { randomBytes } from 'node:crypto';
import {
  type Deadline,
  type MethodDefinition,
  Server,
  ServerCredentials,
  type ServerUnaryCall,
  type ServiceDefinition,
  type sendUnaryData,
  status,
  type UntypedServiceImplementation,
} from '@grpc/grpc-js';
import { ReflectionService } from '@grpc/reflection';
import { HealthImplementation, type ServingStatus } from 'grpc-health-check';
import { addressProblem, parseAddress } from '../config/address.ts';
import { InputError } from '../reason.ts';
import { toRequest, toResponse } from '../request/envoy.ts';
import type { CheckRequestMessage, CheckResponseMessage } from '../schema/check.ts';
import type { Decision } from '../schema/decision.ts';
import type { AuthzRequest } from '../schema/request.ts';
import { AUTHORIZATION, checkMethod, loadProtos, reflectable } from './proto.ts';
import { bindSocket } from './socket.ts';

/** Time that the caller still waits, from `grpc-timeout`; null when it named none. */
export interface CallDeadline {
  readonly remainingMs: number | null;
}

export interface GrpcOptions {
  /** `host:port` (`[::1]:9191` for IPv6; port 0 takes a free one) or `unix:///path`. */
  readonly address: string;
  /** Permissions of a unix socket; default: for its user and group. */
  readonly mode?: number;
  readonly decide: (request: AuthzRequest, deadline: CallDeadline) => Promise<Decision>;
  /** What health says: asked on each health call, and twice a second for those who watch. */
  readonly ready: () => boolean;
  readonly log: {
    info(facts: object, message: string): void;
    error(facts: object, message: string): void;
  };
  /** How long `drain` waits for requests under way before it cuts them; default 10,000. */
  readonly drainMs?: number;
}

export interface GrpcServer {
  /** As bound: a port 0 is replaced by the real one. */
  readonly address: string;
  /** Health says NOT_SERVING, clients get GOAWAY, requests under way finish, then all closes. Idempotent. */
  drain(): Promise<void>;
}

/** Bodies travel inside the message; more than Envoy's `max_request_bytes` of any sane configuration. */
const MAX_MESSAGE_BYTES = 16 * 1024 * 1024;
const HEALTH_REFRESH_MS = 500;

/**
 * Serves envoy.service.auth.v3, grpc.health.v1 and server reflection. Whatever goes wrong inside a Check, an unreadable
 * message included, is answered as a denial (`internal_error`), never as a gRPC error, which Envoy may turn into allow.
 *
 * @throws InputError when the address cannot be used.
 */
export async function startGrpc(options: GrpcOptions): Promise<GrpcServer> {
  const server = new Server({
    'grpc.max_receive_message_length': MAX_MESSAGE_BYTES,
    'grpc.max_send_message_length': MAX_MESSAGE_BYTES,
  });
  const protos = loadProtos();
  const streams = new Set<Endable>();
  const method = checkMethod(protos);
  server.addService(rawService(method), { check: checkHandler(method, options) });
  const health = addHealth(server, options.ready, streams);
  new ReflectionService(reflectable(protos)).addToServer(rememberingStreams(server, streams));
  try {
    const address = await bind(server, options);
    options.log.info({ address }, 'gRPC authorization is listening');
    return { address, drain: once(() => drain(server, health, streams, options.drainMs ?? 10_000)) };
  } catch (error) {
    health.stop();
    server.forceShutdown();
    throw error;
  }
}

/** Bytes in, bytes out: decoding and encoding happen inside the handler, so that their failures are denials too. */
function rawService(method: MethodDefinition<object, object>): ServiceDefinition {
  const bytes = (buffer: Buffer) => buffer;
  return {
    check: {
      ...method,
      requestSerialize: bytes,
      requestDeserialize: bytes,
      responseSerialize: bytes,
      responseDeserialize: bytes,
    },
  };
}

function checkHandler(method: MethodDefinition<object, object>, { decide, log }: GrpcOptions) {
  const encode = (message: CheckResponseMessage) => method.responseSerialize(message);

  async function answer(bytes: Buffer, remainingMs: number | null): Promise<Buffer> {
    let request = toRequest({});
    try {
      request = toRequest(method.requestDeserialize(bytes) as CheckRequestMessage);
      return encode(toResponse(await decide(request, { remainingMs }), request));
    } catch (error) {
      const decision = failed();
      log.error({ err: error, decision_id: decision.decision_id }, 'Check failed and was denied');
      return encode(toResponse(decision, request));
    }
  }

  return (call: ServerUnaryCall<Buffer, Buffer>, callback: sendUnaryData<Buffer>): void => {
    const remainingMs = remaining(call.getDeadline());
    // Nobody waits for it any more.
    if (call.cancelled || (remainingMs !== null && remainingMs <= 0)) {
      callback({ code: status.DEADLINE_EXCEEDED, details: 'the deadline had passed before work began' });
      return;
    }
    answer(call.request, remainingMs).then(
      (response) => callback(null, response),
      (error: unknown) => callback({ code: status.INTERNAL, details: String(error) }),
    );
  };
}

function remaining(deadline: Deadline): number | null {
  const at = Number(deadline);
  return Number.isFinite(at) ? at - Date.now() : null;
}

/** A denial that `decide` never saw: its id stands in the operator's log, not in the decision log. */
function failed(): Decision {
  return {
    decision_id: `dec_${randomBytes(16).toString('base64url')}`,
    verdict: 'deny',
    reason: 'internal_error',
    reasons: ['internal_error'],
    stage: 'request',
    actor: null,
    result: null,
    strip: [],
    rewrite: [],
    observed: false,
    taintOnResponse: false,
  };
}

interface Health {
  stop(): void;
}

type AddService = Pick<Server, 'addService'>;

function addHealth(server: Server, ready: () => boolean, streams: Set<Endable>): Health {
  const health = new HealthImplementation();
  let stopped = false;
  let last: ServingStatus | null = null;
  const refresh = () => {
    const now: ServingStatus = !stopped && ready() ? 'SERVING' : 'NOT_SERVING';
    if (now === last) return;
    last = now;
    for (const service of ['', AUTHORIZATION]) health.setStatus(service, now);
  };
  const timer = setInterval(refresh, HEALTH_REFRESH_MS).unref();
  refresh();
  // The package types the whole Server, and calls only addService.
  health.addToServer(before(refresh, rememberingStreams(server, streams)) as Server);
  return {
    stop() {
      stopped = true;
      clearInterval(timer);
      refresh();
    },
  };
}

/** Runs `hook` at the start of each call of the services added through it. */
function before(hook: () => void, target: AddService): AddService {
  return wrapping(target, (handler) => (call: unknown, callback: unknown) => {
    hook();
    handler(call, callback);
  });
}

interface Endable {
  end(): void;
}

/** Keeps the server streams that stay open, so that a drain can end them instead of waiting for their clients. */
function rememberingStreams(target: AddService, streams: Set<Endable>): AddService {
  return wrapping(target, (handler) => (call: unknown, callback: unknown) => {
    if (isStream(call)) {
      streams.add(call);
      call.once('close', () => streams.delete(call));
      call.once('cancelled', () => streams.delete(call));
    }
    handler(call, callback);
  });
}

type Handler = (call: unknown, callback: unknown) => void;

function wrapping(target: AddService, wrap: (handler: Handler) => Handler): AddService {
  return {
    addService(service: ServiceDefinition, implementation: UntypedServiceImplementation) {
      const handlers = Object.entries(implementation) as [string, Handler][];
      const wrapped = Object.fromEntries(handlers.map(([name, handler]) => [name, wrap(handler)]));
      target.addService(service, wrapped as UntypedServiceImplementation);
    },
  };
}

function isStream(call: unknown): call is Endable & { once(event: string, listener: () => void): void } {
  return typeof call === 'object' && call !== null && 'end' in call && typeof call.end === 'function';
}

async function bind(server: Server, { address, mode = 0o660 }: GrpcOptions): Promise<string> {
  const parsed = parseAddress(address);
  if (parsed === null) throw unusable(`${address} ${addressProblem(address)}`);
  if (parsed.kind === 'unix') {
    await bindSocket({ path: parsed.path, mode, field: FIELD }, () => listen(server, address));
    return address;
  }
  const port = await listen(server, address);
  return address.replace(/\d+$/, String(port));
}

const FIELD = 'listen.grpc';

function listen(server: Server, address: string): Promise<number> {
  return new Promise((resolve, reject) => {
    server.bindAsync(address, ServerCredentials.createInsecure(), (error, port) => {
      if (error) reject(unusable(`${address} cannot be bound: ${error.message}`));
      else resolve(port);
    });
  });
}

function unusable(message: string): InputError {
  return new InputError([{ field: FIELD, message }]);
}

async function drain(server: Server, health: Health, streams: Set<Endable>, limitMs: number): Promise<void> {
  health.stop();
  const closed = new Promise<'closed'>((resolve) => server.tryShutdown(() => resolve('closed')));
  for (const stream of streams) stream.end();
  let timer: NodeJS.Timeout | undefined;
  const limit = new Promise<'limit'>((resolve) => {
    timer = setTimeout(resolve, limitMs, 'limit');
  });
  await Promise.race([closed, limit]);
  clearTimeout(timer);
  server.forceShutdown();
}

function once(run: () => Promise<void>): () => Promise<void> {
  let running: Promise<void> | undefined;
  return () => {
    running ??= run();
    return running;
  };
}
