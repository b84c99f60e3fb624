import { createHash } from 'node:crypto';
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const CORPUS = fileURLToPath(new URL('./corpus/', import.meta.url));
const FINDINGS = fileURLToPath(new URL('../../coverage/fuzz/', import.meta.url));

/** Inputs kept for a target, the shortest first. Files whose name begins with `seed-` or `found-` were put there by hand. */
export function readCorpus(name: string): Uint8Array[] {
  const folder = join(CORPUS, name);
  return readdirSync(folder)
    .map((file) => new Uint8Array(readFileSync(join(folder, file))))
    .sort((a, b) => a.length - b.length);
}

/** Replaces what fuzzing kept before; what was put there by hand stays. */
export function writeCorpus(name: string, inputs: readonly Uint8Array[]): void {
  const folder = join(CORPUS, name);
  for (const file of readdirSync(folder)) if (/^[0-9a-f]{16}$/.test(file)) rmSync(join(folder, file));
  for (const input of inputs) writeFileSync(join(folder, nameOf(input)), input);
}

/** Where an input that broke an invariant is put, for a person to look at. */
export function keepFinding(name: string, input: Uint8Array): string {
  mkdirSync(FINDINGS, { recursive: true });
  const path = join(FINDINGS, `${name}-${nameOf(input)}`);
  writeFileSync(path, input);
  return path;
}

function nameOf(input: Uint8Array): string {
  return createHash('sha256').update(input).digest('hex').slice(0, 16);
}
