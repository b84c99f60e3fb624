import { readFileSync } from 'node:fs';
import type { Outcome } from '../pdp/replay.ts';
import { signPop } from '../proof/sign-pop.ts';
import { isReason } from '../reason.ts';
import { member } from './answer.ts';
import { CliError, EXIT } from './exit.ts';
import type { OpenRuntime } from './local/runtime-files.ts';

/** A request that was captured somewhere: what `lemma replay` sends again. */
export interface Captured {
  readonly decision_id: string | null;
  readonly method: string;
  /** Absolute. */
  readonly url: string;
  readonly headers: Readonly<Record<string, string | readonly string[]>>;
  readonly body: Uint8Array;
  /** RFC 3339; null: it is made now. */
  readonly at: string | null;
  /** What came of it; null: not known. */
  readonly was: Outcome | null;
}

/** Null where the value is no captured request: `{method, url, headers?, body? | body_base64?, at?, decision_id?, verdict?, reason?}`. */
export function capturedOf(value: unknown): Captured | null {
  const [method, url] = [textIn(value, 'method'), textIn(value, 'url')];
  if (method === null || url === null) return null;
  const [verdict, reason] = [textIn(value, 'verdict'), textIn(value, 'reason')];
  const known = (verdict === 'allow' || verdict === 'deny') && reason !== null && isReason(reason);
  return {
    decision_id: textIn(value, 'decision_id'),
    ...{ method, url: asHttp(url) },
    headers: headersOf(member(value, 'headers')),
    body: bodyOf(textIn(value, 'body'), textIn(value, 'body_base64')),
    at: textIn(value, 'at'),
    was: known ? { verdict, reason } : null,
  };
}

/** Requests of an HTTP archive (HAR 1.2), as browsers and proxies save it. Throws CliError. */
export function capturedInHar(path: string): Captured[] {
  let archive: unknown;
  try {
    archive = JSON.parse(readFileSync(path, 'utf8'));
  } catch (error) {
    throw new CliError('input_invalid', `${path} cannot be read: ${String(error)}`, EXIT.misused);
  }
  const entries: unknown = member(archive, 'log', 'entries');
  if (!Array.isArray(entries))
    throw new CliError('input_invalid', `${path}: has no log.entries, as an HTTP archive has`, EXIT.misused);
  return entries.map((entry: unknown) => {
    const request = member(entry, 'request');
    const lines = listIn(member(request, 'headers'));
    const headers = Object.fromEntries(
      lines.map((line) => [textIn(line, 'name') ?? '', textIn(line, 'value') ?? '']),
    );
    return {
      decision_id: headerOf(member(entry, 'response', 'headers'), 'x-lemma-decision-id'),
      method: textIn(request, 'method') ?? '',
      url: asHttp(textIn(request, 'url') ?? ''),
      headers: kept(headers),
      body: bodyOf(textIn(member(request, 'postData'), 'text'), null),
      at: null,
      was: answered(member(entry, 'response')),
    };
  });
}

/** What the firewall answered; null where it was not the firewall. */
function answered(response: unknown): Outcome | null {
  if (headerOf(member(response, 'headers'), 'x-lemma-decision-id') === null) return null;
  const status = member(response, 'status');
  const said = textIn(member(response, 'content'), 'text') ?? '';
  return outcomeSaid(typeof status === 'number' ? status : 0, said);
}

/** By the body of a denial of ours; any other answer is the upstream's, and so of what was allowed. */
export function outcomeSaid(status: number, text: string): Outcome {
  const error = status < 400 ? null : textIn(parsed(text), 'error');
  const denied = error !== null && isReason(error) && textIn(parsed(text), 'decision_id') !== null;
  return denied ? { verdict: 'deny', reason: error } : { verdict: 'allow', reason: 'allowed' };
}

const CREDENTIALS = ['x-lemma-credential', 'x-lemma-proof', 'x-lemma-pop', 'authorization'];

export function hasCredential({ headers }: Pick<Captured, 'headers'>): boolean {
  return CREDENTIALS.some((name) => name in headers);
}

/** With the runtime's proof, and a PoP for now where its key is here. */
export function signedBy({ proof, seed }: OpenRuntime, captured: Captured, now: number): Captured {
  const { method, url, body } = captured;
  const own =
    seed === null
      ? { 'x-lemma-credential': proof.header }
      : signPop({ method, url, proof: proof.header, seed, created: Math.floor(now / 1000), body });
  return { ...captured, at: null, headers: { ...captured.headers, ...own } };
}

/** Of one hop, or set by whoever sends. */
const OF_THE_HOP = ['host', 'content-length', 'connection', 'transfer-encoding', 'keep-alive', 'expect'];

function kept(headers: Readonly<Record<string, string | readonly string[]>>): Captured['headers'] {
  const lines = Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value] as const);
  // HTTP/2 names the parts of the request line with a colon before.
  return Object.fromEntries(lines.filter(([name]) => !name.startsWith(':') && !OF_THE_HOP.includes(name)));
}

/** A WebSocket begins as a request of HTTP (RFC 6455, section 4.1), whatever its URL is written as. */
function asHttp(url: string): string {
  return url.replace(/^ws(s?):/i, 'http$1:');
}

function headersOf(value: unknown): Captured['headers'] {
  if (typeof value !== 'object' || value === null) return {};
  return kept(
    Object.fromEntries(
      Object.entries(value).map(([name, line]) => [
        name,
        Array.isArray(line) ? line.map(String) : String(line),
      ]),
    ),
  );
}

function bodyOf(text: string | null, base64: string | null): Uint8Array {
  if (base64 !== null) return Buffer.from(base64, 'base64');
  return new TextEncoder().encode(text ?? '');
}

function headerOf(lines: unknown, name: string): string | null {
  const found = listIn(lines).find((line) => textIn(line, 'name')?.toLowerCase() === name);
  return textIn(found, 'value');
}

function listIn(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}

function textIn(value: unknown, name: string): string | null {
  const found = member(value, name);
  return typeof found === 'string' ? found : null;
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}
