import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { toBase64url } from '../crypto/base64url.ts';
import { decodeCredential } from '../proof/decode.ts';
import { Denial } from '../reason.ts';
import type { Lemma } from '../schema/lemma.ts';
import { msOf } from '../server/time.ts';
import type { Call } from './command.ts';
import { CliError, misuse } from './exit.ts';
import { chosenRuntime } from './local/runtime-files.ts';

/** A proof as somebody has it: a file, or `-` for standard input; its JSON or the header's value. */
export interface GivenProof {
  readonly source: string;
  /** Value of X-Lemma-Credential. */
  readonly header: string;
}

export const PROOF_ARGUMENT = [
  '[file]',
  'The proof, as JSON or as X-Lemma-Credential has it; - for standard input (default: as LEMMA_PROOF_FILE, LEMMA_RUNTIME_ID say)',
] as const;

/** Throws CliError `proof_missing`, `proof_unreadable`. */
export function givenProof(call: Call): GivenProof {
  const source = call.args[0] === '-' ? '-' : fileOf(call);
  const text = textAt(source).trim();
  const json = text.startsWith('{');
  return { source, header: json ? toBase64url(new TextEncoder().encode(text)) : text };
}

function fileOf(call: Call): string {
  const [named] = call.args;
  if (named !== undefined) return resolve(call.folder, named);
  const chosen = chosenRuntime(call);
  if (chosen === null)
    throw new CliError(
      'proof_missing',
      `no proof lies here: name its file, or run \`${call.program} firewall-connect\``,
    );
  return chosen.proof;
}

function textAt(source: string): string {
  try {
    return readFileSync(source === '-' ? process.stdin.fd : source, 'utf8');
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new CliError('proof_unreadable', `the proof cannot be read: ${why}`);
  }
}

/** Throws CliError with the code of proofs.md that a request with it would be denied by. */
export function linksOf({ source, header }: GivenProof): readonly Lemma[] {
  return orDenied(source, () => decodeCredential(header));
}

export function orDenied<T>(source: string, check: () => T): T {
  try {
    return check();
  } catch (error) {
    if (!(error instanceof Denial)) throw error;
    throw new CliError(error.code, `${source}: ${error.code}: ${error.message}`, undefined, {
      facts: error.facts,
    });
  }
}

/** Seconds since 1970 of `--at`, or now. */
export function timeOf(text: string | undefined): number {
  if (text === undefined) return Math.floor(Date.now() / 1000);
  const at = /^\d{1,11}$/.test(text) ? Number(text) * 1000 : msOf(text);
  if (at === null) throw misuse(`--at must be an RFC 3339 time or seconds since 1970, not "${text}"`);
  return Math.floor(at / 1000);
}
