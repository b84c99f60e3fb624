import type { Command } from 'commander';
import { createChainCache } from '../proof/cache.ts';
import type { VerifiedChain } from '../proof/chain.ts';
import { uncoveredScope } from '../proof/scope.ts';
import { checkTimes } from '../proof/time.ts';
import { createTrust, type TrustEntry } from '../proof/trust.ts';
import { Denial } from '../reason.ts';
import type { Lemma } from '../schema/lemma.ts';
import { timeText } from '../server/time.ts';
import { type Call, collect, listOption, type Result, textOption } from './command.ts';
import { controlApi, defineControlOptions } from './control-api.ts';
import { givenProof, linksOf, orDenied, PROOF_ARGUMENT, timeOf } from './proof-file.ts';
import { authorityKeysOf } from './signing-keys.ts';

export function define(command: Command): void {
  command
    .argument(...PROOF_ARGUMENT)
    .option(
      '--issuer <key>',
      "A root issuer's public key (base64url) to trust; again for more (default: the control plane's)",
      collect,
    )
    .option('--audience <origin>', 'What it must be for')
    .option('--scope <scope>', 'What it must cover; again for more', collect)
    .option('--at <time>', 'As of then: RFC 3339, or seconds since 1970 (default: now)');
  defineControlOptions(command);
}

/**
 * Signatures, attenuation and times, as a request with it would have them checked. Kill, revocation and policy are not asked. Ends with 1 and the code
 * of the first check that fails.
 */
export async function run(call: Call): Promise<Result> {
  const proof = givenProof(call);
  const links = linksOf(proof);
  const trust = createTrust(await trusted(call, links));
  const at = timeOf(textOption(call.options, 'at'));
  const chain = orDenied(proof.source, () => {
    const verified = createChainCache(1).verify(proof.header, trust);
    checkTimes(verified.links, at);
    checkWishes(call, verified);
    return verified;
  });
  const { leaf } = chain;
  return {
    data: { source: proof.source, verified: true, at: timeText(at * 1000), ...reachOf(chain) },
    lines: [
      `${call.terminal.style('green', 'valid')} until ${timeText(leaf.expires_at * 1000)}: ${chain.links.length} links, each signed and within the one above`,
      `  acts for  ${leaf.subject}`,
      `  scope     ${leaf.scope.join(' ') || '(none)'}`,
      `  audience  ${leaf.audience.join(' ')}`,
    ],
  };
}

function reachOf({ leaf, links }: VerifiedChain) {
  const expires = Math.min(...links.map(({ expires_at }) => expires_at));
  return {
    subject: leaf.subject,
    scope: leaf.scope,
    audience: leaf.audience,
    expires_at: timeText(expires * 1000),
    types: links.map(({ type }) => type),
  };
}

function checkWishes({ options }: Call, { leaf }: VerifiedChain): void {
  const audience = textOption(options, 'audience');
  if (audience !== undefined && !leaf.audience.includes(audience))
    throw new Denial('audience_mismatch', `the proof is for ${leaf.audience.join(' ')}`);
  const missing = uncoveredScope(leaf.scope, listOption(options, 'scope'));
  if (missing !== null) throw new Denial('scope_denied', `the proof does not cover ${missing}`);
}

/** Named issuers are believed for whatever org and env the root says; the control plane's are its own. */
async function trusted(call: Call, [root]: readonly Lemma[]): Promise<TrustEntry[]> {
  const named = listOption(call.options, 'issuer');
  const keys = named.length > 0 ? named : authorityKeysOf(await controlApi(call).get('/api/wallet/keys'));
  if (root?.type !== 'root') return [];
  const { org, env } = root.claims;
  return [{ org, env, keys: keys.map((x) => ({ kty: 'OKP', crv: 'Ed25519', x })) }];
}
