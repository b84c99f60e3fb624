import type { McpPlace, McpServer, McpServerEntry } from '../schema/mcp.ts';

/** Fills in the defaults of an entry that was checked. `path` makes a file or folder absolute. */
export function mcpServer(entry: McpServerEntry, path: (text: string) => string): McpServer {
  return {
    id: entry.id,
    place: placeOf(entry, path),
    audience: entry.audience ?? `http://${entry.id}.mcp.localhost`,
    scope: entry.scope ?? [],
    risk: entry.risk ?? 'low',
    timeout_ms: (entry.timeout_seconds ?? 60) * 1000,
    tools: entry.tools.map((tool) => ({
      name: tool.name,
      scope: tool.scope,
      risk: tool.risk,
      action: tool.action ?? actionOf(entry.id, tool.name),
      taint_on_response: tool.taint_on_response ?? false,
      pin: tool.pin ?? null,
    })),
  };
}

export function actionOf(server: string, tool: string): string {
  return `mcp.${server}.${tool.toLowerCase()}`;
}

function placeOf(entry: McpServerEntry, path: (text: string) => string): McpPlace {
  const { command, url, inject } = entry;
  if (command === undefined) {
    return {
      kind: 'http',
      url: url ?? '',
      inject:
        inject === undefined
          ? null
          : { header: inject.header.toLowerCase(), value_file: path(inject.value_file) },
    };
  }
  const files = Object.entries(entry.env_files ?? {}).map(([name, file]) => [name, path(file)] as const);
  return {
    kind: 'stdio',
    command,
    cwd: path(entry.cwd ?? '.'),
    env: entry.env ?? {},
    env_files: Object.fromEntries(files),
  };
}
