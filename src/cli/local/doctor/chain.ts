import { createChainCache } from '../../../proof/cache.ts';
import { decodeCredential } from '../../../proof/decode.ts';
import { createTrust } from '../../../proof/trust.ts';
import { Denial, isReasonCode, type ReasonCode } from '../../../reason.ts';
import { member } from '../../answer.ts';
import { controlApi } from '../../control-api.ts';
import { CliError } from '../../exit.ts';
import { authorityKeysOf } from '../../signing-keys.ts';
import { statusIn } from '../posture.ts';
import { readProof } from '../runtime-files.ts';
import type { Ailment, Examined } from './ailment.ts';
import { quietly } from './quietly.ts';

/** What a chain itself is denied by, and a link that was taken back: nothing else here would find these. */
const OF_THE_CHAIN: ReadonlySet<ReasonCode> = new Set([
  'root_untrusted',
  'signature_invalid',
  'chain_incomplete',
  'chain_order_invalid',
  'chain_parent_mismatch',
  'chain_subject_mismatch',
  'chain_too_deep',
  'scope_escalation',
  'audience_escalation',
  'expiry_escalation',
  'key_reused',
  'key_weak',
  'ttl_too_long',
  'revoked',
]);

/**
 * Whether the proof's chain holds: by a dry run through the local firewall, which trusts the keys of its control plane and
 * knows what was taken back; where none runs, against the keys themselves, if something here opens the control plane.
 */
export async function chainAilments(facts: Examined): Promise<Ailment[]> {
  const { runtime, call } = facts;
  const header = runtime === null ? null : quietly(() => readProof(runtime)?.header ?? null);
  if (runtime === null || header === null) return [];
  const found = (await byFirewall(facts, header)) ?? (await byKeys(facts, header));
  if (found === null) return [];
  const mend = `${call.program} firewall-connect --runtime-id ${runtime.runtime} …`;
  const message = `${runtime.proof}: a request with it is denied ${found.code}: ${found.message}`;
  return [{ code: found.code, severity: 'error', message, mend }];
}

interface Broken {
  readonly code: string;
  readonly message: string;
}

/** Undefined: it could not be asked, as there is no firewall, or no api to ask about. */
async function byFirewall({ firewall }: Examined, header: string): Promise<Broken | null | undefined> {
  const [api] = statusIn(firewall)?.apis ?? [];
  if (firewall?.running !== true || api === undefined) return undefined;
  const url = `http://${firewall.state.listen}/firewall/${api.id}${api.path_prefixes[0] ?? '/'}`;
  const request = { method: api.methods[0] ?? 'GET', url, headers: { 'x-lemma-credential': header } };
  try {
    const { requests } = await firewall.channel.post('/replay', { requests: [request] });
    const again: unknown = Array.isArray(requests) ? requests[0] : null;
    const [code, why] = [String(member(again, 'now', 'reason')), String(member(again, 'why') ?? '')];
    return isReasonCode(code) && OF_THE_CHAIN.has(code) ? { code, message: why } : null;
  } catch (error) {
    // One of an earlier version has no dry run.
    if (error instanceof CliError) return undefined;
    throw error;
  }
}

async function byKeys({ call }: Examined, header: string): Promise<Broken | null> {
  let keys: readonly string[];
  try {
    keys = authorityKeysOf(await controlApi({ ...call, json: true }).get('/api/wallet/keys'));
  } catch (error) {
    // Whether it answers, and who is known there, are findings of their own.
    if (error instanceof CliError) return null;
    throw error;
  }
  try {
    const [root] = decodeCredential(header);
    const realm = root?.type === 'root' ? root.claims : { org: '', env: '' };
    createChainCache(1).verify(header, createTrust([{ ...realm, keys: keys.map((x) => ({ x })) }]));
    return null;
  } catch (error) {
    if (!(error instanceof Denial)) throw error;
    const { code, message } = error;
    return isReasonCode(code) && OF_THE_CHAIN.has(code) ? { code, message } : null;
  }
}
