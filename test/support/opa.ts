import { execFile } from 'node:child_process';
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

export function runOpa(opa: string, cwd: string, ...args: string[]): Promise<OpaRun> {
  return new Promise((resolve, reject) => {
    execFile(opa, args, { cwd }, (cause, stdout, stderr) => {
      if (cause !== null && typeof cause.code !== 'number') return reject(cause);
      resolve({ code: cause === null ? 0 : Number(cause.code), said: stdout + stderr, out: stdout });
    });
  });
}
