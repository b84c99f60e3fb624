import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { findOpa } from '../../tools/bundles/opa.ts';

/** A stock `opa`; null, aloud, where it is not to be had. In CI that is an error. */
export async function stockOpa(): Promise<string | null> {
  try {
    return await findOpa();
  } catch (cause) {
    if (process.env.CI === 'true') throw cause;
    console.warn(`      skipped: ${cause instanceof Error ? cause.message : cause}`);
    return null;
  }
}

export interface OpaRun {
  readonly code: number;
  /** Standard output and error. */
  readonly said: string;
  readonly out: string;
}

export interface OpaFolder {
  readonly path: string;
  run(...args: string[]): Promise<OpaRun>;
}

/** For a `describe`: a folder in which the stock `opa` works, or all of it is skipped. */
export function opaFolder(): OpaFolder {
  let opa = '';
  let path = '';
  before(async function () {
    // Where `opa` is not to be had, Go builds it, once.
    this.timeout(300_000);
    const found = await stockOpa();
    if (found === null) return this.skip();
    opa = found;
    path = await mkdtemp(join(tmpdir(), 'lemma-opa-test-'));
  });
  after(() => rm(path, { recursive: true, force: true }));
  return {
    get path() {
      return path;
    },
    run: (...args) => runOpa(opa, path, args),
  };
}

function runOpa(opa: string, cwd: string, args: readonly string[]): Promise<OpaRun> {
  return new Promise((resolve, reject) => {
    execFile(opa, args, { cwd }, (cause, stdout, stderr) => {
      if (cause !== null && typeof cause.code !== 'number') return reject(cause);
      resolve({ code: cause === null ? 0 : Number(cause.code), said: stdout + stderr, out: stdout });
    });
  });
}
