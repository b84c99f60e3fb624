import { rmSync } from 'node:fs';
import { join } from 'node:path';
import type { Command } from 'commander';
import { makeFolder } from '../config/make-folder.ts';
import { DEFAULT_FIREWALL } from '../schema/config.ts';
import type { SetupState } from '../schema/local-state.ts';
import type { McpServerEntry } from '../schema/mcp.ts';
import type { Call, Result } from './command.ts';
import { dataFolder, homeFolder, openHome } from './local/folder.ts';
import { type Gap, uncovered } from './local/setup/agent.ts';
import { containRuntime, identityOf, release } from './local/setup/contain.ts';
import { readAt } from './local/setup/edit.ts';
import {
  applyChanges,
  diffOf,
  type FileChange,
  isChange,
  planChange,
  undoChanges,
} from './local/setup/files.ts';
import {
  CLIENT_NAMES,
  chosenClient,
  isObject,
  type McpClient,
  serversPath,
  textIn,
  workingFolder,
} from './local/setup/mcp/clients.ts';
import { proveServers } from './local/setup/mcp/prove.ts';
import {
  audienceOf,
  type Configured,
  configuredServers,
  isOf,
  withTools,
  withWrapped,
} from './local/setup/mcp/servers.ts';
import { approval, defineSetupOptions } from './local/setup/options.ts';
import { setupResult } from './local/setup/report.ts';
import { readFirewallState, readSetup, replaceFile } from './local/state.ts';

export function define(command: Command): void {
  defineSetupOptions(command, 'the client');
  command
    .option('--client <name>', `The MCP client: ${CLIENT_NAMES.join(', ')}`)
    .option('--project', "Its configuration in this folder, instead of the user's")
    .option('--file <file>', 'Instead: a configuration with mcpServers, or servers');
}

/**
 * Puts the MCP servers of a client behind the local firewall: each is asked for its tools, its place in the client's file is taken
 * by `lemma mcp wrap`, and what it needs (command, variables, headers) is kept here, 0600. What cannot be is left as it
 * is, and named: DEGRADED then, with exit 1, as where a gap is known.
 */
export async function run(call: Call): Promise<Result> {
  const client = chosenClient(call);
  if (call.options.undo === true) return undo(call, client);
  const found = serversOf(call, client);
  if (call.options.dryRun === true) return dryRun(call, client, found);
  await approval(call, diffOf(planned(call, client, found)));

  openHome(call);
  const identity = identityOf(call, client.id);
  const { entries, gaps, done } = await askServers(call, found);
  const reach = {
    scope: entries.map(({ id }) => `mcp.${id}.*`),
    audience: entries.length === 0 ? [] : [audienceOf(client.id)],
  };
  const contained = await containRuntime(
    call,
    identity,
    (setup) => withServers(setup, client, entries),
    reach,
  );
  const change = planned(call, client, done, contained.firewall.status.listen);
  const proof = await proveServers(call, contained, startedIn(change.after, client, done));
  const [applied] = applyChanges(homeFolder(call), journalOf(client), [change]);
  const changed = contained.issued || applied !== undefined;
  const { servers, kill } = proof;
  const { runtime_id } = identity;
  return setupResult(call, {
    change,
    backup: applied?.backup ?? null,
    findings: [...gaps, ...GAPS].map(uncovered),
    data: { runtime_id, changed, servers, kill_to_deny: kill },
    head: `${servers.length} MCP servers are behind the firewall on ${contained.firewall.status.listen}`,
    lines: [
      `  runtime   ${runtime_id}`,
      ...servers.map(
        ({ id, tools, allowed, denied }) =>
          `  ${id}: ${tools.length} tools; allowed ${allowed.decision_id}, a killed runtime denied ${denied.decision_id}`,
      ),
    ],
    undo: 'the same with --undo',
  });
}

function journalOf({ id }: McpClient): string {
  return `mcp-${id}`;
}

function secretsFolder(call: Call): string {
  return join(homeFolder(call), 'setup');
}

function serversOf(call: Call, client: McpClient): Configured[] {
  // Read as it will be changed, so that what is wrong with it is said in one way.
  const { after: text } = planChange(client.file, textIn(client), (same) => {
    serversPath(client, same);
    return same;
  });
  const servers = readAt(text, serversPath(client, text));
  const around = { client: client.id, folder: workingFolder(client, call), secrets: secretsFolder(call) };
  return isObject(servers) ? configuredServers(servers, around) : [];
}

/** The client's file with its servers wrapped. */
function planned(
  call: Call,
  client: McpClient,
  servers: readonly Configured[],
  listen = readFirewallState(homeFolder(call))?.listen ?? DEFAULT_FIREWALL,
): FileChange {
  const runtime = identityOf(call, client.id).runtime_id;
  const wrapping = { listen, runtime, data: dataFolder(call) };
  return planChange(client.file, '{}\n', (text) =>
    servers.reduce((said, server) => {
      if (server.kind === 'left') return said;
      const id = server.kind === 'new' ? server.entry.id : server.id;
      if (!isOf(client.id, { id })) return said;
      return withWrapped(said, [...serversPath(client, said), server.name], id, wrapping);
    }, text),
  );
}

interface Asked {
  readonly entries: readonly McpServerEntry[];
  readonly gaps: readonly Gap[];
  /** Those that can go on, and are behind the firewall in the end. */
  readonly done: readonly Configured[];
}

/** Each server's tools, as it names them now. */
async function askServers(call: Call, servers: readonly Configured[]): Promise<Asked> {
  const known = readSetup(homeFolder(call)).mcp;
  const gaps: Gap[] = [];
  const entries: McpServerEntry[] = [];
  const done: Configured[] = [];
  for (const server of servers) {
    if (server.kind === 'left') {
      gaps.push({ code: 'server_left', message: `${server.name} ${server.why}` });
      continue;
    }
    const entry = server.kind === 'new' ? server.entry : known.find(({ id }) => id === server.id);
    // One that somebody wrapped by hand has its place in lemma.yaml.
    if (entry === undefined) continue;
    if (server.kind === 'new' && server.secret !== null) {
      makeFolder(secretsFolder(call), 0o700);
      replaceFile(server.secret.path, server.secret.value);
    }
    try {
      const { entry: whole, skipped } = await withTools(entry);
      entries.push(whole);
      done.push(server);
      for (const name of skipped)
        gaps.push({
          code: 'tool_left',
          message: `${server.name}: the tool ${JSON.stringify(name)} has no name that can be routed: it is withheld`,
        });
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error);
      gaps.push({
        code: 'server_unreachable',
        message: `${server.name} told no tools (${why}): it stays as it is`,
      });
      if (server.kind !== 'wrapped') continue;
      entries.push(entry);
      done.push(server);
    }
  }
  return { entries, gaps, done };
}

function withServers(setup: SetupState, client: McpClient, entries: readonly McpServerEntry[]): SetupState {
  return { ...setup, mcp: [...setup.mcp.filter((entry) => !isOf(client.id, entry)), ...entries] };
}

/** As the client will start them. */
function startedIn(text: string, client: McpClient, servers: readonly Configured[]) {
  return servers.flatMap((server) => {
    const entry = readAt(text, [...serversPath(client, text), server.name]);
    if (server.kind === 'left' || !isObject(entry) || !Array.isArray(entry.args)) return [];
    const id = server.kind === 'new' ? server.entry.id : server.id;
    return isOf(client.id, { id })
      ? [{ id, command: String(entry.command), args: entry.args.map(String) }]
      : [];
  });
}

/** However well the check goes. */
const GAPS: readonly Gap[] = [
  { code: 'not_passed', message: 'resources, prompts, sampling and elicitation do not pass the firewall' },
  {
    code: 'other_servers',
    message: 'servers that the client has from elsewhere: extensions, plugins, other configurations',
  },
  {
    code: 'same_user',
    message: 'a program of the same user can start a server past the firewall, and read what is kept for it',
  },
];

function dryRun(call: Call, client: McpClient, servers: readonly Configured[]): Result {
  const change = planned(call, client, servers);
  const diff = diffOf(change);
  const left = servers.flatMap((one) => (one.kind === 'left' ? [{ name: one.name, why: one.why }] : []));
  return {
    data: { dry_run: true, changes: isChange(change) ? [{ path: change.path, diff }] : [], left },
    lines: [
      ...(isChange(change) ? diff : [`${change.path} would stay as it is`]),
      ...left.map(({ name, why }) => `${name} would stay as it is: it ${why}`),
    ],
  };
}

async function undo(call: Call, client: McpClient): Promise<Result> {
  const home = homeFolder(call);
  const files = undoChanges(home, journalOf(client), call.options.force === true) ?? [];
  const gone = readSetup(home).mcp.filter((entry) => isOf(client.id, entry));
  const released = await release(call, (setup) => withServers(setup, client, []));
  for (const { inject } of gone) if (inject !== undefined) rmSync(inject.value_file, { force: true });
  const undone = files.length > 0 || released;
  return {
    data: { undone, files },
    lines: undone
      ? [...files.map(({ path }) => `${path} is as it was`), 'The firewall serves these servers no more']
      : ['There is nothing to undo'],
  };
}
