import type { Gate } from '../gate/gate.ts';
import type { VerifiedChain } from '../proof/chain.ts';
import { checkTokenTimes, verifyToken } from '../proof/token.ts';
import type { TrustSet } from '../proof/trust.ts';
import { Denial } from '../reason.ts';
import type { Tenant } from '../store/model.ts';
import { Refusal } from './refusal.ts';
import type { Stops, Why } from './stop.ts';

export interface TokensOptions {
  readonly trust: () => TrustSet;
  readonly gate: Pick<Gate, 'admit'>;
  readonly revoke: Stops['revoke'];
  /** Milliseconds since 1970. */
  readonly clock: () => number;
}

/** The verbs on legacy tokens, once they are issued. A token of another tenant is as good as none. */
export interface Tokens {
  /** What the token stands for, where it is good now; else null. Refusal: state_not_ready. */
  introspect(text: string, tenant: Tenant): Required<VerifiedChain> | null;
  /** Nothing happens for a text that is no good token. Refusal: store_unavailable (it holds until a restart only). */
  revoke(text: string, why: Why, tenant: Tenant): Promise<void>;
}

export function createTokens({ trust, gate, revoke, clock }: TokensOptions): Tokens {
  /** Within its time, of this tenant; revoked or not. */
  function read(text: string, { org, env }: Tenant): Required<VerifiedChain> | null {
    try {
      const chain = verifyToken(text, trust());
      const { claims } = chain.root;
      if (chain.token === undefined || claims.org !== org || claims.env !== env) return null;
      checkTokenTimes(chain.token, Math.floor(clock() / 1000));
      return { ...chain, token: chain.token };
    } catch (error) {
      if (error instanceof Denial) return null;
      throw error;
    }
  }

  return {
    introspect(text, tenant) {
      const chain = read(text, tenant);
      if (chain === null) return null;
      try {
        gate.admit(chain, clock());
        return chain;
      } catch (error) {
        if (!(error instanceof Denial)) throw error;
        if (error.code === 'state_not_ready' || error.code === 'clock_untrusted')
          throw new Refusal('state_not_ready', 'the state of runtimes cannot be known now: try again');
        return null;
      }
    },
    async revoke(text, why, tenant) {
      const chain = read(text, tenant);
      if (chain === null) return;
      const { durable } = await revoke({ kind: 'lemma', value: chain.token.id }, why, tenant);
      if (!durable)
        throw new Refusal('store_unavailable', 'it is revoked, but until a restart only: ask again');
    },
  };
}
