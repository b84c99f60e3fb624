import { relative } from 'node:path';
import { parseAddress } from '../config/address.ts';
import type { Config } from '../schema/config.ts';
import type { Route } from '../schema/request.ts';

/** Commands for a person to copy, from an empty folder to a first allowed request. */

export interface Steps {
  /** `lemma`, `npm run -s lemma --` */
  readonly program: string;
  readonly folder: string;
  readonly config: Config;
}

export const EXAMPLE_RUNTIME = { runtime: 'my-runtime', agent: 'my-agent', workspace: 'default' } as const;

/** Registers a runtime and gets a proof for the first low-risk route; null where there is none to show. */
export function connectCommand(steps: Steps, control = steps.config.listen.control.address): string | null {
  const route = exampleRoute(steps.config);
  if (route === null) return null;
  const { runtime, agent, workspace } = EXAMPLE_RUNTIME;
  const words = [steps.program, 'firewall-connect'];
  words.push('--runtime-id', runtime, '--agent-id', agent, '--workspace-id', workspace);
  for (const scope of route.scope) words.push('--scope', scope);
  words.push('--audience', route.audience);
  const tls = steps.config.listen.control.tls !== null;
  // A certificate is for a name, and seldom for the address that was bound.
  const base = (tls ? steps.config.public_url : null) ?? httpBase(control, tls);
  if (base !== null && base !== 'http://127.0.0.1:8080') words.push('--api-base', base);
  const data = shown(steps.config.data, steps.folder);
  if (data !== '.lemma') words.push('--data', quote(data));
  return words.join(' ');
}

/** A CheckRequest to the REST mirror, which answers as Envoy would be answered. */
export function checkCommand(
  steps: Steps,
  credentialFile: string,
  decision = steps.config.listen.decision.address,
): string | null {
  const route = exampleRoute(steps.config);
  const base = httpBase(decision, steps.config.listen.decision.tls !== null);
  if (route === null || base === null) return null;
  const http = {
    method: exampleMethod(route),
    scheme: new URL(route.audience).protocol.slice(0, -1),
    host: exampleHost(route.host),
    path: examplePath(route.path),
    headers: { 'x-lemma-credential': '@' },
  };
  // The shell puts the credential in where the @ stands, between the single-quoted halves.
  const [before = '', after = ''] = JSON.stringify({ attributes: { request: { http } } }).split('@');
  const credential = `"$(cat ${quote(shown(credentialFile, steps.folder))})"`;
  const url = `${base}/envoy.service.auth.v3.Authorization/Check`;
  return `curl -s ${url} -H 'content-type: application/json' -d ${singleQuoted(before)}${credential}${singleQuoted(after)}`;
}

/** The least harmful route that a proof opens, a reading one first. */
function exampleRoute(config: Config): Route | null {
  const open = config.routes.filter(
    (route) => !route.public && route.risk === 'low' && route.org === config.org,
  );
  return open.find((route) => exampleMethod(route) === 'GET') ?? open[0] ?? null;
}

function exampleMethod(route: Route): string {
  return route.methods.includes('GET') ? 'GET' : (route.methods[0] ?? 'GET');
}

function exampleHost(pattern: string): string {
  return pattern === '*' ? 'api.example.com' : pattern.replace(/^\*/, 'www');
}

function examplePath(pattern: string): string {
  return pattern.replaceAll(/\{[^}]*\}/g, '1').replace(/\*\*$/, '');
}

/** What a client on this machine calls; null for a socket. */
export function httpBase(address: string, tls = false): string | null {
  if (/^https?:\/\//.test(address)) return address;
  const parsed = parseAddress(address);
  if (parsed?.kind !== 'tcp') return null;
  const host = parsed.host === '0.0.0.0' ? '127.0.0.1' : parsed.host === '::' ? '::1' : parsed.host;
  return `${tls ? 'https' : 'http'}://${host.includes(':') ? `[${host}]` : host}:${parsed.port}`;
}

/** A path as a person in `folder` would write it. */
export function shown(path: string, folder: string): string {
  const name = relative(folder, path);
  return name === '' ? '.' : name.startsWith('..') ? path : name;
}

function quote(word: string): string {
  return /^[\w./:@%+=-]+$/.test(word) ? word : singleQuoted(word);
}

function singleQuoted(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}
