import { Denial } from '../reason.ts';
import type { Adapter } from '../schema/bundle.ts';
import type { PolicyResult } from '../schema/result.ts';
import type { Instance } from './instance.ts';
import type { Instances } from './instances.ts';
import { budgetOf, type EngineLimits } from './limits.ts';
import { answerOf } from './opa-envoy-result.ts';

/** What one evaluation came to. `resultJson` is the same text for the same input and bundle, on every instance. */
export interface Evaluation {
  readonly result: PolicyResult;
  readonly resultJson: string;
  /** Of the budget of `EngineLimits.steps`: the same number for the same input and bundle, whatever came before. */
  readonly steps: number;
}

export interface Outcome {
  /** A denial is how the evaluation failed. */
  readonly came: Evaluation | Denial;
  /** It took many steps for its input, or an instance with it: no event loop should wait for such a policy again. */
  readonly heavy: boolean;
}

/** What evaluates: its limits, and its instances on this thread. */
export interface Evaluator {
  readonly limits: EngineLimits;
  readonly instances: Instances<Instance>;
  /** Whose answers it gives; default: those of the contract. */
  readonly adapter?: Adapter | undefined;
}

/** Some 0.5 to 2 ms, and twenty times what the default profiles take of a usual input. */
export const SHORT_STEPS = 250_000;

/**
 * One evaluation on this thread. What it comes to does not depend on the thread.
 *
 * @param short gives it `SHORT_STEPS` at most. Null where it would take more: what it would come to is not known
 * @throws Denial `policy_unavailable`: the host has no memory
 */
export function evaluateOn({ limits, instances }: Evaluator, input: Uint8Array, short: true): Outcome | null;
export function evaluateOn(evaluator: Evaluator, input: Uint8Array): Outcome;
export function evaluateOn(
  { limits, instances, adapter }: Evaluator,
  input: Uint8Array,
  short = false,
): Outcome | null {
  const budget = budgetOf(input.length, limits);
  const few = Math.min(budget, budgetOf(input.length, { ...limits, steps: SHORT_STEPS }));
  const instance = instances.take();
  try {
    const result = answerOf(instance.evaluate(input, short ? few : budget), adapter);
    const resultJson = JSON.stringify(result);
    checkAnswer(resultJson, limits);
    const steps = instance.stepsTaken;
    return { came: { result, resultJson, steps }, heavy: !instance.reusable || steps > few };
  } catch (cause) {
    if (!(cause instanceof Denial)) throw cause;
    if (short && few < budget && instance.stepsTaken > few) return null;
    return { came: cause, heavy: !instance.reusable || instance.stepsTaken > few };
  } finally {
    instances.giveBack(instance);
  }
}

/** Throws the denial that it is. */
export function evaluationOf({ came }: Outcome): Evaluation {
  if (came instanceof Denial) throw came;
  return came;
}

/** As it is passed on. What is read of the policy's memory before has a bound of its own (`Instance`). */
function checkAnswer(resultJson: string, { answerBytes }: EngineLimits): void {
  if (Buffer.byteLength(resultJson) <= answerBytes) return;
  const problem = `an answer of more than ${answerBytes} bytes`;
  throw new Denial('policy_error', `the policy failed: ${problem}`, { problem });
}
