import { Denial } from '../reason.ts';
import type { LoadedPolicy } from './abi.ts';
import { CALLS_EXPORT, MAX_CALLS, STEPS_EXPORT } from './meter.ts';

/** What OPA's allocator and the machine say at the maximum of the memory. */
const OUT_OF_MEMORY = /^opa_malloc: failed$|Memory\.grow\(\)/;

/**
 * Whatever goes wrong inside a policy, as the one denial that it is: `opa_abort` says a conflict with its place in the
 * Rego, the machine throws its own errors.
 *
 * @param policy null: before there was one
 */
export function failureOf(cause: unknown, policy: LoadedPolicy | null): Denial {
  if (policy !== null && counterOf(policy, STEPS_EXPORT).value < 0) return exhausted('steps');
  if (policy !== null && counterOf(policy, CALLS_EXPORT).value > MAX_CALLS)
    return failed(`more than ${MAX_CALLS} nested calls`);
  const problem = problemOf(cause);
  return OUT_OF_MEMORY.test(problem) ? exhausted('memory') : failed(problem);
}

/** What the policy or the machine said. */
export function problemOf(cause: unknown): string {
  if (typeof cause === 'object' && cause !== null && 'message' in cause) return String(cause.message);
  return String(cause);
}

/** `meter` has put it there. */
export function counterOf({ wasmInstance }: LoadedPolicy, name: string): WebAssembly.Global {
  return wasmInstance.exports[name] as WebAssembly.Global;
}

function failed(problem: string): Denial {
  return new Denial('policy_error', `the policy failed: ${problem}`, { problem });
}

function exhausted(what: 'steps' | 'memory'): Denial {
  return new Denial('policy_timeout', `the policy took more ${what} than one evaluation may`, {
    problem: what,
  });
}
