import { readCredential } from '../../../client/credential.ts';
import { keyFromSeed } from '../../../client/key.ts';
import { renewProof } from '../../../client/renew.ts';
import { decodeCredential } from '../../../proof/decode.ts';
import type { Call } from '../../command.ts';
import { CliError } from '../../exit.ts';
import { baseFor } from '../place.ts';
import { readProof, readRuntimeKey, replaceProof, type StoredProof } from '../runtime-files.ts';
import type { Ailment, Examined } from './ailment.ts';
import { quietly } from './quietly.ts';

const HOUR_MS = 3_600_000;
const MINUTES_MS = 300_000;

/**
 * A proof that ends soon. Within five minutes it is an error: whoever works with it stands still before anybody has come to
 * mend it. Within an hour it is a warning: there is time. Of one that lives for less than these, both are a quarter of its
 * life, as it would be told of for ever. A run is not renewed: it ends with its job.
 */
export function expiryAilments(
  { runtime, call }: Pick<Examined, 'runtime' | 'call'>,
  now = Date.now(),
): Ailment[] {
  const proof = runtime === null ? null : quietly(() => readProof(runtime));
  const links = proof === null ? null : quietly(() => decodeCredential(proof.header));
  const leaf = links?.at(-1);
  if (runtime === null || proof === null || links === null || leaf === undefined) return [];
  const left = Math.min(...links.map(({ expires_at }) => expires_at)) * 1000 - now;
  const quarter = (leaf.expires_at - leaf.issued_at) * 250;
  if (left <= 0 || left >= Math.min(HOUR_MS, quarter)) return [];
  const one: Ailment = {
    code: 'proof_expiring',
    severity: left < Math.min(MINUTES_MS, quarter) ? 'error' : 'warning',
    message: `the proof of ${runtime.runtime} ends in ${Math.ceil(left / 60_000)} min`,
    mend: `${call.program} doctor --fix renews it, else ${call.program} firewall-connect --runtime-id ${runtime.runtime} …`,
  };
  return leaf.type === 'runtime' ? [{ ...one, fix: () => renewed(call, proof) }] : [one];
}

/** By the runtime's own proof and key: no operator is asked, and it gets no more than it had. */
async function renewed(call: Call, { files, credential }: StoredProof): Promise<string> {
  const seed = await readRuntimeKey(files, call);
  if (seed === null) throw new CliError('key_missing', `${files.key} is not there: nothing can be signed`);
  const next = await renewProof({
    fetch: globalThis.fetch,
    control: baseFor(call),
    credential: readCredential(credential),
    key: await keyFromSeed(seed),
    now: Date.now(),
  });
  replaceProof(files, next);
  return `${files.proof} was renewed until ${new Date(next.expires_at * 1000).toISOString()}`;
}
