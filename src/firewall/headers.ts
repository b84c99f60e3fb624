import type { OutgoingHttpHeaders } from 'node:http';
import type { FirewallAnswer } from '../request/firewall.ts';
import { FRAMING, HOP_BY_HOP } from '../schema/header.ts';
import type { HeaderLine } from '../schema/request.ts';
import type { Head } from './read-head.ts';
import { type Redirects, redirected } from './redirect.ts';

/** Forwarded where an api does not list its own: they carry no authority. */
const HARMLESS = new Set([
  'accept',
  'accept-language',
  'content-digest',
  'content-encoding',
  'content-type',
  'if-match',
  'if-modified-since',
  'if-none-match',
  'if-range',
  'if-unmodified-since',
  'range',
  'user-agent',
]);

/** Node's flat list of names and values as lines. */
export function linesOf(raw: readonly string[]): HeaderLine[] {
  return Array.from({ length: raw.length / 2 }, (_, i) => [raw[2 * i] ?? '', raw[2 * i + 1] ?? ''] as const);
}

export interface UpstreamHeaders {
  /** As the agent sent them. */
  readonly lines: readonly HeaderLine[];
  /** Lower case; null for the harmless ones. */
  readonly forward: readonly string[] | null;
  readonly answer: Extract<FirewallAnswer, { verdict: 'allow' }>;
  /** Names in `answer.set` that rewrite a field of the client's: they go only where the field itself would. */
  readonly rewritten: ReadonlySet<string>;
  readonly inject: { readonly header: string; readonly value: string } | null;
  readonly host: string;
  readonly head: Head;
}

/** Headers of the request to the upstream. Later ones win: the client's, what the decision sets, the injected one. */
export function upstreamHeaders(parts: UpstreamHeaders): OutgoingHttpHeaders {
  const { answer, rewritten, inject } = parts;
  const listed = parts.forward === null ? HARMLESS : new Set(parts.forward);
  const connection = connectionNames(parts.lines);
  const passes = (name: string) =>
    listed.has(name) &&
    !isHopByHop(name, connection) &&
    !isOwn(name) &&
    !FRAMING.has(name) &&
    name !== 'expect';

  const headers = Object.create(null) as Record<string, string | string[]>;
  for (const [key, value] of parts.lines) {
    const name = key.toLowerCase();
    if (!passes(name) || answer.remove.has(name)) continue;
    headers[name] = [...(headers[name] ?? []), value];
  }
  for (const [name, value] of answer.set) {
    if (!rewritten.has(name) || passes(name)) headers[name] = value;
  }
  if (inject !== null) headers[inject.header] = inject.value;
  return Object.assign(headers, framing(parts.lines, parts.head), { host: parts.host });
}

/** Said anew: a body that was read whole has its true length, whatever framing it came in. */
function framing(lines: readonly HeaderLine[], { bytes, complete }: Head): Record<string, string> {
  const length = lines.find(([name]) => name.toLowerCase() === 'content-length')?.[1];
  if (!complete)
    return length === undefined ? { 'transfer-encoding': 'chunked' } : { 'content-length': length };
  return bytes.length > 0 || length !== undefined ? { 'content-length': String(bytes.length) } : {};
}

/**
 * Headers of the answer to the agent, as Node's flat list: the upstream's without hop-by-hop and `x-lemma-*`, its
 * redirects as `redirects` says (null: as they are), what the policy adds, and the decision's id.
 */
export function downstreamHeaders(
  raw: readonly string[],
  answer: Extract<FirewallAnswer, { verdict: 'allow' }>,
  decisionId: string,
  redirects: Redirects | null,
): string[] {
  const lines = linesOf(raw);
  const connection = connectionNames(lines);
  const overwritten = new Set(answer.response.filter((h) => !h.append).map((h) => h.name));
  const kept = lines.filter(([key]) => {
    const name = key.toLowerCase();
    return !isHopByHop(name, connection) && !isOwn(name) && !overwritten.has(name);
  });
  const sent = redirects === null ? kept : kept.map((line) => redirected(line, redirects));
  const added = answer.response.map(({ name, value }) => [name, value] as const);
  return [...sent, ...added, ['x-lemma-decision-id', decisionId] as const].flat();
}

function isHopByHop(name: string, connection: ReadonlySet<string>): boolean {
  return HOP_BY_HOP.has(name) || connection.has(name);
}

/** An upstream that speaks CGI reads hyphens and underscores as one. */
function isOwn(name: string): boolean {
  return name.replaceAll('_', '-').startsWith('x-lemma-');
}

/** What Connection names is for this hop alone. */
function connectionNames(lines: readonly HeaderLine[]): Set<string> {
  const values = lines.filter(([name]) => name.toLowerCase() === 'connection').map(([, value]) => value);
  return new Set(values.flatMap((value) => value.split(',')).map((name) => name.trim().toLowerCase()));
}
