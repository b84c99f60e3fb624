/** What `fixtures/hostile.rego` can do, how far, and the code and problem that it ends in within the default limits. */
export type Attack = readonly [attack: string, size: number, code: string, problem: RegExp];

const STEPS = /^steps$/;

export const ATTACKS: readonly Attack[] = [
  ['comprehension', 1_000, 'policy_timeout', STEPS],
  ['regex_rest', 10_000, 'policy_timeout', STEPS],
  ['regex_many', 1_000, 'policy_timeout', STEPS],
  ['walk', 900, 'policy_timeout', STEPS],
  ['nesting', 5_000, 'policy_error', /nested calls/],
  ['strings', 1_000, 'policy_timeout', STEPS],
  ['data', 500, 'policy_timeout', STEPS],
  ['range', 1_000_000, 'policy_timeout', STEPS],
  ['answer', 20_000, 'policy_error', /1024 characters/],
];
