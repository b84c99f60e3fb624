import { execFileSync } from 'node:child_process';
import { cpSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const POLICIES = fileURLToPath(new URL('../../policies', import.meta.url));

/** Git without the machine's configuration, and somebody to commit as. */
export const NOBODYS_GIT = {
  GIT_CONFIG_NOSYSTEM: '1',
  GIT_CONFIG_GLOBAL: '/dev/null',
  GIT_AUTHOR_NAME: 'Ada',
  GIT_AUTHOR_EMAIL: 'ada@example.com',
  GIT_COMMITTER_NAME: 'Ada',
  GIT_COMMITTER_EMAIL: 'ada@example.com',
} as const;

/** A real repository, with nobody's configuration. */
export interface Repository {
  readonly path: string;
  git(...args: string[]): string;
  /** Replaces text in a file of `policies/`; throws where it does not stand there. */
  edit(file: string, from: string | RegExp, to: string): void;
  write(file: string, text: string): void;
  /** Of all that there is; gives the id. */
  commit(subject: string): string;
}

/** A repository whose first commit holds the default policies. */
export function policyRepository(path: string): Repository {
  const env = { PATH: process.env.PATH, ...NOBODYS_GIT };
  const git = (...args: string[]) =>
    execFileSync('git', args, { cwd: path, env, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] }).trim();
  const write = (file: string, text: string) => {
    mkdirSync(dirname(join(path, file)), { recursive: true });
    writeFileSync(join(path, file), text);
  };
  const repository: Repository = {
    path,
    git,
    write,
    edit(file, from, to) {
      const place = join(path, 'policies', file);
      const before = readFileSync(place, 'utf8');
      const after = before.replaceAll(from, to);
      if (after === before) throw new Error(`${file} does not hold ${from}`);
      writeFileSync(place, after);
    },
    commit(subject) {
      git('add', '--all');
      git('commit', '--quiet', '--message', subject);
      return git('rev-parse', 'HEAD');
    },
  };
  for (const folder of ['low', 'high', 'critical', 'lib'])
    cpSync(join(POLICIES, folder), join(path, 'policies', folder), { recursive: true });
  git('init', '--quiet', '--initial-branch', 'main');
  repository.commit('first');
  return repository;
}
