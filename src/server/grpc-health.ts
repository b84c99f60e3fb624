import { textIn } from './check-wire.ts';
import type { Method, StreamingCall } from './grpc-call.ts';
import { GrpcError, STATUS } from './grpc-wire.ts';

/** HealthCheckResponse.ServingStatus of `proto/grpc/health/v1/health.proto`. */
const SERVING_STATUS = { serving: 1, notServing: 2, serviceUnknown: 3 } as const;
type ServingStatus = (typeof SERVING_STATUS)[keyof typeof SERVING_STATUS];

export interface Health {
  /** From now on NOT_SERVING; those who watch are told. */
  stop(): void;
}

const REFRESH_MS = 500;
const SERVICE = '/grpc.health.v1.Health';

/**
 * Adds grpc.health.v1 (https://github.com/grpc/grpc/blob/master/doc/health-checking.md) for these services, which all
 * fare alike. `ready` is asked on each call, and twice a second for those who watch.
 */
export function addHealth(
  methods: Map<string, Method>,
  services: readonly string[],
  ready: () => boolean,
): Health {
  const watchers = new Set<StreamingCall>();
  let stopped = false;
  let last: ServingStatus | null = null;
  const refresh = (): ServingStatus => {
    const now = !stopped && ready() ? SERVING_STATUS.serving : SERVING_STATUS.notServing;
    if (now !== last) for (const call of watchers) call.write(responseOf(now));
    last = now;
    return now;
  };
  const timer = setInterval(refresh, REFRESH_MS).unref();

  methods.set(`${SERVICE}/Check`, {
    kind: 'unary',
    async call(message) {
      const service = serviceIn(message);
      if (services.includes(service)) return responseOf(refresh());
      throw new GrpcError(STATUS.notFound, `Health status unknown for service ${service}`);
    },
  });
  methods.set(`${SERVICE}/Watch`, {
    kind: 'streaming',
    oneRequest: true,
    handle(call) {
      let gone = false;
      call.on('close', () => {
        gone = true;
        watchers.delete(call);
      });
      call.once('data', (message: Buffer) => {
        try {
          const known = services.includes(serviceIn(message));
          call.write(responseOf(known ? refresh() : SERVING_STATUS.serviceUnknown));
          if (known && !gone) watchers.add(call);
        } catch (error) {
          call.fail(error);
        }
      });
    },
  });
  methods.set(`${SERVICE}/List`, {
    kind: 'unary',
    call: async () => {
      const status = responseOf(refresh());
      return Buffer.concat(services.map((name) => part(1, part(1, Buffer.from(name)), part(2, status))));
    },
  });
  return {
    stop() {
      stopped = true;
      clearInterval(timer);
      refresh();
    },
  };
}

function serviceIn(request: Buffer): string {
  try {
    return textIn(request, 0, request.length, 1);
  } catch {
    throw new GrpcError(STATUS.internal, 'the message cannot be read');
  }
}

function responseOf(status: ServingStatus): Buffer {
  return Buffer.of(0x08, status);
}

/** A field that holds others. Names of services are short: its length is one byte. */
function part(field: number, ...content: readonly Uint8Array[]): Buffer {
  const bytes = Buffer.concat(content);
  return Buffer.concat([Buffer.of(field * 8 + 2, bytes.length), bytes]);
}
