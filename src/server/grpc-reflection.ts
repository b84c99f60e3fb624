import type { EventEmitter } from 'node:events';
import type {
  MethodDefinition,
  Server,
  ServiceDefinition,
  UntypedServiceImplementation,
} from '@grpc/grpc-js';
import type { Method, StreamingCall, StreamingMethod } from './grpc-call.ts';
import { GrpcError, STATUS } from './grpc-wire.ts';

const PATHS = ['v1', 'v1alpha'].map(
  (version) => `/grpc.reflection.${version}.ServerReflection/ServerReflectionInfo`,
);

/**
 * Adds server reflection. What it is made of is loaded when somebody first calls it: that takes a fifth of a start and
 * some MiB, and hardly anybody does.
 */
export function addReflection(methods: Map<string, Method>): void {
  let loaded: Promise<ReadonlyMap<string, StreamingMethod>> | undefined;
  for (const path of PATHS) {
    methods.set(path, {
      kind: 'streaming',
      oneRequest: false,
      async handle(call) {
        loaded ??= load();
        const method = (await loaded).get(path);
        if (method === undefined) throw new Error(`@grpc/reflection serves no ${path}`);
        await method.handle(call);
      },
    });
  }
}

async function load(): Promise<ReadonlyMap<string, StreamingMethod>> {
  const [{ ReflectionService }, { loadProtos, reflectable }] = await Promise.all([
    import('@grpc/reflection'),
    import('./proto.ts'),
  ]);
  const methods = new Map<string, StreamingMethod>();
  const host = {
    addService(service: ServiceDefinition, implementation: UntypedServiceImplementation) {
      for (const [name, definition] of Object.entries(service)) {
        const handler = implementation[name] as Handler | undefined;
        if (handler !== undefined) methods.set(definition.path, methodOf(definition, handler));
      }
    },
  };
  // The package types the whole Server of grpc-js, and calls only addService.
  new ReflectionService(reflectable(loadProtos())).addToServer(host as Server);
  return methods;
}

/** Sees of grpc-js's calls `write`, `end`, and the events `data` and `end`. */
type Handler = (call: unknown) => void;

function methodOf(definition: MethodDefinition<unknown, unknown>, handler: Handler): StreamingMethod {
  return {
    oneRequest: false,
    handle: (call) => handler({ on: hearing(call, definition), ...answering(call, definition) }),
  };
}

function hearing(call: StreamingCall, { requestDeserialize }: MethodDefinition<unknown, unknown>) {
  return (event: string, listener: (value?: unknown) => void): EventEmitter =>
    call.on(event, (message?: Buffer) => {
      try {
        listener(message === undefined ? undefined : decoded(message, requestDeserialize));
      } catch (error) {
        call.fail(error);
      }
    });
}

function answering(call: StreamingCall, { responseSerialize }: MethodDefinition<unknown, unknown>) {
  return { write: (answer: unknown) => call.write(responseSerialize(answer)), end: () => call.end() };
}

function decoded(message: Buffer, deserialize: (bytes: Buffer) => unknown): unknown {
  try {
    return deserialize(message);
  } catch {
    throw new GrpcError(STATUS.internal, 'the message cannot be read');
  }
}
