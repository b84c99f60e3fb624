export type FaultKind =
  | 'malformed'
  | 'edited'
  | 'dropped'
  | 'reordered'
  | 'repeated'
  | 'cut'
  | 'unvouched'
  | 'checkpoint_mismatch'
  | 'checkpoint_invalid'
  | 'checkpoint_untrusted';

/**
 * `seq`: the (first) record that it is about; `decision_id`: that record's, null where it is not there to tell. `line`:
 * counted from 1, null where it is about a line that is not there.
 */
export interface Fault {
  readonly kind: FaultKind;
  readonly node: string | null;
  readonly seq: number | null;
  readonly decision_id: string | null;
  readonly line: number | null;
  readonly message: string;
}

/** What was found, of which the first are kept: a log that is all wrong must not fill the memory. */
export interface Faults {
  add(fault: Omit<Fault, 'decision_id'> & { readonly decision_id?: string | null }): void;
  readonly kept: readonly Fault[];
  readonly count: number;
}

const FAULTS_KEPT = 1000;

export function newFaults(): Faults {
  const kept: Fault[] = [];
  let count = 0;
  return {
    add(fault) {
      count += 1;
      if (kept.length < FAULTS_KEPT) kept.push({ decision_id: null, ...fault });
    },
    kept,
    get count() {
      return count;
    },
  };
}
