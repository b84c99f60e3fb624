import { readSecret } from '../../authority/secret-file.ts';
import { readCredential } from '../../client/credential.ts';
import { keyFromSeed } from '../../client/key.ts';
import { renewProof } from '../../client/renew.ts';
import { isSealedKey } from '../../crypto/sealed-key.ts';
import { type RuntimeFiles, readProof, replaceProof } from './runtime-files.ts';

/** Where proofs are renewed, and when. */
export interface Renewals {
  /** Origin of the control plane. */
  readonly control: string;
  /** Part of its life after which a proof is renewed. */
  readonly after: number;
  /** Milliseconds since 1970. */
  readonly now: () => number;
}

const USUAL_PART = 0.6;

/**
 * Renews the proof of a runtime in place, where it is due, by its own key: what hooks show that show nothing themselves. Gives
 * whether it did. A key that a passphrase seals is not opened, and a proof that another wrote meanwhile stays.
 *
 * @throws LemmaClientError `renewal_stopped`, `renewal_failed`; KeyFileError
 */
export async function renewInPlace(files: RuntimeFiles, { control, after, now }: Renewals): Promise<boolean> {
  const proof = readProof(files);
  const seed = readSecret(files.key);
  if (proof === null || seed === null || isSealedKey(seed)) return false;
  const credential = readCredential(proof.credential);
  const { issued_at, expires_at } = credential;
  const at = now();
  const due = issued_at + (expires_at - issued_at) * after;
  if (at / 1000 < due || at / 1000 >= expires_at) return false;
  const next = await renewProof({ fetch, control, credential, key: await keyFromSeed(seed), now: at });
  if (readProof(files)?.header !== proof.header) return false;
  replaceProof(files, next);
  return true;
}

const LOOK_MS = 30_000;

/** Looks after the proofs of set-up agents for as long as the firewall runs; each trouble is told once. */
export function keepProofs(
  runtimes: () => readonly RuntimeFiles[],
  control: string,
  tell: (line: string) => void,
): { close(): void } {
  const told = new Set<string>();
  let busy = false;
  const look = async () => {
    if (busy) return;
    busy = true;
    for (const files of runtimes()) {
      try {
        const renewed = await renewInPlace(files, { control, after: USUAL_PART, now: Date.now });
        if (renewed) told.delete(files.proof);
      } catch (error) {
        const why = error instanceof Error ? error.message : String(error);
        if (!told.has(files.proof)) tell(`The proof of ${files.runtime} was not renewed: ${why}`);
        told.add(files.proof);
      }
    }
    busy = false;
  };
  const timer = setInterval(() => void look(), LOOK_MS);
  timer.unref();
  void look();
  return { close: () => clearInterval(timer) };
}
