import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import type { GitSource } from '../schema/config.ts';

/** Git could not give what was asked of it: it is not there, the repository cannot be reached, the ref is missing. */
export class GitFailed extends Error {
  override readonly name = 'GitFailed';
}

/** A commit cannot be taken as it is: links, names or sizes that are no policies'. */
export class TreeRefused extends Error {
  override readonly name = 'TreeRefused';
}

/** Who made a commit, and its first line. Of whoever may push: to be shown, never to be believed. */
export interface CommitAbout {
  readonly author: string;
  readonly subject: string;
}

export interface GitTree {
  /** The object's id: equal for two commits when all below is. */
  readonly id: string;
  /** Files by path below it. */
  readonly files: ReadonlyMap<string, Uint8Array>;
}

/**
 * A copy of a repository that is ours: bare, never checked out, so that no hook, filter or attribute of anybody's runs. What
 * is read is the objects of a commit. Each call throws GitFailed.
 */
export interface GitMirror {
  /** Fetches, and gives the commit that the ref names now. */
  fetch(source: GitSource): Promise<string>;
  /** Whether a commit is another or comes after it. */
  follows(commit: string, earlier: string): Promise<boolean>;
  /** Keeps what a commit needs from being thrown away when its branch is made anew. */
  keep(commit: string): Promise<void>;
  about(commit: string): Promise<CommitAbout>;
  /** The files that `isMeant` takes by path, below `path` (`GitSource.path`). Throws TreeRefused. */
  tree(commit: string, path: string | null, isMeant: (path: string) => boolean): Promise<GitTree>;
}

export type GitEnvironment = Readonly<Record<string, string | undefined>>;

/** Of a whole transfer: a repository of policies takes seconds. */
const FETCH_MS = 60_000;
const LOCAL_MS = 20_000;
const LIST_BYTES = 4 << 20;
/** Bounds on what a commit brings; a bundle has closer ones. */
export const TREE_LIMITS = { files: 1024, fileBytes: 8 << 20, totalBytes: 16 << 20 } as const;

const HEAD = 'refs/lemma/head';
const KEPT = 'refs/lemma/kept';
const PATH = /^[A-Za-z0-9._-]{1,100}(?:\/[A-Za-z0-9._-]{1,100})*$/;

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

/** @param folder of the mirror; it is made with the first fetch */
export function openMirror(folder: string, env: GitEnvironment): GitMirror {
  const settings = Object.entries(SETTINGS).flatMap(([name, value]) => ['-c', `${name}=${value}`]);
  const git = (args: readonly string[], { protocol = 'none', ...limits }: Call = {}) =>
    ran(['--git-dir', folder, ...settings, ...args], {
      env: { ...env, ...ALONE, GIT_ALLOW_PROTOCOL: protocol },
      ...limits,
    });
  const line = async (...args: string[]) => (await git(args)).out.toString('utf8').trim();

  return {
    async fetch({ protocol, url, ref }) {
      if (!existsSync(folder)) await git(['init', '--quiet', '--bare', '--template=']);
      const quiet = ['--quiet', '--no-tags', '--no-recurse-submodules', '--no-write-fetch-head', '--force'];
      await git(['fetch', ...quiet, '--', url, `+${ref}:${HEAD}`], { protocol, ms: FETCH_MS });
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
      const [author = '', subject = ''] = shown.split('\n').map(plain);
      return { author, subject };
    },
    async tree(commit, path, isMeant) {
      const root = await rootOf(commit, path);
      const listed = (await git(['ls-tree', '-r', '-l', '-z', '--full-tree', root])).out.toString('utf8');
      const blobs = listed.split('\0').flatMap((entry) => (entry === '' ? [] : blobOf(entry, isMeant)));
      checkSizes(blobs);
      const input = blobs.map(({ id }) => `${id}\n`).join('');
      const { out } = await git(['cat-file', '--batch'], {
        input,
        bytes: TREE_LIMITS.totalBytes + LIST_BYTES,
      });
      return { id: root, files: filesIn(out, blobs) };
    },
  };

  async function rootOf(commit: string, path: string | null): Promise<string> {
    for (const one of path === null ? ['policies', ''] : [path]) {
      const { code, out } = await git(
        ['rev-parse', '--verify', '--quiet', '--end-of-options', `${commit}:${one}`],
        { answers: [0, 1, 128] },
      );
      const id = out.toString('utf8').trim();
      if (code === 0 && (await line('cat-file', '-t', id)) === 'tree') return id;
    }
    throw new TreeRefused(`it has no folder ${path}: say another as ?path=`);
  }
}

interface Blob {
  readonly path: string;
  readonly id: string;
  readonly size: number;
}

/** `<mode> <type> <id> <size>\t<path>`; nothing for what is none of ours. */
function blobOf(entry: string, isMeant: (path: string) => boolean): Blob[] {
  const [, mode = '', type = '', id = '', size = '', path = ''] =
    /^(\d+) (\w+) ([0-9a-f]+) +(\d+|-)\t(.*)$/s.exec(entry) ?? [];
  if (!isMeant(path)) return [];
  if (type !== 'blob' || mode === '120000')
    throw new TreeRefused(`${plain(path)} is a link or a submodule: put the file itself there`);
  if (!PATH.test(path) || path.split('/').some((part) => part === '.' || part === '..'))
    throw new TreeRefused(`${plain(path)} is no name for a policy's file: use A-Z a-z 0-9 . _ -`);
  return [{ path, id, size: Number(size) }];
}

function checkSizes(blobs: readonly Blob[]): void {
  const { files, fileBytes, totalBytes } = TREE_LIMITS;
  if (blobs.length > files) throw new TreeRefused(`it has ${blobs.length} files of policies, over ${files}`);
  const large = blobs.find(({ size }) => size > fileBytes);
  if (large !== undefined) throw new TreeRefused(`${large.path} has ${large.size} bytes, over ${fileBytes}`);
  const total = blobs.reduce((sum, { size }) => sum + size, 0);
  if (total > totalBytes) throw new TreeRefused(`its policies have ${total} bytes, over ${totalBytes}`);
}

/** Of `cat-file --batch`: `<id> blob <size>\n<bytes>\n` for each that was asked for, in that order. */
function filesIn(out: Buffer, blobs: readonly Blob[]): ReadonlyMap<string, Uint8Array> {
  const files = new Map<string, Uint8Array>();
  let at = 0;
  for (const { path, id, size } of blobs) {
    const head = `${id} blob ${size}\n`;
    const begin = at + head.length;
    if (out.toString('latin1', at, begin) !== head) throw new GitFailed(`git gave another object than ${id}`);
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
      reject(new GitFailed(saying(cause, err, ms), { cause }));
    });
    // One that ended early did not read it, and says itself why.
    child.stdin?.on('error', () => undefined);
    child.stdin?.end(input);
  });
}

function saying(cause: Error | null, err: Buffer, ms: number): string {
  const code = cause !== null && 'code' in cause ? cause.code : null;
  if (code === 'ENOENT') return 'git is not there: install it, or name a folder of bundles as bundles.source';
  if (code === 'ERR_CHILD_PROCESS_STDIO_MAXBUFFER') return 'git answered with more than it may';
  if (cause !== null && 'killed' in cause && cause.killed === true)
    return `git took longer than ${ms / 1000} s`;
  const said = plain(err.toString('utf8').trim().split('\n').slice(0, 3).join('; '));
  return said === '' ? `git failed (${code})` : said;
}

/** What others wrote, as one line. */
function plain(text: string): string {
  const line = text.replaceAll(/[\p{Cc}\p{Cf}\u2028\u2029]+/gu, ' ').trim();
  return line.length > 300 ? `${line.slice(0, 300)}…` : line;
}
