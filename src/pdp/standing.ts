import type { Gate } from '../gate/gate.ts';
import type { VerifiedChain } from '../proof/chain.ts';
import type { ReasonCode } from '../reason.ts';

/**
 * What has come over a chain since it was allowed: kill, revocation, a lease that ended, containment, its end, a taint
 * that it does not know of; null where it stands as it stood.
 */
export function standing(
  chain: VerifiedChain,
  { gate, clock }: { readonly gate: Gate; readonly clock: () => number },
): ReasonCode | null {
  const stopped = gate.stopped(chain);
  if (stopped !== null) return stopped;
  const { org, env } = chain.root.claims;
  const runtime = gate.runtime(org, env, chain.runtime.claims.runtime_id);
  if (runtime === null) return 'runtime_unknown';
  if (runtime.status === 'inactive') return 'runtime_inactive';
  const now = clock() / 1000;
  if (chain.links.some(({ expires_at }) => now >= expires_at)) return 'proof_expired';
  if (chain.token !== undefined && now >= chain.token.expires_at) return 'token_expired';
  return runtime.taint_epoch > chain.runtime.claims.taint_epoch ? 'taint_stale' : null;
}
