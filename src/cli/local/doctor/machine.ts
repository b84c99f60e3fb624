import { once } from 'node:events';
import { statfsSync } from 'node:fs';
import { createServer } from 'node:net';
import { isLocal, parseAddress } from '../../../config/address.ts';
import type { Environment } from '../../../config/environment.ts';
import { DEFAULT_FIREWALL } from '../../../schema/config.ts';
import { given } from '../folder.ts';
import type { Ailment } from './ailment.ts';

const LEAST_BYTES = 256 * 1024 * 1024;
const KEYS = ['OPENAI_API_KEY', 'ANTHROPIC_API_KEY'] as const;
const BASES = ['OPENAI_BASE_URL', 'ANTHROPIC_BASE_URL'] as const;

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
  return [...keys, ...bases];
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

export function diskAilments(folder: string): Ailment[] {
  let free: number;
  try {
    const { bavail, bsize } = statfsSync(folder);
    free = bavail * bsize;
  } catch {
    return [];
  }
  if (free >= LEAST_BYTES) return [];
  const message = `${folder} has ${Math.floor(free / 1024 / 1024)} MiB left: decisions stop when the log cannot be written`;
  return [{ code: 'disk_full', severity: 'error', message, mend: 'make room' }];
}
