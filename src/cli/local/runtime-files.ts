import { readdirSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { publicKeyOf } from '#runtime';
import { readSecret } from '../../authority/secret-file.ts';
import { fromBase64url, toBase64url } from '../../crypto/base64url.ts';
import { isSealedKey, openSealedKey, SealedKeyError, sealKey } from '../../crypto/sealed-key.ts';
import { ID_PATTERN } from '../../schema/common.ts';
import { type Call, textOption } from '../command.ts';
import { CliError, misuse } from '../exit.ts';
import { dataFolder, given } from './folder.ts';
import { askPassphrase } from './passphrase.ts';
import { replaceFile } from './state.ts';

/** What belongs to one runtime on this machine; absolute paths, each file 0600. */
export interface RuntimeFiles {
  readonly runtime: string;
  /** Exactly the credential's JSON: what LEMMA_PROOF_FILE names. */
  readonly proof: string;
  /** The value of X-Lemma-Credential: base64url of the proof. */
  readonly credential: string;
  /** The seed as base64url, or sealed by a passphrase (`sealedKeySchema`). */
  readonly key: string;
}

/** A proof as it lies there. Its members are not verified. */
export interface StoredProof {
  readonly files: RuntimeFiles;
  readonly credential: Readonly<Record<string, unknown>>;
  /** Value of X-Lemma-Credential. */
  readonly header: string;
}

const ID = new RegExp(ID_PATTERN);
const ENDING = '.proof.json';

export function runtimeFiles(folder: string, runtime: string): RuntimeFiles {
  const file = (ending: string) => resolve(folder, `${runtime}${ending}`);
  return { runtime, proof: file(ENDING), credential: file('.credential'), key: file('.key') };
}

/** Runtimes whose proofs lie in a folder, by id. */
function runtimesIn(folder: string): string[] {
  try {
    const names = readdirSync(folder).filter((name) => name.endsWith(ENDING));
    return names.map((name) => name.slice(0, -ENDING.length)).filter((name) => ID.test(name));
  } catch {
    return [];
  }
}

/**
 * The runtime that a command is about: LEMMA_PROOF_FILE, else `--runtime-id` or LEMMA_RUNTIME_ID, else the only one whose
 * proof lies in the data folder. Null: there is none. Throws CliError where several could be meant.
 */
export function chosenRuntime(call: Call): RuntimeFiles | null {
  const named = textOption(call.options, 'runtimeId') ?? call.env.LEMMA_RUNTIME_ID;
  const file = call.env.LEMMA_PROOF_FILE;
  if (given(file)) {
    const proof = resolve(call.folder, file);
    const stem = proof.endsWith(ENDING) ? proof.slice(0, -ENDING.length) : proof.replace(/\.json$/, '');
    const runtime = given(named) ? named : stem.slice(dirname(stem).length + 1);
    return { runtime, proof, credential: `${stem}.credential`, key: `${stem}.key` };
  }
  const folder = dataFolder(call);
  if (given(named)) {
    if (!ID.test(named)) throw misuse(`--runtime-id must be a runtime's id, not "${named}"`);
    return runtimeFiles(folder, named);
  }
  const [first, ...others] = runtimesIn(folder);
  if (first === undefined) return null;
  if (others.length > 0)
    throw new CliError(
      'runtime_ambiguous',
      `${folder} has proofs of ${[first, ...others].join(', ')}: say which with --runtime-id or LEMMA_RUNTIME_ID`,
    );
  return runtimeFiles(folder, first);
}

/** Null: there is no such file. Throws CliError `proof_invalid`, KeyFileError. */
export function readProof(files: RuntimeFiles): StoredProof | null {
  const text = readSecret(files.proof);
  if (text === null) return null;
  let credential: unknown;
  try {
    credential = JSON.parse(text);
  } catch {
    credential = null;
  }
  if (typeof credential !== 'object' || credential === null || Array.isArray(credential))
    throw new CliError('proof_invalid', `${files.proof}: holds no credential: connect the runtime again`);
  const header = toBase64url(new TextEncoder().encode(text));
  return { files, credential: credential as Readonly<Record<string, unknown>>, header };
}

/** Writes the three, each whole: the key first, so that no proof is there without the key that it names. */
export async function writeRuntime(
  files: RuntimeFiles,
  { seed, credential, passphrase }: { seed: Uint8Array; credential: object; passphrase: string | null },
): Promise<void> {
  replaceFile(files.key, passphrase === null ? toBase64url(seed) : await sealKey(seed, passphrase));
  replaceProof(files, credential);
}

/** Another proof for the key that is there already. */
export function replaceProof(files: RuntimeFiles, credential: object): void {
  const json = JSON.stringify(credential);
  replaceFile(files.proof, json);
  replaceFile(files.credential, toBase64url(new TextEncoder().encode(json)));
}

/**
 * The runtime's private key, which a passphrase may have to open: LEMMA_KEY_PASSPHRASE, else asked for at a terminal.
 * Null: there is no such file. Throws CliError `key_invalid`, `passphrase_wrong`, `passphrase_missing`, KeyFileError.
 */
export async function readRuntimeKey(files: RuntimeFiles, call: Call): Promise<Uint8Array | null> {
  const text = readSecret(files.key);
  if (text === null) return null;
  if (isSealedKey(text)) {
    const passphrase = await askPassphrase(call, `Passphrase of ${files.key}: `);
    try {
      return await openSealedKey(text, passphrase);
    } catch (error) {
      if (!(error instanceof SealedKeyError)) throw error;
      throw new CliError('passphrase_wrong', `${files.key}: ${error.message}`);
    }
  }
  const seed = fromBase64url(text);
  if (seed?.length === 32) return seed;
  throw new CliError(
    'key_invalid',
    `${files.key}: must hold 32 bytes as base64url, or a sealed key: connect the runtime again`,
  );
}

/** Whether the key is the one that the proof names. */
export function keyFits(proof: StoredProof, seed: Uint8Array): boolean {
  return proof.credential.key === toBase64url(publicKeyOf(seed));
}

/** A runtime that can act from here: what it shows, and its key where that lies here. */
export interface OpenRuntime {
  readonly files: RuntimeFiles;
  readonly proof: StoredProof;
  readonly seed: Uint8Array | null;
}

/** The chosen one. Throws CliError `proof_missing`, and as the three before. */
export async function openRuntime(call: Call): Promise<OpenRuntime> {
  const files = chosenRuntime(call);
  const proof = files === null ? null : readProof(files);
  if (files === null || proof === null)
    throw new CliError(
      'proof_missing',
      `no proof is here: run \`${call.program} firewall-connect\` first, or set LEMMA_PROOF_FILE`,
    );
  return { files, proof, seed: await readRuntimeKey(files, call) };
}
