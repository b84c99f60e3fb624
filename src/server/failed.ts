import { randomBytes } from 'node:crypto';
import type { Decision } from '../schema/decision.ts';

/** A denial that `decide` never saw: its id stands in the operator's log, not in the decision log. */
export function failed(): Decision {
  return {
    decision_id: `dec_${randomBytes(16).toString('base64url')}`,
    verdict: 'deny',
    reason: 'internal_error',
    reasons: ['internal_error'],
    stage: 'request',
    actor: null,
    result: null,
    strip: [],
    rewrite: [],
    observed: false,
    taintOnResponse: false,
  };
}
