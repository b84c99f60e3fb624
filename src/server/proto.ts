import { fileURLToPath } from 'node:url';
import type { MethodDefinition } from '@grpc/grpc-js';
import { loadSync, type MessageTypeDefinition, type PackageDefinition } from '@grpc/proto-loader';

const FILES = [
  'envoy/service/auth/v3/external_auth.proto',
  'grpc/health/v1/health.proto',
  'grpc/reflection/v1/reflection.proto',
];

/** Everything in `proto/` that the server speaks; names as written there, unset members absent. */
export function loadProtos(): PackageDefinition {
  return loadSync(FILES, {
    includeDirs: [fileURLToPath(new URL('../../proto', import.meta.url))],
    keepCase: true,
    longs: Number,
    defaults: false,
    oneofs: false,
  });
}

export const AUTHORIZATION = 'envoy.service.auth.v3.Authorization';

/** The definition of `Check`, with its codecs. */
export function checkMethod(protos: PackageDefinition): MethodDefinition<object, object> {
  const service = protos[AUTHORIZATION];
  const method = service !== undefined && !('format' in service) ? service.Check : undefined;
  if (method === undefined || typeof method === 'string')
    throw new Error(`proto/ has no ${AUTHORIZATION}/Check`);
  return method as MethodDefinition<object, object>;
}

/** google.protobuf.FileDescriptorProto, as far as references go; other members travel as they are. */
interface FileDescriptor {
  readonly name: string;
  readonly package: string;
  readonly messageType?: readonly MessageDescriptor[];
  readonly enumType?: readonly { readonly name: string }[];
  readonly service?: readonly { readonly method?: readonly MethodDescriptor[] }[];
}

interface MessageDescriptor {
  readonly name: string;
  readonly field?: readonly { readonly name: string; readonly typeName?: string }[];
  readonly nestedType?: readonly MessageDescriptor[];
  readonly enumType?: readonly { readonly name: string }[];
  readonly options?: { readonly mapEntry?: boolean };
}

interface MethodDescriptor {
  readonly inputType: string;
  readonly outputType: string;
}

/**
 * The descriptors for reflection. protobufjs leaves out imports, names map entries in its own way and refers to types
 * by relative names, all of which strict clients (grpcurl) refuse: here they are as protoc would write them.
 */
export function reflectable(protos: PackageDefinition): PackageDefinition {
  const codec = loadSync('google/protobuf/descriptor.proto')['google.protobuf.FileDescriptorProto'];
  if (codec === undefined || !('serialize' in codec) || typeof codec.serialize !== 'function') {
    throw new Error('@grpc/proto-loader has no codec for FileDescriptorProto');
  }
  const { serialize, deserialize } = codec as MessageTypeDefinition<object, object>;
  const given = Object.values(protos).flatMap(({ fileDescriptorProtos: files }) =>
    Array.isArray(files) ? (files as Buffer[]) : [],
  );
  const files = new Map(
    given.map((bytes) => deserialize(bytes) as FileDescriptor).map((file) => [file.name, file]),
  );
  const owner = new Map(
    [...files.values()].flatMap((file) => symbols(file).map((symbol) => [symbol, file.name])),
  );
  const fileDescriptorProtos = [...files.values()].map((file) => serialize(link(file, owner)));
  // `format` and `type` are not read: reflection takes the files of whatever is in the package.
  return { files: { format: 'Protocol Buffer 3 DescriptorProto', type: {}, fileDescriptorProtos } as never };
}

/** Full names of all messages and enums of a file. */
function symbols(file: FileDescriptor): string[] {
  const within = (scope: string, types: Pick<MessageDescriptor, 'nestedType' | 'enumType'>): string[] => [
    ...(types.enumType ?? []).map((item) => `${scope}.${item.name}`),
    ...(types.nestedType ?? []).flatMap((item) => [
      `${scope}.${item.name}`,
      ...within(`${scope}.${item.name}`, item),
    ]),
  ];
  return within(file.package, { ...file, nestedType: file.messageType ?? [] });
}

function link(file: FileDescriptor, owner: ReadonlyMap<string, string>): object {
  const imports = new Set<string>();
  /** A name as protobuf resolves it: from the innermost scope outwards. */
  const resolve = (name: string, scope: string): string => {
    const at = name.startsWith('.') ? '' : scope;
    for (let outer = at; ; outer = outer.slice(0, Math.max(0, outer.lastIndexOf('.')))) {
      const full = outer === '' ? name.replace(/^\./, '') : `${outer}.${name}`;
      const home = owner.get(full);
      if (home !== undefined) {
        imports.add(home);
        return `.${full}`;
      }
      if (outer === '') throw new Error(`proto/: ${scope} refers to ${name}, which is nowhere`);
    }
  };
  const message = (type: MessageDescriptor, scope: string): MessageDescriptor => {
    const full = `${scope}.${type.name}`;
    const entries = entryNames(type);
    return {
      ...type,
      field: (type.field ?? []).map((field) => {
        if (field.typeName === undefined || field.typeName === '') return field;
        const entry = entries.get(field.typeName);
        return {
          ...field,
          typeName: entry === undefined ? resolve(field.typeName, full) : `.${full}.${entry}`,
        };
      }),
      nestedType: (type.nestedType ?? []).map((item) => ({
        ...message(item, full),
        name: entries.get(item.name) ?? item.name,
      })),
    };
  };
  const messageType = (file.messageType ?? []).map((type) => message(type, file.package));
  const service = (file.service ?? []).map((item) => ({
    ...item,
    method: (item.method ?? []).map((method) => ({
      ...method,
      inputType: resolve(method.inputType, file.package),
      outputType: resolve(method.outputType, file.package),
    })),
  }));
  imports.delete(file.name);
  return { ...file, messageType, service, dependency: [...imports] };
}

/** Of map entries: the name given by protobufjs, and protoc's (`context_extensions` -> `ContextExtensionsEntry`). */
function entryNames(type: MessageDescriptor): Map<string, string> {
  const entries = (type.nestedType ?? []).filter((item) => item.options?.mapEntry === true);
  return new Map(
    entries.flatMap((entry) => {
      const field = (type.field ?? []).find((item) => item.typeName === entry.name);
      if (field === undefined) return [];
      const words = field.name.split('_').map((word) => word.charAt(0).toUpperCase() + word.slice(1));
      return [[entry.name, `${words.join('')}Entry`] as const];
    }),
  );
}
