import { execFile } from 'node:child_process';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { GitSource } from '../schema/config.ts';
import { checkListed, OriginFailed, oneLine, type PolicyOrigin, TREE_BYTES, TreeRefused } from './origin.ts';
import { isOfBundles } from './policy-files.ts';

export type GitEnvironment = Readonly<Record<string, string | undefined>>;

/** Of a whole transfer: a repository of policies takes seconds. */
const FETCH_MS = 60_000;
const LOCAL_MS = 20_000;
const LIST_BYTES = 4 << 20;

const HEAD = 'refs/lemma/head';
const KEPT = 'refs/lemma/kept';

/** No configuration, hooks, attributes or replacements but ours; nothing is asked of a person. */
const ALONE = {
  GIT_CONFIG_NOSYSTEM: '1',
  GIT_CONFIG_GLOBAL: '/dev/null',
  GIT_ATTR_NOSYSTEM: '1',
  GIT_NO_REPLACE_OBJECTS: '1',
  GIT_NO_LAZY_FETCH: '1',
  GIT_TERMINAL_PROMPT: '0',
  GIT_SSH_COMMAND: 'ssh -o BatchMode=yes -o StrictHostKeyChecking=yes',
  LC_ALL: 'C',
} as const;
const SETTINGS = {
  'core.hooksPath': '/dev/null',
  'gc.auto': '0',
  'maintenance.auto': 'false',
  'http.followRedirects': 'false',
  'credential.helper': '',
} as const;

/**
 * The commits of a branch, fetched into a copy of the repository that is ours: bare, never checked out, so that no hook, filter
 * or attribute of anybody's runs. What is read is the objects of a commit.
 *
 * @param folder of the copy; it is made with the first fetch
 */
export function gitOrigin(
  folder: string,
  { protocol: by, url, ref, path: named }: GitSource,
  env: GitEnvironment,
): PolicyOrigin {
  const settings = Object.entries(SETTINGS).flatMap(([name, value]) => ['-c', `${name}=${value}`]);
  const git = (args: readonly string[], { protocol = 'none', ...limits }: Call = {}) =>
    ran(['--git-dir', folder, ...settings, ...args], {
      env: { ...env, ...ALONE, GIT_ALLOW_PROTOCOL: protocol },
      ...limits,
    });
  let prepared = false;
  const line = async (...args: string[]) => (await git(args)).out.toString('utf8').trim();

  return {
    async latest() {
      if (!prepared) await prepare();
      // A fetch that took too long is killed, and may leave a lock.
      prepared = false;
      const quiet = ['--quiet', '--no-tags', '--no-recurse-submodules', '--no-write-fetch-head', '--force'];
      await git(['fetch', ...quiet, '--', url, `+${ref}:${HEAD}`], { protocol: by, ms: FETCH_MS });
      prepared = true;
      return line('rev-parse', '--verify', '--quiet', '--end-of-options', `${HEAD}^{commit}`);
    },
    async follows(commit, earlier) {
      const { code } = await git(['merge-base', '--is-ancestor', earlier, commit], { answers: [0, 1, 128] });
      return code === 0;
    },
    async keep(commit) {
      await git(['update-ref', KEPT, commit]);
    },
    async about(commit) {
      const shown = await line('show', '--no-patch', '--no-show-signature', '--format=%an%n%s', commit, '--');
      const [author = '', subject = ''] = shown.split('\n').map(oneLine);
      return { author, subject };
    },
    async tree(commit) {
      const root = await rootOf(commit);
      const listed = (await git(['ls-tree', '-r', '-l', '-z', '--full-tree', root])).out.toString('utf8');
      const blobs = listed.split('\0').flatMap((entry) => (entry === '' ? [] : blobOf(entry)));
      checkListed(blobs);
      const input = blobs.map(({ id }) => `${id}\n`).join('');
      const { out } = await git(['cat-file', '--batch'], {
        input,
        bytes: TREE_BYTES + LIST_BYTES,
      });
      return { id: root, files: filesIn(out, blobs) };
    },
  };

  /** Nobody else works in it: locks are those of a git that was killed, and a copy that was half made is made whole. */
  async function prepare(): Promise<void> {
    for (const name of [HEAD, KEPT, 'packed-refs', 'config', 'shallow'])
      await rm(join(folder, `${name}.lock`), { force: true });
    await git(['init', '--quiet', '--bare', '--template=']);
  }

  async function rootOf(commit: string): Promise<string> {
    for (const one of named === null ? ['policies', ''] : [named]) {
      const { code, out } = await git(
        ['rev-parse', '--verify', '--quiet', '--end-of-options', `${commit}:${one}`],
        { answers: [0, 1, 128] },
      );
      const id = out.toString('utf8').trim();
      if (code === 0 && (await line('cat-file', '-t', id)) === 'tree') return id;
    }
    throw new TreeRefused(`it has no folder ${named}: say another as ?path=`);
  }
}

interface Blob {
  readonly path: string;
  readonly id: string;
  readonly size: number;
  readonly plain: boolean;
}

/** `<mode> <type> <id> <size>\t<path>`; nothing for what is none of ours. */
function blobOf(entry: string): Blob[] {
  const [, mode = '', type = '', id = '', size = '', path = ''] =
    /^(\d+) (\w+) ([0-9a-f]+) +(\d+|-)\t(.*)$/s.exec(entry) ?? [];
  if (!isOfBundles(path)) return [];
  return [{ path, id, size: size === '-' ? 0 : Number(size), plain: type === 'blob' && mode !== '120000' }];
}

/** Of `cat-file --batch`: `<id> blob <size>\n<bytes>\n` for each that was asked for, in that order. */
function filesIn(out: Buffer, blobs: readonly Blob[]): ReadonlyMap<string, Uint8Array> {
  const files = new Map<string, Uint8Array>();
  let at = 0;
  for (const { path, id, size } of blobs) {
    const head = `${id} blob ${size}\n`;
    const begin = at + head.length;
    if (out.toString('latin1', at, begin) !== head)
      throw new OriginFailed(`git gave another object than ${id}`);
    files.set(path, new Uint8Array(out.subarray(begin, begin + size)));
    at = begin + size + 1;
  }
  return files;
}

interface Call {
  readonly protocol?: GitSource['protocol'] | 'none';
  readonly ms?: number;
  readonly bytes?: number;
  readonly input?: string;
  /** Exit codes that are answers; default: 0 alone. */
  readonly answers?: readonly number[];
}

interface Ran {
  readonly code: number;
  readonly out: Buffer;
}

function ran(args: readonly string[], call: Omit<Call, 'protocol'> & { env: GitEnvironment }): Promise<Ran> {
  const { env, ms = LOCAL_MS, bytes = LIST_BYTES, input = '', answers = [0] } = call;
  return new Promise((resolve, reject) => {
    const options = {
      env,
      timeout: ms,
      killSignal: 'SIGKILL',
      maxBuffer: bytes,
      encoding: 'buffer',
      windowsHide: true,
    } as const;
    const child = execFile('git', args, options, (cause, out, err) => {
      const code = cause === null ? 0 : cause.code;
      if (typeof code === 'number' && answers.includes(code)) return resolve({ code, out });
      reject(new OriginFailed(saying(cause, err, ms), { cause }));
    });
    // One that ended early did not read it, and says itself why.
    child.stdin?.on('error', () => undefined);
    child.stdin?.end(input);
  });
}

function saying(cause: Error | null, err: Buffer, ms: number): string {
  const code = cause !== null && 'code' in cause ? cause.code : null;
  if (code === 'ENOENT') return 'git is not there: install it, or name a folder as bundles.source';
  if (code === 'ERR_CHILD_PROCESS_STDIO_MAXBUFFER') return 'git answered with more than it may';
  if (cause !== null && 'killed' in cause && cause.killed === true)
    return `git took longer than ${ms / 1000} s`;
  const said = oneLine(err.toString('utf8').trim().split('\n').slice(0, 3).join('; '));
  return said === '' ? `git failed (${code})` : said;
}
