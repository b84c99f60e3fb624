/** Light evaluations in a row, after which a policy has mended its ways. */
const PROBATION = 100;

/** Whether a policy may be evaluated where others wait for it. */
export interface Conduct {
  /** It was heavy within its last `PROBATION` evaluations. */
  readonly bad: boolean;
  /** How an evaluation was (`Outcome.heavy`). */
  saw(heavy: boolean): void;
}

export function createConduct(): Conduct {
  let owed = 0;
  return {
    get bad() {
      return owed > 0;
    },
    saw(heavy) {
      if (heavy) owed = PROBATION;
      else if (owed > 0) owed -= 1;
    },
  };
}
