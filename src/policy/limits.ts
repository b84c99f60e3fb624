import type { BundleMeta } from '../schema/bundle.ts';

/** Bounds on one evaluation. Memory is counted in pages of 64 KiB, the bundle's data included. */
export interface EngineLimits {
  /** Function entries and loop turns (`meter.ts`). */
  readonly steps: number;
  /** Added to `steps` for each byte of the input, which the policy must read before it can begin. */
  readonly stepsPerByte: number;
  readonly maxPages: number;
  /** Memory that stands ready beside the data. An instance that needs more grows, and is let go afterwards. */
  readonly keepPages: number;
  readonly inputBytes: number;
  readonly answerBytes: number;
}

/**
 * A hundred times what the default profiles take of a usual input. 64 MiB hold an input of 400 KB, however dense, and
 * most of 1 MiB.
 */
export const ENGINE_LIMITS: EngineLimits = {
  steps: 1_200_000,
  stepsPerByte: 16,
  maxPages: 1024,
  keepPages: 128,
  inputBytes: 1 << 20,
  answerBytes: 1 << 20,
};

/** What the bundle asks for, and the defaults for the rest. */
export function limitsOf({ steps, memory_pages }: Pick<BundleMeta, 'steps' | 'memory_pages'>): EngineLimits {
  return {
    ...ENGINE_LIMITS,
    steps: steps ?? ENGINE_LIMITS.steps,
    maxPages: memory_pages ?? ENGINE_LIMITS.maxPages,
  };
}

const MOST_STEPS = 2 ** 31 - 1;

/** Steps for a JSON text of so many bytes, which the policy must read before it can do anything else. */
export function budgetOf(bytes: number, { steps, stepsPerByte }: EngineLimits): number {
  return Math.min(steps + stepsPerByte * bytes, MOST_STEPS);
}
