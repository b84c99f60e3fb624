import { execFile } from 'node:child_process';
import { access, mkdir } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

/** Bundles are byte for byte those of this version: another one on the PATH is passed over. */
export const OPA_VERSION = '1.22.2';

const run = promisify(execFile);

/** OPA's command line, of the one version that builds the bundles. */
export class Opa {
  readonly #binary: string;

  constructor(binary: string) {
    this.#binary = binary;
  }

  /** Standard output. Throws with what OPA wrote when it fails. */
  async run(args: readonly string[], folder: string): Promise<string> {
    try {
      const { stdout } = await run(this.#binary, args, { cwd: folder, maxBuffer: 64 << 20 });
      return stdout;
    } catch (cause) {
      const { stdout = '', stderr = '' } = cause as { stdout?: string; stderr?: string };
      throw new Error(`opa ${args.join(' ')}\n${stdout}${stderr}`.trimEnd(), { cause });
    }
  }
}

/** From the PATH, from the cache, or built with Go into the cache. Throws with one sentence that says what to do. */
export async function findOpa(): Promise<Opa> {
  if (await isOurVersion('opa')) return new Opa('opa');
  const folder = join(process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache'), 'lemma', `opa-${OPA_VERSION}`);
  const binary = join(folder, process.platform === 'win32' ? 'opa.exe' : 'opa');
  if (!(await exists(binary))) await build(folder);
  if (await isOurVersion(binary)) return new Opa(binary);
  throw new Error(`${binary} is not OPA ${OPA_VERSION}: remove it and try again.`);
}

async function build(folder: string): Promise<void> {
  console.error(`Building OPA ${OPA_VERSION} with Go; this takes a minute or two, once.`);
  await mkdir(folder, { recursive: true });
  try {
    const env = { ...process.env, GOBIN: folder, GOFLAGS: '-trimpath' };
    await run('go', ['install', `github.com/open-policy-agent/opa@v${OPA_VERSION}`], {
      env,
      maxBuffer: 64 << 20,
    });
  } catch (cause) {
    const message = `The bundles are built by OPA ${OPA_VERSION}: put its \`opa\` on the PATH, or install Go 1.26 and run this again.`;
    throw new Error(message, { cause });
  }
}

async function isOurVersion(binary: string): Promise<boolean> {
  try {
    const { stdout } = await run(binary, ['version']);
    return /^Version: (\S+)/m.exec(stdout)?.[1] === OPA_VERSION;
  } catch {
    return false;
  }
}

async function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}
