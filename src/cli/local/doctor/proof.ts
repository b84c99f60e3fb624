import { readSecret } from '../../../authority/secret-file.ts';
import { fromBase64url } from '../../../crypto/base64url.ts';
import { isSealedKey } from '../../../crypto/sealed-key.ts';
import { keyFits, type RuntimeFiles, readProof, type StoredProof } from '../runtime-files.ts';
import { replaceFile } from '../state.ts';
import type { Ailment } from './ailment.ts';
import { quietly } from './quietly.ts';

/** Whether a proof's key and credential file are its own. A file that cannot be read is another check's finding. */
export function proofAilments(runtime: RuntimeFiles | null, program: string): Ailment[] {
  const proof = runtime === null ? null : quietly(() => readProof(runtime));
  if (runtime === null || proof === null) return [];
  const again = `${program} firewall-connect --runtime-id ${runtime.runtime} …`;
  return [...keyAilments(runtime, proof, again), ...credentialAilments(runtime, proof)];
}

function keyAilments({ key }: RuntimeFiles, proof: StoredProof, mend: string): Ailment[] {
  const text = quietly(() => readSecret(key) ?? '');
  if (text === null || (text !== '' && isSealedKey(text))) return [];
  if (text === '')
    return [{ code: 'key_missing', severity: 'warning', message: `${key} is not there`, mend }];
  const seed = fromBase64url(text);
  if (seed?.length !== 32)
    return [{ code: 'key_invalid', severity: 'error', message: `${key} holds no key`, mend }];
  if (keyFits(proof, seed)) return [];
  return [{ code: 'key_mismatch', severity: 'error', message: `${key} is another proof's key`, mend }];
}

function credentialAilments({ credential }: RuntimeFiles, proof: StoredProof): Ailment[] {
  const text = quietly(() => readSecret(credential) ?? '');
  if (text === null || text === proof.header) return [];
  return [
    {
      code: 'credential_mismatch',
      severity: 'warning',
      message: `${credential} is not that of ${proof.files.proof}`,
      mend: 'write it anew from the proof: doctor --fix',
      fix() {
        replaceFile(credential, proof.header);
        return `${credential} was written anew from the proof`;
      },
    },
  ];
}
