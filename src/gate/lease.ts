/** What of a lease counts here. */
export interface LeaseTerms {
  readonly epoch: number;
  readonly seq: number;
  readonly max_age_ms: number;
  /** The authority's clock when it was signed, milliseconds. */
  readonly time: number;
}

interface Place {
  readonly epoch: number;
  readonly seq: number;
}

/** A moment on both clocks of this machine, milliseconds. */
export interface Moment {
  /** Monotonic; some systems stop it while they sleep. */
  readonly steady: number;
  readonly wall: number;
}

interface Held extends LeaseTerms {
  readonly sent: Moment;
  /** How far this machine's wall clock was from the authority's when the answer came. */
  readonly skew: number;
}

/** Leases of this node. Not thread-safe, not durable: a node that starts has none, and is not fresh. */
export interface LeaseHolder {
  now(): Moment;
  /** `sent`: when the question left. An answer that is older than the one at hand changes nothing. */
  renew(terms: LeaseTerms, sent: Moment): void;
  /** How long ago the state at `place` was known to be whole, milliseconds; never less on a clock that jumped. Infinite: never. */
  age(place: Place): number;
  /** Whether the lease that holds at `place` has ended: nothing may be allowed. */
  ended(place: Place): boolean;
  /** A lease asked for at `since` (steady) or later holds at `place`. */
  confirmedSince(since: number, place: Place): boolean;
  /** Milliseconds by which the wall clock differs from the authority's; 0 where no lease is held. */
  skew(): number;
  /** The highest `seq` that any lease has named: less than that applied, and something is missing. */
  wanted(): Place | null;
}

/** Answers under way at most, of which any may be the one that counts once its events are applied. */
const KEPT = 8;

export function createLeaseHolder(now: () => Moment = moment): LeaseHolder {
  /** The newest first. */
  let held: Held[] = [];

  const holding = (place: Place) =>
    held.find(({ epoch, seq }) => epoch === place.epoch && seq <= place.seq) ?? null;

  /** A machine that slept, or whose wall clock was set forward, is the older by whichever clock says more. */
  const since = ({ steady, wall }: Moment) => {
    const at = now();
    return Math.max(at.steady - steady, at.wall - wall);
  };

  return {
    now,
    renew(terms, sent) {
      const at = now();
      // Half the way: the authority signed somewhere between the question and the answer.
      const skew = (at.wall + sent.wall) / 2 - terms.time;
      const first = { ...terms, sent, skew };
      held = [first, ...held].sort((a, b) => b.sent.steady - a.sent.steady).slice(0, KEPT);
    },
    age(place) {
      const lease = holding(place);
      return lease === null ? Number.POSITIVE_INFINITY : Math.max(0, since(lease.sent));
    },
    ended(place) {
      const lease = holding(place);
      return lease === null || since(lease.sent) > lease.max_age_ms;
    },
    confirmedSince(asked, place) {
      const lease = holding(place);
      return lease !== null && lease.sent.steady >= asked;
    },
    skew: () => held[0]?.skew ?? 0,
    wanted: () => held[0] ?? null,
  };
}

function moment(): Moment {
  return { steady: performance.now(), wall: Date.now() };
}
