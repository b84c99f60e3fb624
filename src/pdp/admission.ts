import { performance } from 'node:perf_hooks';
import type { Limits } from '../schema/config.ts';
import type { Decision } from '../schema/decision.ts';
import type { AuthzRequest } from '../schema/request.ts';
import type { Pdp } from './decide.ts';
import { type Caller, createLane, type LaneStats } from './lane.ts';
import { createPace } from './pace.ts';
import { createShedding, type ShedCode } from './shed.ts';
import { createSources, sourceOf } from './sources.ts';

export type Decide = (request: AuthzRequest) => Promise<Decision>;

/** What stands before step 1 of `decide`: it can only deny. */
export interface Admission {
  /**
   * For a border that would rather not read what it can't answer: `work` in its turn, or `answer` to the denial.
   *
   * @throws Abandoned
   */
  inTurn<T>(
    border: AuthzRequest['border'],
    caller: Caller,
    work: () => Promise<T>,
    answer: (denial: Decision) => T,
  ): Promise<T>;
  /** Of a request that has its turn. */
  readonly admitted: Decide;
  /** Of one that waits for its turn first. */
  readonly decide: Decide;
  stats(): LaneStats & Readonly<Record<ShedCode, number>>;
  /** Writes the records that are still open. */
  close(): void;
}

const PATIENT: Caller = { remainingMs: null };
/** Its nonce must be durable before the answer. */
const POP_HEADERS = new Set(['x-lemma-pop', 'signature-input']);

/** @param decide the one that answers what is admitted */
export function createAdmission(
  pdp: Pick<Pdp, 'node' | 'clock' | 'settings' | 'log'>,
  decide: Decide,
  limits: () => Limits,
): Admission {
  const pace = createPace();
  const lane = createLane(() => {
    const { concurrency, queue, queue_ms } = limits();
    return { concurrency: pace.limit(concurrency), queue, queue_ms };
  });
  const unhear = pdp.log.onCommit((commit) => pace.committed(commit, lane.wasFull()));
  const shedding = createShedding(pdp);
  const mayAsk = createSources(() => performance.now());

  const admitted: Decide = async (request) => {
    const { per_source, log_ms } = limits();
    const source = per_source === null ? null : sourceOf(request);
    if (per_source !== null && source !== null && !mayAsk(source, per_source)) {
      return shedding.deny('rate_limited', request, source);
    }
    if (pdp.log.delayMs() > log_ms && provesPossession(request))
      return shedding.deny('overloaded', request.border);
    return decide(request);
  };

  const inTurn: Admission['inTurn'] = (border, caller, work, answer) =>
    lane.run(caller, { work, shed: () => answer(shedding.deny('overloaded', border)) });

  return {
    inTurn,
    admitted,
    decide: (request) =>
      inTurn(
        request.border,
        PATIENT,
        () => admitted(request),
        (denial) => denial,
      ),
    stats: () => ({ ...lane.stats(), ...shedding.stats() }),
    close() {
      unhear();
      shedding.close();
    },
  };
}

function provesPossession({ headers }: AuthzRequest): boolean {
  return headers.some(([name]) => POP_HEADERS.has(name));
}
