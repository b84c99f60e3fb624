import type { ReasonCode } from '../reason.ts';
import type { Decision } from '../schema/decision.ts';

/** How often those are looked at that end by time alone. */
const LOOK_MS = 1000;

/** What was let through and lasts. Each is ended at once, by its `cut`, when its runtime may go on no more. */
export type Cut = (why: ReasonCode | 'closing') => void;

export interface UnderWay {
  /** An answer on its way: a stop of the runtime ends it. Gives what says that it is over. */
  answer(decision: Decision, cut: (why: ReasonCode) => void): () => void;
  /** Both ways are open for as long as it lasts: the end of the proof, and a taint that it did not know of, end it too. */
  tunnel(decision: Decision, cut: Cut): () => void;
  /** To be called when the state of any runtime has changed. */
  look(): void;
  /** Ends the tunnels: they have no end of their own. */
  close(): void;
}

interface Held<W> {
  readonly stopped: () => ReasonCode | null;
  readonly cut: (why: ReasonCode | W) => void;
  readonly ignored: ReadonlySet<ReasonCode>;
}

/** A request was decided on as a whole: what it was allowed with may end meanwhile. */
const NOT_AN_ANSWERS: ReadonlySet<ReasonCode> = new Set(['proof_expired', 'token_expired', 'taint_stale']);
const TAINT: ReadonlySet<ReasonCode> = new Set(['taint_stale']);
const NONE: ReadonlySet<ReasonCode> = new Set();

export function createUnderWay(): UnderWay {
  const answers = new Set<Held<never>>();
  const tunnels = new Set<Held<'closing'>>();
  let timer: NodeJS.Timeout | null = null;

  function look(): void {
    for (const held of answers) lookAt(held);
    for (const held of tunnels) lookAt(held);
  }

  function lookAt<W>({ stopped, cut, ignored }: Held<W>): void {
    const why = stopped();
    if (why !== null && !ignored.has(why)) cut(why);
  }

  function hold<W>(held: Held<W>, all: Set<Held<W>>): () => void {
    all.add(held);
    lookAt(held);
    return () => {
      all.delete(held);
      if (tunnels.size > 0 || timer === null) return;
      clearInterval(timer);
      timer = null;
    };
  }

  return {
    answer: ({ stopped = () => null }, cut) => hold({ stopped, cut, ignored: NOT_AN_ANSWERS }, answers),
    tunnel({ stopped = () => null }, cut) {
      timer ??= setInterval(look, LOOK_MS).unref();
      // Its own answer has tainted the runtime, or the policy let it through as it was: one more epoch changes nothing.
      const ignored = stopped() === 'taint_stale' ? TAINT : NONE;
      return hold({ stopped, cut, ignored }, tunnels);
    },
    look,
    close() {
      for (const { cut } of tunnels) cut('closing');
    },
  };
}
