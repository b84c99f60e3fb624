import { type ChildProcess, execFile, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chownSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { promisify } from 'node:util';
import pg from 'pg';
import type { Certificate } from './certificates.ts';
import { needPart } from './envoy-scene.ts';

const run = promisify(execFile);
const DEBIAN = '/usr/lib/postgresql';
const PASSWORD = 'a secret: not to be seen';

/** A real PostgreSQL of this test run, on loopback. */
export interface Postgres {
  /** A new empty database; a URL by which its owner gets in. */
  database(): Promise<string>;
  drop(url: string): Promise<void>;
  /** What `pg_dump` gives of it. */
  dump(url: string): Promise<string>;
  /** That, in the place of what is there now; whoever is connected is thrown out. */
  putBack(url: string, dump: string): Promise<void>;
  /** Ends it at once, as a power cut does (`pg_ctl stop -m immediate`). */
  crash(): Promise<void>;
  start(): Promise<void>;
  stop(): Promise<void>;
}

export interface PostgresSettings {
  /** Whether what is committed is on disk: where the server is to crash. */
  readonly durable?: boolean;
  /** PEM files to serve TLS with. */
  readonly tls?: Certificate;
}

let shared: Promise<Postgres> | undefined;

/** The server that all tests share, started by the first. Without PostgreSQL they are skipped, aloud; in CI they fail. */
export function needPostgres(context: Mocha.Context): Promise<Postgres> {
  return needPart(context, 'PostgreSQL', () => {
    shared ??= startPostgres();
    return shared;
  });
}

// Of the whole run: this file is imported outside of every suite.
after(async () => {
  const server = await shared?.catch(() => undefined);
  await server?.stop();
});

/** Folder of `initdb` and `postgres`, the newest. */
function programs(): string {
  const versions = readdirSync(DEBIAN).sort((a, b) => Number(b) - Number(a));
  const [version] = versions;
  if (version === undefined) throw new Error(`nothing in ${DEBIAN}: install postgresql`);
  return join(DEBIAN, version, 'bin');
}

export async function startPostgres({ durable = false, tls }: PostgresSettings = {}): Promise<Postgres> {
  const bin = programs();
  const folder = mkdtempSync(join(tmpdir(), 'lemma-pg-'));
  const owner = ownerOf(folder);
  const data = join(folder, 'data');
  const secret = join(folder, 'secret');
  give(secret, PASSWORD, owner);
  const init = [
    '-D',
    data,
    '-U',
    'postgres',
    '-A',
    'scram-sha-256',
    '--pwfile',
    secret,
    '-E',
    'UTF8',
    '--no-sync',
  ];
  await run(join(bin, 'initdb'), [...init, '--locale=C.UTF-8'], { ...owner, cwd: folder });
  const port = await freePort();
  const certificate = { ssl_cert_file: join(folder, 'cert.pem'), ssl_key_file: join(folder, 'key.pem') };
  if (tls !== undefined) {
    give(certificate.ssl_cert_file, readFileSync(tls.cert), owner);
    give(certificate.ssl_key_file, readFileSync(tls.key), owner);
  }
  const settings = {
    listen_addresses: '127.0.0.1',
    port,
    unix_socket_directories: '',
    fsync: durable ? 'on' : 'off',
    max_connections: 50,
    ...(tls !== undefined && { ssl: 'on', ...certificate }),
  };
  const args = Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`]);
  let server: ChildProcess | null = null;

  async function start(): Promise<void> {
    const child = spawn(join(bin, 'postgres'), ['-D', data, ...args], {
      ...owner,
      cwd: folder,
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    server = child;
    const lines: string[] = [];
    const ready = Promise.withResolvers<void>();
    createInterface({ input: child.stderr }).on('line', (line) => {
      lines.push(line);
      if (line.includes('ready to accept connections')) ready.resolve();
    });
    child.once('exit', () => ready.reject(new Error(`postgres ended: ${lines.slice(-5).join('\n')}`)));
    await ready.promise;
  }

  async function end(signal: 'SIGQUIT' | 'SIGINT'): Promise<void> {
    const child = server;
    server = null;
    if (child === null || child.exitCode !== null) return;
    const exited = once(child, 'exit');
    child.kill(signal);
    await exited;
  }

  async function stop(): Promise<void> {
    process.off('exit', orphaned);
    await end('SIGINT');
    rmSync(folder, { recursive: true, force: true });
  }

  const orphaned = () => server?.kill('SIGQUIT');
  process.on('exit', orphaned);
  await start();

  const urlOf = (name: string) =>
    `postgres://postgres:${encodeURIComponent(PASSWORD)}@127.0.0.1:${port}/${name}`;
  const admin = async (text: string) => {
    const client = new pg.Client(urlOf('postgres'));
    await client.connect();
    await client.query(text).finally(() => client.end());
  };
  let last = 0;
  const nameOf = (url: string) => new URL(url).pathname.slice(1);
  const drop = (url: string) => admin(`DROP DATABASE IF EXISTS ${nameOf(url)} WITH (FORCE)`);
  return {
    async database() {
      last += 1;
      await admin(`CREATE DATABASE t${last}`);
      return urlOf(`t${last}`);
    },
    drop,
    async dump(url) {
      const { stdout } = await run(join(bin, 'pg_dump'), ['--inserts', url], { maxBuffer: 2 ** 28 });
      return stdout;
    },
    async putBack(url, dump) {
      await drop(url);
      await admin(`CREATE DATABASE ${nameOf(url)}`);
      const client = new pg.Client(url);
      await client.connect();
      // Lines that begin with a backslash are for psql alone.
      await client.query(dump.replaceAll(/^\\.*$/gm, '')).finally(() => client.end());
    },
    crash: () => end('SIGQUIT'),
    start,
    stop,
  };
}

/** PostgreSQL refuses to run as root: then as its own user, which Debian makes. */
interface Owner {
  readonly uid?: number;
  readonly gid?: number;
}

function ownerOf(folder: string): Owner {
  if (process.getuid?.() !== 0) return {};
  const idOf = (flag: string) => Number(execFileSync('id', [flag, 'postgres'], { encoding: 'utf8' }));
  const owner = { uid: idOf('-u'), gid: idOf('-g') };
  chownSync(folder, owner.uid, owner.gid);
  return owner;
}

/** A file that only the server's user can read. */
function give(path: string, content: string | Buffer, { uid, gid }: Owner): void {
  writeFileSync(path, content, { mode: 0o600 });
  if (uid !== undefined && gid !== undefined) chownSync(path, uid, gid);
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  server.close();
  await once(server, 'close');
  if (address === null || typeof address === 'string') throw new Error('no port');
  return address.port;
}
