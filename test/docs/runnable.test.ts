import { equal, ok } from 'node:assert/strict';
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { emptyFolder } from '../cli/lemma.ts';
import { PATIENT_MS, wasmBuilt } from '../policy/compiler/support.ts';
import { needPart } from '../support/envoy-scene.ts';
import { stockOpa } from '../support/opa.ts';
import { fencesOf, PAGES } from './pages.ts';

const MAIN = fileURLToPath(new URL('../../src/main.ts', import.meta.url));
/** As the pages say them, to be replaced by those that are free here. */
const USUAL = {
  gRPC: '127.0.0.1:9191',
  decision: '127.0.0.1:8181',
  control: '127.0.0.1:8080',
  firewall: '127.0.0.1:8787',
} as const;
const FREE = {
  LEMMA_LISTEN_GRPC: '127.0.0.1:0',
  LEMMA_LISTEN_DECISION: '127.0.0.1:0',
  LEMMA_LISTEN_CONTROL: '127.0.0.1:0',
};

/** Pages whose commands need OPA's compiler. */
const NEED_COMPILER = /^lemma policy /m;

/** Pages whose commands need the stock `opa`. */
const NEED_OPA = /^opa /m;

/** A person's machine with nothing on it: a home, a folder to work in, `lemma` on the PATH. */
function freshMachine() {
  const folder = emptyFolder();
  const [home, work, bin] = ['home', 'work', 'bin'].map((name) => join(folder.path, name)) as [
    string,
    string,
    string,
  ];
  for (const path of [home, work, bin]) mkdirSync(path);
  writeFileSync(join(bin, 'lemma'), `#!/bin/sh\nexec '${process.execPath}' '${MAIN}' "$@"\n`, {
    mode: 0o755,
  });
  const PATH = `${bin}:${dirname(process.execPath)}:${process.env.PATH ?? ''}`;
  const env: Record<string, string> = { PATH, HOME: home, LC_ALL: 'C.UTF-8' };
  const bound: Partial<Record<keyof typeof USUAL, string>> = {};
  let server: ChildProcess | null = null;

  const placed = (command: string) =>
    Object.entries(USUAL)
      .reduce(
        (said, [name, usual]) => said.replaceAll(usual, bound[name as keyof typeof USUAL] ?? usual),
        command,
      )
      .replaceAll('lemma start', 'lemma start --listen 127.0.0.1:0');
  const firewallState = () => join(home, '.lemma', 'firewall.json');

  return {
    /** Puts another program on the PATH. */
    install(name: string, file: string): void {
      writeFileSync(join(bin, name), `#!/bin/sh\nexec '${file}' "$@"\n`, { mode: 0o755 });
    },
    /** Resolves with what it printed; throws with it where it failed. */
    async run(command: string): Promise<string> {
      const child = spawn('sh', ['-eu', '-c', placed(command)], {
        cwd: work,
        env,
        stdio: ['ignore', 'pipe', 'pipe'],
      });
      const [out, err] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'close')]);
      equal(child.exitCode, 0, `${command}\n${out}${err}`);
      if (existsSync(firewallState()))
        bound.firewall = (JSON.parse(readFileSync(firewallState(), 'utf8')) as { listen: string }).listen;
      return out;
    },
    /** Resolves once it says where it listens. */
    async serve(command: string): Promise<void> {
      const child = spawn('sh', ['-eu', '-c', `exec ${command}`], {
        cwd: work,
        env: { ...env, ...FREE },
        stdio: ['ignore', 'pipe', 'pipe'],
      });
      server = child;
      const errors = text(child.stderr);
      for await (const line of createInterface({ input: child.stdout })) {
        const [, name, address] = /^ {2}(gRPC|decision|control) +(\S+)$/.exec(line) ?? [];
        if (name !== undefined && address !== undefined) bound[name as keyof typeof USUAL] = address;
        if (line.startsWith('Next')) break;
      }
      ok(bound.control !== undefined, `${command}\n${child.exitCode === null ? '' : await errors}`);
      env.LEMMA_BASE_URL = `http://${bound.control}`;
    },
    async end(): Promise<void> {
      if (existsSync(firewallState())) await this.run('lemma stop');
      if (server !== null && server.exitCode === null) {
        const closed = once(server, 'close');
        server.kill('SIGTERM');
        await closed;
      }
      folder.remove();
    },
  };
}

describe('the commands of the documentation', () => {
  before(async function () {
    await needPart(this, 'sh and curl', async () => execFileSync('sh', ['-c', 'command -v curl']));
  });

  for (const { name, text: page } of PAGES) {
    const fences = fencesOf(page);
    if (fences.length === 0) continue;

    it(`of ${name} do what they say, in their order, on a fresh machine`, async function () {
      this.timeout(3 * PATIENT_MS);
      if (NEED_COMPILER.test(page) && !wasmBuilt()) this.skip();
      const opa = NEED_OPA.test(page) ? await stockOpa() : '';
      if (opa === null) this.skip();
      const machine = freshMachine();
      if (opa !== '' && opa !== 'opa') machine.install('opa', opa);
      try {
        for (const { kind, text: command } of fences) await machine[kind](command);
      } finally {
        await machine.end();
      }
    });
  }
});
