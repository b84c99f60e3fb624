import { createHash } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { basename, dirname, join, resolve } from 'node:path';
import { type Call, textOption } from '../../../command.ts';
import { CliError, misuse } from '../../../exit.ts';
import { given } from '../../folder.ts';
import { readAt } from '../edit.ts';

/** A program whose configuration names MCP servers. */
export interface McpClient {
  /** Begins the ids of its servers at the firewall. */
  readonly id: string;
  readonly file: string;
  /** Where in the file they are; the first that is there. */
  readonly paths: readonly (readonly string[])[];
}

const USUAL = [['mcpServers']] as const;

interface Known {
  readonly user: (home: string, env: Call['env']) => string;
  readonly project?: string;
  readonly paths?: McpClient['paths'];
}

/** Where they keep it, as their documentation says; as of autumn 2026. */
const CLIENTS: Readonly<Record<string, Known>> = {
  'claude-desktop': {
    user: (home, env) => join(applicationData(home, env), 'Claude', 'claude_desktop_config.json'),
  },
  'claude-code': { user: (home) => join(home, '.claude.json'), project: '.mcp.json' },
  cursor: { user: (home) => join(home, '.cursor', 'mcp.json'), project: join('.cursor', 'mcp.json') },
  vscode: {
    user: (home, env) => join(applicationData(home, env), 'Code', 'User', 'mcp.json'),
    project: join('.vscode', 'mcp.json'),
    paths: [['servers']],
  },
  windsurf: { user: (home) => join(home, '.codeium', 'windsurf', 'mcp_config.json') },
  openclaw: { user: (home) => join(home, '.openclaw', 'openclaw.json'), paths: [['mcp', 'servers']] },
};

export const CLIENT_NAMES = Object.keys(CLIENTS);

function applicationData(home: string, env: Call['env']): string {
  switch (process.platform) {
    case 'darwin':
      return join(home, 'Library', 'Application Support');
    case 'win32':
      return given(env.APPDATA) ? env.APPDATA : join(home, 'AppData', 'Roaming');
    default:
      return given(env.XDG_CONFIG_HOME) ? env.XDG_CONFIG_HOME : join(home, '.config');
  }
}

/** `--client`, with `--project` its file in this folder; or `--file`. Throws a misuse for neither, and for both. */
export function chosenClient({ options, env, folder }: Call): McpClient {
  const [name, file] = [textOption(options, 'client'), textOption(options, 'file')];
  if ((name === undefined) === (file === undefined))
    throw misuse(`say which MCP client: --client ${CLIENT_NAMES.join(' | ')}, or --file <its configuration>`);
  if (file !== undefined) {
    const path = resolve(folder, file);
    const digest = createHash('sha256').update(path).digest('hex').slice(0, 8);
    return { id: `file-${digest}`, file: path, paths: [...USUAL, ['servers'], ['mcp', 'servers']] };
  }
  const known = CLIENTS[name ?? ''];
  if (known === undefined) throw misuse(`--client must be one of ${CLIENT_NAMES.join(', ')}, not "${name}"`);
  const paths = known.paths ?? USUAL;
  const home = given(env.HOME) ? env.HOME : homedir();
  if (options.project !== true) return { id: name ?? '', file: known.user(home, env), paths };
  if (known.project === undefined) throw misuse(`${name} keeps none in a project: leave --project out`);
  return { id: `${name}-${slugOf(basename(folder))}`.slice(0, 30), file: join(folder, known.project), paths };
}

/** The path of its servers in the text. Throws CliError `servers_missing`. */
export function serversPath({ file, paths }: McpClient, text: string): readonly string[] {
  const found = paths.find((path) => isObject(readAt(text, path)));
  if (found !== undefined) return found;
  throw new CliError(
    'servers_missing',
    `${file}: has no ${paths.map((path) => path.join('.')).join(' or ')}: there is nothing to put behind the firewall`,
  );
}

export function textIn({ file }: McpClient): string {
  if (existsSync(file)) return readFileSync(file, 'utf8');
  throw new CliError('config_missing', `${file}: no such file: this client has no MCP servers here`);
}

/** The folder that a server of this client is started in, where it says none. */
export function workingFolder({ file }: McpClient, { env, folder }: Call): string {
  return file.startsWith(join(folder, ''))
    ? dirname(file).replace(/[\\/]\.(?:vscode|cursor)$/, '')
    : given(env.HOME)
      ? env.HOME
      : homedir();
}

/** As ids of MCP servers are: letters and digits in lower case, and -. */
export function slugOf(name: string): string {
  return (
    name
      .toLowerCase()
      .replaceAll(/[^a-z0-9]+/g, '-')
      .replaceAll(/^-+|-+$/g, '')
      .slice(0, 30) || 'server'
  );
}

export function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
