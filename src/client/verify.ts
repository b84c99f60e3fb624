import { boundsOf } from '../proof/bounds.ts';
import { createChainCache } from '../proof/cache.ts';
import { encodeCredential } from '../proof/credential.ts';
import { checkPop } from '../proof/pop.ts';
import { checkReach } from '../proof/reach.ts';
import { checkTimes } from '../proof/time.ts';
import { createTrust } from '../proof/trust.ts';
import type { Reason } from '../reason.ts';
import { Denial, InputError } from '../reason.ts';
import type { CredentialJson } from '../schema/lemma.ts';
import type { LemmaActor } from './guard.ts';
import { actorOf, outcomeOf, realmOf } from './local.ts';
import type { TrustOptions } from './options.ts';

export interface VerifyOptions {
  /** Default: what `configureTrust` said. */
  readonly trust?: TrustOptions;
  /** Scopes that it must cover; default none. */
  readonly scope?: readonly string[];
  /** The request that it came with. A credential with bounds of methods or paths is valid for no other. */
  readonly request?: { readonly method: string; readonly path: string };
}

export type Verification =
  | { readonly valid: true; readonly actor: LemmaActor; readonly expires_at: number }
  | { readonly valid: false; readonly error: Reason; readonly detail: string };

type Verifier = (credential: unknown, options: VerifyOptions) => Verification;

let configured: Verifier | null = null;

/**
 * Says, once at start, whose roots `verifyCredentialWithTrust` trusts and which audience this API is.
 *
 * @throws InputError that names the option and the mend
 */
export function configureTrust(options: TrustOptions): void {
  configured = createVerifier(options);
}

/**
 * Whether a bearer credential holds: its chain, its times, this API's audience, scope and bounds. Kill and revocation are not
 * in it: ask a PDP (`lemma({ pdp })`) where those must hold.
 *
 * @throws Error when nobody said whom to trust: nothing is valid by accident
 */
export async function verifyCredentialWithTrust(
  credential: unknown,
  options: VerifyOptions = {},
): Promise<Verification> {
  const verify = options.trust === undefined ? configured : createVerifier(options.trust);
  if (verify === null)
    throw new Error('verifyCredentialWithTrust: call configureTrust({ trust, audience }) at start');
  return verify(credential, options);
}

function createVerifier(options: TrustOptions): Verifier {
  const { clock = Date.now } = options;
  const realm = realmOf(options);
  const trust = createTrust(options.trust);
  const chains = createChainCache(1_000, 8 * 1024 * 1024);
  return (credential, { scope = [], request }) => {
    try {
      if (typeof credential !== 'object' || credential === null)
        throw new Denial('encoding_invalid', 'a credential is a JSON object');
      const now = Math.floor(clock() / 1000);
      const value = encodeCredential(credential as CredentialJson);
      const chain = chains.verify(value, trust);
      checkTimes(chain.links, now);
      const bounded = chain.links
        .map(boundsOf)
        .some((b) => b?.methods !== undefined || b?.path_prefixes !== undefined);
      if (bounded && request === undefined)
        throw new Denial('bounds_exceeded', 'it is bound to methods or paths: give the request');
      // Without a PoP: throws where a link asks for one.
      checkPop(chain, { kind: 'credential', value, pop: null }, NO_MESSAGE, { body: 'none' }, now);
      checkReach(chain, { ...realm, scope }, request?.method ?? '', request?.path ?? '');
      return { valid: true, actor: actorOf(chain), expires_at: chain.leaf.expires_at };
    } catch (error) {
      if (error instanceof InputError) throw error;
      const { reason, detail } = outcomeOf(error);
      return { valid: false, error: reason, detail };
    }
  };
}

const NO_MESSAGE = {
  ...{ method: '', authority: '', path: '', query: '?', contentDigest: null, proof: '' },
  body: { state: 'none', bytes: null },
} as const;
