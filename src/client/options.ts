import type { IncomingMessage } from 'node:http';
import type { TrustEntry } from '../proof/trust.ts';
import type { Profile } from '../schema/common.ts';
import type { Outcome } from './guard.ts';

/**
 * Decides in this process, by what is signed: chain, times, PoP, audience, scope, bounds; and what this process can count:
 * nonces, budgets. It knows of no kill, revocation, taint or policy: where those must hold, ask a PDP.
 */
export interface LocalOptions {
  /** Whose roots count: `lemma keys list`, of use `authority`. */
  readonly trust: readonly TrustEntry[];
  /** The origin that proofs must be for: this API's own, `https://api.example.com`. */
  readonly audience: string;
  /** Default: those of the only trust entry. */
  readonly org?: string;
  readonly env?: string;
  /** The least strict profile that is asked of a runtime; a runtime's own may be stricter. Default low. */
  readonly risk?: Profile;
  /**
   * Set where no other process has taken requests for this audience within the last 90 seconds. Without it, a PoP made before
   * this process was up for 30 seconds is refused, since it may have been used already, and so is a budget's proof.
   */
  readonly first_start?: boolean;
  /** Milliseconds since 1970. Default: the machine's. */
  readonly clock?: () => number;
}

export type TrustOptions = Pick<LocalOptions, 'trust' | 'audience' | 'org' | 'env' | 'clock'>;

/** Has a PDP decide: with kills, revocations, taint, budgets over all nodes, policy, and a record of each decision. */
export interface PdpOptions {
  readonly pdp: string | PdpPlace;
}

export interface PdpPlace {
  /** Origin of its decision listener, `http://127.0.0.1:8181`; https where that is another machine. */
  readonly url: string;
  /** `check`: its REST mirror of Envoy's Check (default), which finds the route itself; `authzen`: OpenID AuthZEN 1.0. */
  readonly protocol?: 'check' | 'authzen';
  /** AuthZEN: the route's id or action that a request is. */
  readonly action?: string | ((request: { readonly method: string; readonly path: string }) => string);
  /** AuthZEN: the resource's type; default `http`. */
  readonly resource_type?: string;
  /** Sent along, such as an API key. */
  readonly headers?: Readonly<Record<string, string>>;
  /** Milliseconds that it may take; default 2000. */
  readonly timeout_ms?: number;
  /** Takes http to another machine, where whoever stands between can answer "allow". */
  readonly plaintext?: boolean;
  /** Default: the global one. */
  readonly fetch?: typeof fetch;
}

interface CommonOptions {
  /**
   * Scheme that agents use, where it decides the default port that a PoP leaves out of its host. Default: that of the
   * audience; https where a PDP decides.
   */
  readonly scheme?: 'http' | 'https';
  /** Bytes of a body that are held, to be verified; default 1 MiB. */
  readonly body_limit?: number;
  /** Told of each denial, with what the caller is not told. */
  readonly onDenied?: (denial: Outcome & { readonly allowed: false }, request: IncomingMessage) => void;
}

/** Decided here, or by a PDP. */
export type ProtectOptions = CommonOptions & (LocalOptions | PdpOptions);
