import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, openSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { onServerCore } from './cores.ts';
import { end } from './lemma.ts';

const FOLDER = fileURLToPath(new URL('./peer', import.meta.url));
const CACHE = fileURLToPath(new URL('../../node_modules/.cache/bench', import.meta.url));
const PACKAGE = 'github.com/open-policy-agent/opa-envoy-plugin/cmd/opa-envoy-plugin';

export interface Peer {
  readonly address: string;
  readonly pid: number;
  /** Bytes that its decision log has written. */
  logged(): number;
  stop(): Promise<void>;
}

/**
 * The plugin's own program, of the versions in peer/go.mod, built once.
 *
 * @throws Error where Go is missing or the modules can't be had
 */
export function buildPeer(): string {
  const binary = join(CACHE, 'opa-envoy-plugin');
  const newest = Math.max(...['go.mod', 'go.sum'].map((name) => statSync(join(FOLDER, name)).mtimeMs));
  if (existsSync(binary) && statSync(binary).mtimeMs > newest) return binary;
  process.stderr.write('Building opa-envoy-plugin (once) …\n');
  const { status, error, stderr } = spawnSync('go', ['build', '-trimpath', '-o', binary, PACKAGE], {
    cwd: FOLDER,
    encoding: 'utf8',
  });
  if (status === 0) return binary;
  throw new Error(`opa-envoy-plugin could not be built: ${error?.message ?? stderr.trim()}`);
}

/** Serves one of the policies in peer/, alone on the server's core. Its decision log goes to a file. */
export async function startPeer(binary: string, policy: 'proofs' | 'rbac', data: object): Promise<Peer> {
  const folder = mkdtempSync(join(tmpdir(), 'lemma-bench-peer-'));
  const address = `127.0.0.1:${await freePort()}`;
  writeFileSync(join(folder, 'data.json'), JSON.stringify(data));
  const config = {
    plugins: { envoy_ext_authz_grpc: { addr: address, path: `bench/${policy}/allow` } },
    decision_logs: { console: true },
  };
  writeFileSync(join(folder, 'config.json'), JSON.stringify(config));
  const log = join(folder, 'log');
  const out = openSync(log, 'w');
  const [command, args] = onServerCore(binary, [
    'run',
    '--server',
    '--disable-telemetry',
    '--addr=127.0.0.1:0',
    `--config-file=${join(folder, 'config.json')}`,
    join(folder, 'data.json'),
    join(FOLDER, `${policy}.rego`),
  ]);
  const child = spawn(command, args, { stdio: ['ignore', out, out] });
  const gone = once(child, 'exit').then(() => {
    throw new Error(`opa-envoy-plugin ended: see ${log}`);
  });
  await Promise.race([answers(address), gone]);
  gone.catch(() => undefined);
  return {
    address,
    pid: child.pid ?? 0,
    logged: () => statSync(log).size,
    async stop() {
      await end(child);
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

async function answers(address: string): Promise<void> {
  const [host, port] = address.split(':');
  for (;;) {
    const socket = connect({ host: host ?? '', port: Number(port) });
    const open = await new Promise<boolean>((resolve) => {
      socket.once('connect', () => resolve(true)).once('error', () => resolve(false));
    });
    socket.destroy();
    if (open) return;
    await wait(20);
  }
}

async function freePort(): Promise<number> {
  const { createServer } = await import('node:net');
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  server.close();
  return typeof address === 'object' && address !== null ? address.port : 0;
}
