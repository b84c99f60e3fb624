/** How far ahead of its time a PoP, or a link, may be made, seconds (proofs.md, steps 10 and 11). */
export const AHEAD_S = 30;

/** A nonce to be spent once over all nodes, remembered for `keepS` seconds. */
export interface SharedNonce {
  readonly keyid: string;
  readonly nonce: string;
  /** Seconds, as the PoP says. */
  readonly created: number;
  readonly keepS: number;
}

/** One operation of a lemma's budget. `issued`: no earlier than which it can have been used, and `AHEAD_S`; seconds. */
export interface SharedLine {
  readonly lemmaId: string;
  readonly issued: number;
  readonly keepS: number;
}

export interface SharedAsk {
  /** Of the chain that asks: ids are unique within it only. */
  readonly org: string;
  readonly env: string;
  /** Null: the request has no PoP. */
  readonly nonce: SharedNonce | null;
  readonly lines: readonly SharedLine[];
  /** The node's clock, seconds: the one that PoPs are held against. */
  readonly now: number;
}

/**
 * `knownFrom`, seconds: what was made before it may have been used while nobody remembers it.
 * `forgotten` is about the nonce, `uncounted` about the budget of one lemma. None of these but `taken` took anything.
 */
export type SharedAnswer =
  | {
      readonly kind: 'taken';
      /** By line: operations used, this one included. */
      readonly used: readonly number[];
      /** The request was denied: its operations are given back. Once only; never waited for. */
      giveBack(): void;
    }
  | { readonly kind: 'replayed' }
  | { readonly kind: 'forgotten'; readonly knownFrom: number }
  | { readonly kind: 'uncounted'; readonly lemmaId: string; readonly knownFrom: number }
  | { readonly kind: 'unavailable'; readonly why: string };

/** What is asked about, without taking anything. */
export interface SharedCountAsk extends Pick<SharedAsk, 'org' | 'env' | 'now'> {
  readonly lines: readonly Pick<SharedLine, 'lemmaId' | 'issued'>[];
}

export interface SharedStats {
  /** Whether it can be asked now. */
  readonly up: boolean;
  readonly asked: number;
  /** Of those asked: not answered in time, or not at all. */
  readonly unavailable: number;
  /** Operations that stay counted although their request was denied: nobody knows whether they were taken. */
  readonly leaked: number;
  /** Nonces of before `knownFrom`, and budgets that nobody knows the use of since: denied. */
  readonly forgotten: number;
  readonly uncounted: number;
  /** Since when it remembers, seconds; null: it was never reached. */
  readonly knownFrom: number | null;
}

/** What all nodes of a deployment must agree on, one request after another: nonces and budgets. */
export interface Shared {
  /** Spends the nonce and takes an operation of each line: all of it or nothing. Never rejects, and answers in bounded time. */
  take(ask: SharedAsk): Promise<SharedAnswer>;
  /** By line: operations used over all nodes; null where nobody knows them any more. Null: it cannot be asked. Never rejects. */
  count(ask: SharedCountAsk): Promise<readonly (number | null)[] | null>;
  stats(): SharedStats;
  /** What was given back is told first, in bounded time. */
  close(): Promise<void>;
}
