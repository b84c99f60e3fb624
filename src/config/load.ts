import { createHash } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { dirname, isAbsolute, relative, resolve, sep } from 'node:path';
import type { InputError, Problem } from '../reason.ts';
import type { Config } from '../schema/config.ts';
import { checkConfig, checkRoutesFile, type RoutesFile } from './check.ts';
import { effective } from './effective.ts';
import type { Environment } from './environment.ts';
import { ConfigError } from './error.ts';
import { listeners, obstacles } from './obstacles.ts';
import { type Places, placesOf } from './places.ts';
import { type Override, overrides, unknownVariables } from './settings.ts';
import { type Place, readYaml, type Source } from './yaml-source.ts';

export interface LoadOptions {
  /** The configuration file; default: LEMMA_CONFIG, else `lemma.yaml` in `cwd` when there is one, else none. */
  readonly file?: string | undefined;
  /** Flags by field: `{'listen.grpc': '127.0.0.1:0'}`. */
  readonly flags: Readonly<Record<string, string | undefined>>;
  readonly env: Environment;
  /** The folder that paths in flags and variables are meant from, and the default file is looked for in. */
  readonly cwd: string;
  /** By field, what counts where nothing else says anything, in place of the schema's defaults. Paths are absolute. */
  readonly fallbacks?: Readonly<Record<string, unknown>>;
  /** By field, what is in its list beside what the file has there. Asked at each load; paths are absolute. */
  readonly additions?: () => Readonly<Record<string, readonly unknown[]>>;
}

export interface LoadedConfig {
  readonly config: Config;
  /** Short hash of what decisions depend on: the same on every node with this configuration. */
  readonly revision: string;
  /** Absolute; a change to one of them is a change of the configuration. */
  readonly files: readonly string[];
  /** What does no harm but may not be meant: sentences for a person. */
  readonly warnings: readonly string[];
  /** Where a field such as `routes[3].path` stands; null when it is in no file. */
  locate(field: string): Place | null;
  /** A later complaint about the configuration (two routes that tie), with its places. */
  locateError(error: InputError): ConfigError;
}

export const DEFAULT_FILE = 'lemma.yaml';

/** Reads, checks and fills in the whole configuration. Throws ConfigError with everything that is wrong. */
export function loadConfig(options: LoadOptions): LoadedConfig {
  const file = fileOf(options);
  const main = file === null ? null : readSource(file, options.cwd);
  const files = file === null ? [] : [file];
  const unread = main?.problems ?? [];
  if (unread.length > 0 && main?.value === null) throw new ConfigError(unread, files);

  const said = added(filled(main?.value ?? {}, options.fallbacks ?? {}), options.additions?.() ?? {});
  const { value, overridden } = overlay(said, overrides(options.flags, options.env));
  const folderOf = (field: string) => (file === null || overridden.has(field) ? options.cwd : dirname(file));
  const routesFile = routesFileOf(value, folderOf('routes'));
  if (routesFile !== null) files.push(routesFile);
  const routes = routesFile === null ? null : readSource(routesFile, options.cwd);

  const places = placesOf({ main, routes, overridden });
  const checked = checkConfig(value);
  const listed = checkRoutes(routes, places);
  const problems = [...unread, ...(checked.ok ? [] : checked.problems.map(places.tell)), ...listed.problems];
  if (!checked.ok || problems.length > 0) throw new ConfigError(problems, files);

  const inline = Array.isArray(checked.value.routes) ? checked.value.routes : [];
  const config = effective(checked.value, {
    folderOf,
    routes: routes === null ? { routes: inline, permit_method_override: [] } : listed.value,
  });
  const inTheWay = obstacles(config);
  files.push(...tlsFiles(config));
  if (inTheWay.length > 0) throw new ConfigError(inTheWay.map(places.tell), files);
  return {
    config,
    revision: revisionOf(config),
    files,
    warnings: unknownVariables(options.env),
    locate: places.locate,
    locateError: (error) => new ConfigError(error.problems.map(places.tell), files),
  };
}

function fileOf({ file, env, cwd }: LoadOptions): string | null {
  const named = file ?? env.LEMMA_CONFIG;
  if (named !== undefined) return resolve(cwd, named);
  const usual = resolve(cwd, DEFAULT_FILE);
  return existsSync(usual) ? usual : null;
}

function readSource(path: string, cwd: string): Source {
  const shown = shownName(path, cwd);
  try {
    return readYaml(shown, new TextDecoder('utf-8', { fatal: true }).decode(readFileSync(path)));
  } catch (error) {
    const place: Place = { file: shown, line: 1, column: 1 };
    const problem = { file: shown, line: null, column: null, field: '', message: whyUnread(error) };
    return { value: null, problems: [problem], locate: () => place };
  }
}

function whyUnread(error: unknown): string {
  switch (error instanceof Error && 'code' in error ? error.code : undefined) {
    case 'ENOENT':
      return 'no such file';
    case 'EISDIR':
      return 'is a folder, not a file';
    case 'EACCES':
      return 'may not be read by this user';
    case 'ERR_ENCODING_INVALID_ENCODED_DATA':
      return 'is not UTF-8';
    default:
      throw error;
  }
}

/** As a person in `cwd` would name it. */
function shownName(path: string, cwd: string): string {
  const name = relative(cwd, path);
  return name === '..' || name.startsWith(`..${sep}`) || isAbsolute(name) ? path : name;
}

/** The file's data with flags and variables laid over it; where the file has no mapping, it is left to be refused. */
function overlay(file: unknown, given: readonly Override[]) {
  const value: unknown = structuredClone(file);
  const overridden = new Map<string, string>();
  for (const { setting, text, source } of given) {
    const path = setting.field.split('.');
    const last = path.pop() ?? '';
    const parent = path.reduce<unknown>(descend, value);
    if (!isRecord(parent)) continue;
    parent[last] = setting.many && text.includes(',') ? text.split(',').map((part) => part.trim()) : text;
    overridden.set(setting.field, source);
  }
  return { value, overridden };
}

/** The file's data with what it leaves open; a mapping in the file is completed, anything else of it stays. */
function filled(file: unknown, fallbacks: Readonly<Record<string, unknown>>): unknown {
  const value: unknown = structuredClone(file);
  for (const [field, fallback] of Object.entries(fallbacks)) {
    const path = field.split('.');
    const last = path.pop() ?? '';
    const parent = path.reduce<unknown>(descend, value);
    if (isRecord(parent) && !Object.hasOwn(parent, last)) parent[last] = fallback;
  }
  return value;
}

/** Lists with more in them; what is no list is left to be refused. */
function added(value: unknown, additions: Readonly<Record<string, readonly unknown[]>>): unknown {
  for (const [field, items] of Object.entries(additions)) {
    if (items.length === 0) continue;
    const path = field.split('.');
    const last = path.pop() ?? '';
    const parent = path.reduce<unknown>(descend, value);
    if (!isRecord(parent)) continue;
    const list = parent[last] ?? [];
    if (Array.isArray(list)) parent[last] = [...list, ...items];
  }
  return value;
}

function descend(parent: unknown, name: string): unknown {
  if (!isRecord(parent)) return null;
  if (!Object.hasOwn(parent, name)) parent[name] = {};
  return parent[name];
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function routesFileOf(value: unknown, folder: string): string | null {
  if (!isRecord(value) || typeof value.routes !== 'string' || value.routes === '') return null;
  return resolve(folder, value.routes);
}

/** A renewed certificate is taken over like a changed line of the file. */
function tlsFiles(config: Config): string[] {
  const paths = listeners(config).flatMap(([, { tls }]) =>
    tls === null ? [] : [tls.cert, tls.key, tls.client_ca].filter((path) => path !== null),
  );
  return [...new Set(paths)];
}

const NO_ROUTES: RoutesFile = { routes: [], permit_method_override: [] };

function checkRoutes(source: Source | null, places: Places) {
  if (source === null) return { value: NO_ROUTES, problems: [] };
  const unread = source.problems;
  if (unread.length > 0 && source.value === null) return { value: NO_ROUTES, problems: unread };
  const checked = checkRoutesFile(source.value);
  if (checked.ok) return { value: checked.value, problems: unread };
  // What is no route is this file's own member, and the main file cannot be asked about it.
  const tell = (p: Problem) =>
    p.field.startsWith('routes[') ? places.tell(p) : { ...p, ...source.locate(p.field) };
  return { value: NO_ROUTES, problems: [...unread, ...checked.problems.map(tell)] };
}

/**
 * Of what decisions depend on: where this node listens, keeps its data and finds its files and peers is not among it, so
 * that nodes with one configuration have one revision, and no secret can be guessed from it. Bundles have digests of
 * their own.
 */
function revisionOf({
  listen: _listen,
  data: _data,
  feed: _feed,
  store: _store,
  node: _node,
  limits: _limits,
  telemetry: _telemetry,
  control: _control,
  bundles,
  firewall,
  ...decisive
}: Config): string {
  const apis = firewall?.apis.map(({ inject, ...api }) => ({ ...api, inject: inject?.header ?? null })) ?? [];
  const mcp = firewall?.mcp.map(({ place: _place, timeout_ms: _timeout, ...server }) => server) ?? [];
  const agents = firewall?.agents.map(({ credential_file: _file, ...agent }) => agent) ?? [];
  const { credential_file: _credential, ...proxy } = firewall?.proxy ?? { credential_file: null };
  // Without a proxy, MCP servers, agents or OPA's keys the revision is what it was before there were any to configure.
  const content = {
    ...decisive,
    keys: bundles.keys,
    ...(Object.keys(bundles.opa_keys).length === 0 ? {} : { opa_keys: bundles.opa_keys }),
    apis,
    ...(Object.keys(proxy).length === 0 ? {} : { proxy }),
    ...(mcp.length === 0 ? {} : { mcp }),
    ...(agents.length === 0 ? {} : { agents }),
  };
  return createHash('sha256').update(JSON.stringify(content)).digest('hex').slice(0, 12);
}
