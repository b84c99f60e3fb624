import { createHash } from 'node:crypto';
import { canonicalJson } from '../../crypto/jcs.ts';
import type { McpPin, McpPins } from '../../schema/mcp-pins.ts';

/*
 * A server's description of a tool is text that the model obeys. The first one seen is pinned, or the one that the
 * configuration names; a tool whose description changed is withheld until a person has looked at it.
 */

/** A tool as a server describes it. */
export interface Described {
  readonly name: string;
  readonly description?: string | undefined;
}

/** Of all that the server says of the tool (RFC 8785), `_meta` aside, which no model is shown. */
export function digestOf(tool: Described): string {
  const { _meta, ...said } = tool as Described & { readonly _meta?: unknown };
  const text = canonicalJson(JSON.parse(JSON.stringify(said)));
  return `sha256-${createHash('sha256').update(text).digest('hex')}`;
}

/**
 * Which of a server's tools are as they were pinned, and the pins after that (the same object where nothing is new).
 * `configured`: the tools that may be used at all, each with the digest that the configuration names, or null.
 */
export function compare(
  pins: McpPins,
  server: string,
  tools: readonly Described[],
  configured: ReadonlyMap<string, string | null>,
  now: string,
): { readonly good: ReadonlySet<string>; readonly pins: McpPins } {
  const known = new Map(Object.entries(pins.servers[server] ?? {}));
  const good = new Set<string>();
  let news = false;
  for (const tool of tools) {
    const named = configured.get(tool.name);
    if (named === undefined) continue;
    const before = known.get(tool.name);
    const after = pinOf(tool, named, before, now);
    if (after.changed === null) good.add(tool.name);
    if (after === before) continue;
    known.set(tool.name, after);
    news = true;
  }
  if (!news) return { good, pins };
  return { good, pins: { ...pins, servers: { ...pins.servers, [server]: Object.fromEntries(known) } } };
}

function pinOf(tool: Described, named: string | null, before: McpPin | undefined, now: string): McpPin {
  const digest = digestOf(tool);
  const pinned = named ?? before?.digest ?? digest;
  const since = before?.digest === pinned ? before.since : now;
  if (pinned === digest)
    return before?.digest === digest && before.changed === null ? before : { digest, since, changed: null };
  if (before?.digest === pinned && before.changed?.digest === digest) return before;
  return { digest: pinned, since, changed: { digest, description: tool.description ?? '', since: now } };
}

/**
 * The pins after a person took what the server says of a tool now. Null: it has not changed, or `digest` is not what it
 * says by now.
 */
export function approved(
  pins: McpPins,
  server: string,
  tool: string,
  digest: string,
  now: string,
): McpPins | null {
  const known = new Map(Object.entries(pins.servers[server] ?? {}));
  if (known.get(tool)?.changed?.digest !== digest) return null;
  known.set(tool, { digest, since: now, changed: null });
  return { ...pins, servers: { ...pins.servers, [server]: Object.fromEntries(known) } };
}
