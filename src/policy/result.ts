import { Denial, isReason, POLICY_DENIAL_CODES } from '../reason.ts';
import { FRAMING, HOP_BY_HOP } from '../schema/header.ts';
import { type PolicyResult, policyResultSchema } from '../schema/result.ts';
import { checker } from '../schema/validate.ts';

const TOKEN = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/;
/** RFC 9110, section 5.5: neither Node nor a proxy sends such a field, and what fails to be sent is no answer. */
const UNSAFE_VALUE = /[\x00-\x08\x0a-\x1f\x7f]/;
const DENIAL_CODES: ReadonlySet<string> = new Set(POLICY_DENIAL_CODES);

const checkShape = checker(policyResultSchema);

/**
 * The one object that a policy may answer with (contracts.md, "What the policy says"), from OPA's result set.
 *
 * @throws Denial `policy_error`: undefined, several, another shape, codes that contradict the verdict or that a policy
 * may not give, headers that it may not set
 */
export function resultOf(resultSet: unknown): PolicyResult {
  if (!Array.isArray(resultSet) || resultSet.length !== 1) {
    const count = Array.isArray(resultSet) ? resultSet.length : 0;
    throw wrong(count === 0 ? 'the decision is undefined' : `${count} decisions instead of one`);
  }
  const checked = checkShape(decisionIn(resultSet[0]));
  if (!checked.ok)
    throw wrong(
      checked.problems.map((p) => `${p.field === '' ? 'decision' : p.field}: ${p.message}`).join('; '),
    );
  const problem = codeProblem(checked.value) ?? headerProblem(checked.value);
  if (problem !== null) throw wrong(problem);
  return checked.value;
}

function decisionIn(entry: unknown): unknown {
  return typeof entry === 'object' && entry !== null && 'result' in entry ? entry.result : undefined;
}

function codeProblem({ allow, reason, reasons }: PolicyResult): string | null {
  if (allow) {
    if (reason !== 'allowed') return `reason: an allow has "allowed", not "${reason}"`;
    return reasons.length === 0 ? null : 'reasons: an allow has none';
  }
  for (const code of [reason, ...reasons]) {
    if (!isDenialCode(code))
      return `reason: "${code}" is none that a policy may deny with; its own start with x_`;
  }
  return reasons.includes(reason) ? null : `reasons: lacks "${reason}", the reason`;
}

function isDenialCode(code: string): boolean {
  return DENIAL_CODES.has(code) || (code.startsWith('x_') && isReason(code));
}

function headerProblem(result: PolicyResult): string | null {
  for (const field of ['headers', 'response_headers_to_add'] as const) {
    for (const [name, value] of Object.entries(result[field] ?? {})) {
      if (!mayTouch(name)) return `${field}: a policy may not set "${name}"`;
      if (UNSAFE_VALUE.test(value))
        return `${field}: the value of "${name}" holds a control character (CR, LF or NUL among them)`;
    }
  }
  const removed = (result.request_headers_to_remove ?? []).find((name) => !mayTouch(name));
  return removed === undefined ? null : `request_headers_to_remove: a policy may not remove "${removed}"`;
}

/** Underscores count as hyphens: some upstreams read both alike. */
function mayTouch(name: string): boolean {
  const plain = name.toLowerCase().replaceAll('_', '-');
  return TOKEN.test(name) && !HOP_BY_HOP.has(plain) && !FRAMING.has(plain) && !plain.startsWith('x-lemma-');
}

function wrong(message: string): Denial {
  return new Denial('policy_error', message, { problem: message });
}
