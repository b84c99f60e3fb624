import type { EventEmitter } from 'node:events';
import type { MethodDefinition, ServiceDefinition, UntypedServiceImplementation } from '@grpc/grpc-js';
import type { Method, StreamingCall } from './grpc-call.ts';
import { GrpcError, STATUS } from './grpc-wire.ts';

/** What packages made for grpc-js add their services to. */
export interface ServiceHost {
  addService(service: ServiceDefinition, implementation: UntypedServiceImplementation): void;
}

type Handler = (call: unknown, callback?: (error: Failure | null, answer?: unknown) => void) => void;

interface Failure {
  readonly code?: number;
  readonly details?: string;
}

/**
 * A host that puts services into `methods`. Handlers see of grpc-js's calls what health and reflection use: `request`,
 * `write`, `end`, and the events `data`, `end` and `cancelled`. `before` runs at the start of each call.
 */
export function serviceHost(methods: Map<string, Method>, before: () => void = () => undefined): ServiceHost {
  return {
    addService(service, implementation) {
      for (const [name, definition] of Object.entries(service)) {
        const handler = (implementation[definition.originalName ?? name] ?? implementation[name]) as
          | Handler
          | undefined;
        if (handler === undefined) continue;
        methods.set(definition.path, methodOf(definition, handler.bind(implementation), before));
      }
    },
  };
}

function methodOf(
  definition: MethodDefinition<unknown, unknown>,
  handler: Handler,
  before: () => void,
): Method {
  const decode = (message: Buffer): unknown => {
    try {
      return definition.requestDeserialize(message);
    } catch {
      throw new GrpcError(STATUS.internal, 'the message cannot be read');
    }
  };
  if (!definition.responseStream) {
    return {
      kind: 'unary',
      call: (message) =>
        new Promise((resolve, reject) => {
          before();
          handler({ request: decode(message) }, (error, answer) => {
            if (error === null) resolve(definition.responseSerialize(answer));
            else reject(new GrpcError(error.code ?? STATUS.internal, error.details ?? 'the call failed'));
          });
        }),
    };
  }
  const encode = (answer: unknown) => definition.responseSerialize(answer);
  return {
    kind: 'streaming',
    oneRequest: !definition.requestStream,
    handle(call) {
      before();
      if (definition.requestStream) handler(decoding(call, decode, encode));
      else
        call.once('data', (message: Buffer) =>
          attempt(call, () => handler(asked(call, decode(message), encode))),
        );
    },
  };
}

/** For a handler of one request and many answers. */
function asked(call: StreamingCall, request: unknown, encode: (answer: unknown) => Buffer): unknown {
  return {
    request,
    write: (answer: unknown) => call.write(encode(answer)),
    end: () => call.end(),
    on: (event: string, listener: () => void) => call.on(event, listener),
  };
}

/** For a handler of many requests and many answers: listens to the messages themselves. */
function decoding(
  call: StreamingCall,
  decode: (message: Buffer) => unknown,
  encode: (answer: unknown) => Buffer,
): unknown {
  const on = (event: string, listener: (value?: unknown) => void): EventEmitter =>
    event === 'data'
      ? call.on('data', (message: Buffer) => attempt(call, () => listener(decode(message))))
      : call.on(event, () => listener());
  return { on, write: (answer: unknown) => call.write(encode(answer)), end: () => call.end() };
}

function attempt(call: StreamingCall, run: () => void): void {
  try {
    run();
  } catch (error) {
    call.fail(error);
  }
}
