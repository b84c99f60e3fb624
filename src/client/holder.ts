import type { Credential } from './credential.ts';
import { LemmaClientError } from './errors.ts';

/** What happens to a proof beside the requests. */
export type LemmaEvent =
  /** Keep it where the one before was kept. */
  | { readonly type: 'renewed'; readonly credential: Credential }
  | { readonly type: 'renewal_failed'; readonly error: LemmaClientError; readonly again_in_ms: number }
  | { readonly type: 'renewal_stopped'; readonly error: LemmaClientError };

/** Calls back after so many milliseconds, unless the returned function is called before. */
export type Schedule = (ms: number, then: () => void) => () => void;

export interface HolderOptions {
  readonly credential: Credential;
  /** Asks for the next proof; null: there is nobody to ask. */
  readonly renew: ((present: Credential) => Promise<Credential>) | null;
  /** Milliseconds since 1970. */
  readonly clock: () => number;
  readonly schedule: Schedule;
  readonly onEvent: (event: LemmaEvent) => void;
}

/** A proof, and its renewal in time. */
export interface Holder {
  readonly credential: Credential;
  /**
   * The proof to show now: the next one, where this one ends within seconds.
   *
   * @throws LemmaClientError `proof_expired`
   */
  current(): Promise<Credential>;
  /** Renews now; calls at the same time share one attempt. Throws LemmaClientError. */
  renew(): Promise<Credential>;
  /** Goes on with a proof that came from elsewhere. */
  replace(credential: Credential): void;
  /** Plans no renewal any more, and says why. */
  stop(why: LemmaClientError): void;
  close(): void;
}

/** Part of a life after which it is renewed, and how much later at most: a fleet that started together spreads out. */
const DUE = { from: 0.6, spread: 0.2 } as const;
const BACK_OFF_MS = { first: 1_000, most: 60_000 } as const;
/** What ends sooner is waited for. */
const TOO_LATE_MS = 5_000;

export function createHolder(options: HolderOptions): Holder {
  const { clock, schedule, onEvent } = options;
  let credential = options.credential;
  let attempts = 0;
  let stopped: LemmaClientError | null = null;
  let underWay: Promise<Credential> | null = null;
  let cancel = () => {};

  const leftMs = () => credential.expires_at * 1000 - clock();

  function plan(ms: number): void {
    cancel();
    cancel = options.renew === null || stopped !== null ? () => {} : schedule(Math.max(0, ms), begin);
  }

  function planNext(): void {
    const { issued_at, expires_at } = credential;
    const part = DUE.from + DUE.spread * Math.random();
    plan((issued_at + (expires_at - issued_at) * part) * 1000 - clock());
  }

  function begin(): void {
    renew().catch(() => undefined); // told by an event
  }

  function stop(why: LemmaClientError): void {
    if (stopped !== null) return;
    stopped = why;
    cancel();
    onEvent({ type: 'renewal_stopped', error: why });
  }

  function take(next: Credential): void {
    credential = next;
    attempts = 0;
    planNext();
  }

  async function attempt(ask: (present: Credential) => Promise<Credential>): Promise<Credential> {
    const present = credential;
    try {
      if (leftMs() <= 0) throw ended();
      const next = await ask(present);
      if (stopped !== null) throw stopped;
      // Another one was put in its place meanwhile.
      if (credential !== present) return credential;
      take(next);
      onEvent({ type: 'renewed', credential: next });
      return next;
    } catch (error) {
      throw failed(error);
    }
  }

  function failed(cause: unknown): LemmaClientError {
    const error =
      cause instanceof LemmaClientError
        ? cause
        : new LemmaClientError('renewal_failed', 'the renewal failed', { cause });
    if (error.code !== 'renewal_failed') {
      stop(error);
      return error;
    }
    attempts += 1;
    const most = Math.min(BACK_OFF_MS.most, BACK_OFF_MS.first * 2 ** (attempts - 1));
    const again_in_ms = Math.max(error.retryAfterMs, Math.round(most * (0.5 + 0.5 * Math.random())));
    plan(again_in_ms);
    onEvent({ type: 'renewal_failed', error, again_in_ms });
    return error;
  }

  function renew(): Promise<Credential> {
    if (options.renew === null)
      return Promise.reject(
        new LemmaClientError('options_invalid', 'renew: name the control plane, and the key of the proof'),
      );
    if (stopped !== null) return Promise.reject(stopped);
    cancel();
    underWay ??= attempt(options.renew).finally(() => {
      underWay = null;
    });
    return underWay;
  }

  function ended(): LemmaClientError {
    return new LemmaClientError(
      'proof_expired',
      `the proof ended ${Math.round(-leftMs() / 1000)} s ago: have a new one issued`,
    );
  }

  planNext();
  return {
    get credential() {
      return credential;
    },
    async current() {
      // A failed try is no reason not to show what still holds.
      if (leftMs() < TOO_LATE_MS && leftMs() > 0 && options.renew !== null && stopped === null)
        await renew().catch(() => undefined);
      if (leftMs() <= 0) throw ended();
      return credential;
    },
    renew,
    replace(next) {
      stopped = null;
      take(next);
    },
    stop,
    close() {
      cancel();
      stopped ??= new LemmaClientError('renewal_stopped', 'it was closed');
    },
  };
}

/** A timer that keeps no process alive. A browser's has no such wish. */
export const byTimer: Schedule = (ms, then) => {
  // What is longer fires at once (HTML, "timer initialization steps").
  const timer: unknown = setTimeout(then, Math.min(ms, 2 ** 31 - 1));
  if (typeof timer === 'object' && timer !== null && 'unref' in timer && typeof timer.unref === 'function')
    timer.unref();
  return () => clearTimeout(timer as ReturnType<typeof setTimeout>);
};
