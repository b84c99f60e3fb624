import { addressProblem, parseAddress } from '../config/address.ts';
import { type Admission, mentionsPop } from '../pdp/admission.ts';
import { Abandoned } from '../pdp/lane.ts';
import { InputError } from '../reason.ts';
import { toRequest, toResponse } from '../request/envoy.ts';
import type { Decision } from '../schema/decision.ts';
import type { AuthzRequest } from '../schema/request.ts';
import { encodeCheckResponse } from './check-answer.ts';
import { decodeCheckRequest } from './check-wire.ts';
import { failed } from './failed.ts';
import type { Method, UnaryMethod } from './grpc-call.ts';
import { addHealth } from './grpc-health.ts';
import { createListener, type Listener } from './grpc-listener.ts';
import { addReflection } from './grpc-reflection.ts';
import { GrpcError, STATUS } from './grpc-wire.ts';
import { runOnce } from './once.ts';
import { bindSocket } from './socket.ts';
import type { Tls, TlsGuard } from './tls.ts';

/** Time that the caller still waits, from `grpc-timeout`; null when it named none. */
export interface CallDeadline {
  readonly remainingMs: number | null;
}

export interface GrpcOptions {
  /** `host:port` (`[::1]:9191` for IPv6; port 0 takes a free one) or `unix:///path`. */
  readonly address: string;
  /** Permissions of a unix socket; default: for its user and group. */
  readonly mode?: number;
  /** Null or absent: HTTP/2 in the clear. */
  readonly tls?: Tls | null;
  readonly decide: (request: AuthzRequest, deadline: CallDeadline) => Promise<Decision>;
  /** Holds each Check until its turn comes, before it is read; default: at once. */
  readonly inTurn?: Admission['inTurn'];
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
  /** Null without TLS. */
  readonly tls: TlsGuard | null;
  /** Health says NOT_SERVING, clients get GOAWAY, requests under way finish, then all closes. Idempotent. */
  drain(): Promise<void>;
}

const AUTHORIZATION = 'envoy.service.auth.v3.Authorization';

/**
 * Serves envoy.service.auth.v3, grpc.health.v1 and server reflection. Whatever goes wrong inside a Check, an unreadable
 * message included, is answered as a denial (`internal_error`), never as a gRPC error, which Envoy may turn into allow.
 *
 * @throws InputError when the address cannot be used.
 */
export async function startGrpc(options: GrpcOptions): Promise<GrpcServer> {
  const methods = new Map<string, Method>();
  methods.set(`/${AUTHORIZATION}/Check`, { kind: 'unary', call: checkHandler(options) });
  const health = addHealth(methods, ['', AUTHORIZATION], options.ready);
  addReflection(methods);
  const listener = createListener(methods, {
    tls: options.tls,
    onFlood: (peer) =>
      options.log.error({ peer }, 'a gRPC client reset too many calls: its connection is closed'),
    onError: (error) => options.log.error({ err: error }, 'a gRPC connection could not be accepted'),
  });
  const stop = async () => {
    health.stop();
    await listener.close(options.drainMs ?? 10_000);
  };
  try {
    const address = await bind(listener, options);
    options.log.info({ address }, 'gRPC authorization is listening');
    return { address, tls: listener.tls, drain: runOnce(stop) };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** Bytes in, bytes out: decoding and encoding happen in here, so that their failures are denials too. */
function checkHandler({
  decide,
  log,
  inTurn = (_border, _caller, work) => work(),
}: GrpcOptions): UnaryMethod {
  const check: UnaryMethod = async (bytes, { peer, remainingMs }) => {
    let request = toRequest({});
    try {
      const asked = toRequest(decodeCheckRequest(bytes));
      request = peer === null ? asked : { ...asked, enforcementPoint: peer };
      return encodeCheckResponse(toResponse(await decide(request, { remainingMs }), request));
    } catch (error) {
      const decision = failed();
      log.error({ err: error, decision_id: decision.decision_id }, 'Check failed and was denied');
      return encodeCheckResponse(toResponse(decision, request));
    }
  };
  const refusal = lastOf((denial: Decision) => encodeCheckResponse(toResponse(denial, toRequest({}))));
  return (bytes, caller) =>
    inTurn('grpc', { ...caller, durable: mentionsPop(bytes) }, () => check(bytes, caller), refusal).catch(
      (error: unknown) => {
        throw error instanceof Abandoned ? new GrpcError(STATUS.deadlineExceeded, error.message) : error;
      },
    );
}

/** Remembers its last answer: requests that are shed together are denied in the same words. */
function lastOf<In extends object, Out>(make: (of: In) => Out): (of: In) => Out {
  let last: { readonly of: In; readonly out: Out } | undefined;
  return (of) => {
    if (last?.of !== of) last = { of, out: make(of) };
    return last.out;
  };
}

async function bind(listener: Listener, { address, mode = 0o660 }: GrpcOptions): Promise<string> {
  const parsed = parseAddress(address);
  if (parsed === null) throw unusable(`${address} ${addressProblem(address)}`);
  const listen = () =>
    listener.listen(parsed).catch((error: unknown) => {
      throw unusable(`${address} cannot be bound: ${error instanceof Error ? error.message : String(error)}`);
    });
  if (parsed.kind === 'unix') {
    await bindSocket({ path: parsed.path, mode, field: FIELD }, listen);
    return address;
  }
  return address.replace(/\d+$/, String(await listen()));
}

const FIELD = 'listen.grpc';

function unusable(message: string): InputError {
  return new InputError([{ field: FIELD, message }]);
}
