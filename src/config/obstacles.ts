import { statSync } from 'node:fs';
import type { Problem } from '../reason.ts';
import type { Config, Listener } from '../schema/config.ts';
import { parseAddress } from './address.ts';
import { isServer } from './bundle-server.ts';
import { readOpaKeys } from './opa-keys.ts';

/** What is wrong with a configuration only on this machine, or only as a whole. */
export function obstacles(config: Config): Problem[] {
  return [...collisions(config), ...missingFiles(config), ...readOpaKeys(config).problems];
}

/** Two listeners on one address: the second could not start. */
function collisions(config: Config): Problem[] {
  const wanted: (readonly [string, string])[] = [
    ...listeners(config).map(([field, { address }]) => [field, address] as const),
  ];
  if (config.firewall !== null) wanted.push(['firewall.listen', config.firewall.listen]);
  const taken = new Map<string, string>();
  return wanted.flatMap(([field, text]) => {
    const address = parseAddress(text);
    const free = address?.kind === 'tcp' && address.port === 0;
    const earlier = free ? undefined : taken.get(text);
    if (!free) taken.set(text, field);
    return earlier === undefined ? [] : [{ field, message: `${text} is taken already, by ${earlier}` }];
  });
}

/** Each with the field that sets it. */
export function listeners({
  listen,
}: Pick<Config, 'listen'>): (readonly [field: string, listener: Listener])[] {
  return [
    ...listen.grpc.map((one) => ['listen.grpc', one] as const),
    ['listen.decision', listen.decision],
    ['listen.control', listen.control],
  ];
}

function missingFiles(config: Config): Problem[] {
  const wanted = folderWanted(config.bundles);
  const folder: Problem[] =
    wanted === 'embedded' || kindOf(wanted) === 'folder'
      ? []
      : [
          {
            field: 'bundles.source',
            message: `must be "embedded", a folder or a repository that is there: ${wanted} is none`,
          },
        ];
  const secrets = (config.firewall?.apis ?? []).flatMap((api, i) =>
    api.inject === null || kindOf(api.inject.value_file) === 'file'
      ? []
      : [
          {
            field: `firewall.apis[${i}].inject.value_file`,
            message: `no such file: ${api.inject.value_file}`,
          },
        ],
  );
  const named = [
    ['decision_logs.token_file', config.decision_logs?.token_file ?? null],
    ['telemetry.traces.headers_file', config.telemetry.traces?.headers_file ?? null],
    ['firewall.proxy.credential_file', config.firewall?.proxy?.credential_file ?? null],
  ] as const;
  const receivers = named.flatMap(([field, path]) =>
    path === null || kindOf(path) === 'file' ? [] : [{ field, message: `no such file: ${path}` }],
  );
  const mcpFiles = (config.firewall?.mcp ?? []).flatMap(({ place }, i) => {
    const files =
      place.kind === 'http'
        ? [['inject.value_file', place.inject?.value_file ?? null] as const]
        : Object.entries(place.env_files).map(([name, file]) => [`env_files.${name}`, file] as const);
    return files.flatMap(([field, file]) =>
      file === null || kindOf(file) === 'file'
        ? []
        : [{ field: `firewall.mcp[${i}].${field}`, message: `no such file: ${file}` }],
    );
  });
  const certificates = listeners(config).flatMap(([field, { tls }]) =>
    (['cert', 'key', 'client_ca'] as const).flatMap((member) => {
      const path = tls?.[member] ?? null;
      if (path === null || kindOf(path) === 'file') return [];
      return [{ field: `${field}.tls.${member}`, message: `no such file: ${path}` }];
    }),
  );
  return [...folder, ...secrets, ...receivers, ...mcpFiles, ...certificates];
}

/** `embedded` where none is needed on this machine. */
function folderWanted({ source, rego }: Config['bundles']): string {
  if (rego === null) return isServer(source) ? 'embedded' : source;
  if (rego.kind === 'folder') return rego.path;
  return rego.protocol === 'file' ? rego.url : 'embedded';
}

function kindOf(path: string): 'file' | 'folder' | null {
  const stat = statSync(path, { throwIfNoEntry: false });
  return stat === undefined ? null : stat.isDirectory() ? 'folder' : 'file';
}
