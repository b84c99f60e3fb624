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
   * For a border that would rather not read what it can't answer: `work` in its turn, or `answer` to the denial. `durable`:
   * its record will have to be durable before the answer, as far as can be told so early.
   *
   * @throws Abandoned
   */
  inTurn<T>(
    border: AuthzRequest['border'],
    caller: Caller & { readonly durable: boolean },
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

/** What comes with one has a nonce, which must be durable before the answer. */
const POP_HEADERS = ['x-lemma-pop', 'signature-input'] as const;

/** @param decide the one that answers what is admitted */
export function createAdmission(
  pdp: Pick<Pdp, 'node' | 'clock' | 'settings' | 'log'>,
  decide: Decide,
  limits: () => Limits,
): Admission {
  const pace = createPace();
  // Two, so that those who wait for the disk take no place from those who need not.
  const quick = createLane(limits);
  const durable = createLane(() => ({ ...limits(), concurrency: pace.limit(limits().concurrency) }));
  const unhear = pdp.log.onCommit((commit) => pace.committed(commit, durable.wasFull()));
  const shedding = createShedding(pdp);
  const mayAsk = createSources(() => performance.now());

  const admitted: Decide = async (request) => {
    const { per_source } = limits();
    const source = per_source === null ? null : sourceOf(request);
    if (per_source !== null && source !== null && !mayAsk(source, per_source)) {
      return shedding.deny('rate_limited', request, source);
    }
    return decide(request);
  };

  const inTurn: Admission['inTurn'] = (border, caller, work, answer) => {
    const shed = () => answer(shedding.deny('overloaded', border));
    if (!caller.durable) return quick.run(caller, { work, shed });
    return pdp.log.delayMs() > limits().log_ms
      ? Promise.resolve(shed())
      : durable.run(caller, { work, shed });
  };

  return {
    inTurn,
    admitted,
    decide: (request) =>
      inTurn(
        request.border,
        { remainingMs: null, durable: provesPossession(request) },
        () => admitted(request),
        (denial) => denial,
      ),
    stats() {
      const [a, b] = [quick.stats(), durable.stats()];
      return {
        running: a.running + b.running,
        queued: a.queued + b.queued,
        abandoned: a.abandoned + b.abandoned,
        ...shedding.stats(),
      };
    },
    close() {
      unhear();
      shedding.close();
    },
  };
}

function provesPossession({ headers }: AuthzRequest): boolean {
  return headers.some(([name]) => POP_HEADERS.some((one) => one === name));
}

/** Whether a CheckRequest that is not read yet may have a PoP: one more that only says so waits with those that have. */
export function mentionsPop(message: Buffer): boolean {
  return POP_HEADERS.some((name) => message.includes(name, 0, 'latin1'));
}
