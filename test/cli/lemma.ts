import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';

const MAIN = fileURLToPath(new URL('../../src/main.ts', import.meta.url));

export interface Run {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

/** Nothing of this process's own environment but PATH, and a home of its own. */
export function environmentIn(folder: string): Record<string, string | undefined> {
  return { PATH: process.env.PATH, HOME: join(folder, 'home') };
}

/** Runs the program as a user would, in a folder. */
export async function lemma(
  folder: string,
  args: readonly string[],
  env: Record<string, string> = {},
): Promise<Run> {
  const child = spawn(process.execPath, [MAIN, ...args], {
    cwd: folder,
    env: { ...environmentIn(folder), ...env },
  });
  child.stdin.end();
  const [out, err] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'close')]);
  return { code: child.exitCode, out, err };
}

/** Starts the program as a user would, one that goes on until it is told to end. */
export function lemmaGoing(folder: string, args: readonly string[]) {
  const child = spawn(process.execPath, [MAIN, ...args], { cwd: folder, env: environmentIn(folder) });
  child.stdin.end();
  const closed = once(child, 'close');
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const errors = text(child.stderr);
  return {
    /** The next line of the answer; throws with what stands in the other stream when it has ended. */
    async line(): Promise<string> {
      const { done, value } = await lines.next();
      if (done !== true) return value;
      throw new Error(`the program has ended: ${await errors}`);
    },
    async end(signal: NodeJS.Signals): Promise<Run> {
      child.kill(signal);
      await closed;
      return { code: child.exitCode, out: '', err: await errors };
    },
  };
}

export function emptyFolder() {
  const path = mkdtempSync(join(tmpdir(), 'lemma-cli-'));
  return { path, remove: () => rmSync(path, { recursive: true, force: true }) };
}

export interface Seen {
  readonly method: string;
  readonly url: string;
  readonly authorization: string | undefined;
  readonly body: unknown;
}

export type Reply = (seen: Seen) => { status?: number; body: unknown };

/** A control plane that answers as told, and keeps what it was asked. */
export async function controlPlane(reply: Reply) {
  const seen: Seen[] = [];
  const server = createServer(async (request, response) => {
    const one = await read(request);
    seen.push(one);
    const { status = 200, body } = reply(one);
    response.writeHead(status, { 'content-type': 'application/json' });
    response.end(typeof body === 'string' ? body : JSON.stringify(body));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const close = async () => {
    server.closeAllConnections();
    server.close();
    await once(server, 'close');
  };
  return { base: `http://127.0.0.1:${port}`, seen, close };
}

async function read(request: IncomingMessage): Promise<Seen> {
  const body = await text(request);
  return {
    method: request.method ?? '',
    url: request.url ?? '',
    authorization: request.headers.authorization,
    body: body === '' ? null : JSON.parse(body),
  };
}
