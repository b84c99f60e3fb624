import { once } from 'node:events';
import { statfsSync } from 'node:fs';
import { createServer } from 'node:net';
import { isLocal, parseAddress } from '../../../config/address.ts';
import type { Environment } from '../../../config/environment.ts';
import { DEFAULT_FIREWALL } from '../../../schema/config.ts';
import { given } from '../folder.ts';
import { proxied, leadsTo as proxiesTo } from '../own-proxy.ts';
import type { Ailment } from './ailment.ts';

const LEAST_BYTES = 256 * 1024 * 1024;
/** What agents and the providers' clients read a key from. */
const KEYS = [
  'OPENAI_API_KEY',
  'ANTHROPIC_API_KEY',
  'ANTHROPIC_AUTH_TOKEN',
  'CLAUDE_CODE_OAUTH_TOKEN',
  'GEMINI_API_KEY',
  'GOOGLE_API_KEY',
  'AZURE_OPENAI_API_KEY',
  'AWS_BEARER_TOKEN_BEDROCK',
  'MISTRAL_API_KEY',
  'GROQ_API_KEY',
  'OPENROUTER_API_KEY',
  'DEEPSEEK_API_KEY',
  'XAI_API_KEY',
] as const;
/** What they read their provider's address from. */
const BASES = [
  'OPENAI_BASE_URL',
  'OPENAI_API_BASE',
  'ANTHROPIC_BASE_URL',
  'ANTHROPIC_BEDROCK_BASE_URL',
  'ANTHROPIC_VERTEX_BASE_URL',
  'GOOGLE_GEMINI_BASE_URL',
  'AZURE_OPENAI_ENDPOINT',
] as const;
/** Beside HTTP_PROXY and HTTPS_PROXY: what some agents take before those (OpenClaw), or for all else (curl). */
const PROXIES = ['OPENCLAW_PROXY_URL', 'ALL_PROXY'] as const;
/** What `engines` of the package says. */
const LEAST_NODE = 24;

/** The program that npm starts says so itself; one that a loader or a bundle starts gets this far. */
export function nodeAilments(version: string): Ailment[] {
  if (Number(version.split('.')[0]) >= LEAST_NODE) return [];
  const message = `this is Node ${version}, and ${LEAST_NODE} or newer is needed`;
  const mend = 'get one from https://nodejs.org, or with a version manager: nvm install 24';
  return [{ code: 'node_outdated', severity: 'error', message, mend }];
}

/** Whether somebody else holds the address that the firewall would have. */
export async function portAilments(listen: string): Promise<Ailment[]> {
  const address = parseAddress(listen);
  if (address?.kind !== 'tcp' || address.port === 0) return [];
  const server = createServer();
  try {
    server.listen(address.port, address.host);
    await once(server, 'listening');
  } catch (error) {
    const message = `${listen} cannot be had: ${error instanceof Error ? error.message : error}`;
    const mend = 'end what listens there, or choose another with --listen';
    return [{ code: 'port_taken', severity: 'error', message, mend }];
  }
  server.close();
  await once(server, 'close');
  return [];
}

/** What lets an agent reach a provider past the firewall. `listen` null: no firewall runs. */
export function bypassAilments(env: Environment, listen: string | null): Ailment[] {
  const keys = KEYS.filter((name) => given(env[name])).map(
    (name): Ailment => ({
      code: 'provider_key_exposed',
      severity: 'warning',
      message: `an agent that is started from here holds ${name}, and can use it past the firewall`,
      mend: `unset ${name} where agents start`,
    }),
  );
  const bases = BASES.filter((name) => given(env[name]) && !leadsTo(env[name], listen)).map(
    (name): Ailment => ({
      code: 'base_url_bypass',
      severity: 'warning',
      message: `${name} does not lead to the firewall`,
      mend: `export ${name}=http://${listen ?? DEFAULT_FIREWALL}/firewall/<api>`,
    }),
  );
  return [...keys, ...bases, ...proxyAilments(env, listen)];
}

function proxyAilments(env: Environment, listen: string | null): Ailment[] {
  if (listen === null) return [];
  const value = (name: string) => env[name.toLowerCase()] ?? env[name];
  const elsewhere = PROXIES.filter((name) => given(value(name)) && !proxiesTo(value(name) ?? '', listen)).map(
    (name): Ailment => ({
      code: 'proxy_elsewhere',
      severity: 'warning',
      message: `${name} leads agents that heed it past the firewall`,
      mend: `export ${name}=http://${listen}, or unset it`,
    }),
  );
  const led = ['HTTPS_PROXY', 'HTTP_PROXY'].some((name) => proxiesTo(value(name) ?? '', listen));
  if (!led || proxied(env)) return elsewhere;
  return [
    ...elsewhere,
    {
      code: 'node_ignores_proxy',
      severity: 'warning',
      message:
        "agents on Node reach the network past the firewall: Node's fetch heeds HTTPS_PROXY only when told",
      mend: 'export NODE_USE_ENV_PROXY=1',
    },
  ];
}

/** Whether a URL is one of the firewall's own: this machine by any name, its port, a path that it serves. */
function leadsTo(text: string, listen: string | null): boolean {
  const url = URL.parse(text);
  const address = listen === null ? null : parseAddress(listen);
  if (url === null || address?.kind !== 'tcp' || url.protocol !== 'http:') return false;
  const host = url.hostname.replace(/^\[|\]$/g, '');
  const port = Number(url.port === '' ? 80 : url.port);
  return (
    isLocal({ kind: 'tcp', host, port }) && port === address.port && /^\/firewall\/[^/]/.test(url.pathname)
  );
}

/** `least`: bytes that must be free. */
export function diskAilments(folder: string, least = LEAST_BYTES): Ailment[] {
  let free: number;
  try {
    const { bavail, bsize } = statfsSync(folder);
    free = bavail * bsize;
  } catch {
    return [];
  }
  if (free >= least) return [];
  const message = `${folder} has ${Math.floor(free / 1024 / 1024)} MiB left: decisions stop when the log cannot be written`;
  return [{ code: 'disk_full', severity: 'error', message, mend: 'make room' }];
}
