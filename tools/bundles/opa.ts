import { execFile } from 'node:child_process';
import { access, mkdir } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { versionOf } from '../../src/policy/compiler/native-host.ts';
import { OPA_VERSION } from '../../src/policy/compiler/protocol.ts';

const run = promisify(execFile);

/**
 * OPA's command of the version that builds the bundles: from the PATH, from the cache, or built with Go into the cache.
 * Bundles are byte for byte those of this version, so that another one on the PATH is passed over.
 *
 * @throws Error with one sentence that says what to do
 */
export async function findOpa(): Promise<string> {
  if ((await versionOf('opa')) === OPA_VERSION) return 'opa';
  const folder = join(process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache'), 'lemma', `opa-${OPA_VERSION}`);
  const binary = join(folder, process.platform === 'win32' ? 'opa.exe' : 'opa');
  if (!(await exists(binary))) await build(folder);
  if ((await versionOf(binary)) === OPA_VERSION) return binary;
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

async function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}
