import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import type { Run } from '../cli/lemma.ts';
import { NOBODYS_GIT } from './git-repository.ts';

const MAIN = fileURLToPath(new URL('../../src/main.ts', import.meta.url));

/** Who works on policies in a folder: a shell, git with nobody's configuration, and `lemma` on the PATH. */
export interface Author {
  sh(command: string): Promise<Run>;
  /** Fails with what was printed where it fails. */
  done(command: string): Promise<Run>;
  /** A command of `lemma`, its answer as JSON. */
  json(command: string): Promise<{ readonly data: Record<string, unknown> }>;
  write(file: string, text: string): void;
  /** Replaces text in a file; fails where it does not stand there. */
  edit(file: string, from: string, to: string): void;
}

export function authorIn(folder: string, more: Readonly<Record<string, string>> = {}): Author {
  const home = `${folder}.home`;
  const bin = join(home, 'bin');
  mkdirSync(bin, { recursive: true });
  const script = `#!/bin/sh\nexec '${process.execPath}' '${MAIN}' "$@"\n`;
  writeFileSync(join(bin, 'lemma'), script, { mode: 0o755 });
  const env = {
    PATH: `${bin}:${dirname(process.execPath)}:${process.env.PATH ?? ''}`,
    HOME: home,
    ...NOBODYS_GIT,
    ...more,
  };

  /** As GitHub runs a step. */
  async function sh(command: string): Promise<Run> {
    const child = spawn('bash', ['-e', '-o', 'pipefail', '-c', command], { cwd: folder, env });
    child.stdin.end();
    const [out, err] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'close')]);
    return { code: child.exitCode, out, err };
  }

  async function done(command: string): Promise<Run> {
    const ran = await sh(command);
    assert.equal(ran.code, 0, `${command}\n${ran.out}${ran.err}`);
    return ran;
  }

  return {
    sh,
    done,
    json: async (command) => JSON.parse((await done(`lemma ${command} --json`)).out),
    write: (file, content) => writeFileSync(join(folder, file), content),
    edit(file, from, to) {
      const path = join(folder, file);
      const before = readFileSync(path, 'utf8');
      assert.ok(before.includes(from), `${file} does not hold ${from}`);
      writeFileSync(path, before.replace(from, to));
    },
  };
}
