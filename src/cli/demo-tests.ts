import type { Reason } from '../reason.ts';
import type { Explanation } from '../schema/explanation.ts';
import type { Answered, World } from './demo-world.ts';

/** One containment test: what was sent, what came back, and why. */
export interface TestOutcome {
  readonly id: string;
  readonly name: string;
  readonly ok: boolean;
  readonly request: string;
  readonly expected: string;
  readonly status: number;
  readonly reason: string;
  readonly decision_id: string;
  readonly why: string;
}

interface Plan {
  readonly id: string;
  readonly name: string;
  /** What must come back: `allowed`, or the code of a denial that never reaches the upstream. */
  readonly expected: Reason;
  act(world: World): Promise<Answered>;
}

interface Proof {
  lemmaId: string;
}

/** In this order: each begins where the one before ended. */
function plans(proof: Proof): readonly Plan[] {
  const write = (world: World) => world.send('POST', '/notes/documents', '{"text":"from the agent"}');
  return [
    {
      id: 'allowed',
      name: 'allowed request forwarded',
      expected: 'allowed',
      act: (world) => world.send('GET', '/notes/documents/7'),
    },
    {
      id: 'wrong_path',
      name: 'wrong path denied',
      expected: 'route_unknown',
      act: (world) => world.send('GET', '/notes/admin/users'),
    },
    {
      id: 'wrong_method',
      name: 'wrong method denied',
      expected: 'method_not_allowed',
      act: (world) => world.send('DELETE', '/notes/documents/7'),
    },
    {
      id: 'stale_taint',
      name: 'stale taint epoch denied',
      expected: 'taint_stale',
      async act(world) {
        const read = await world.send('GET', '/web/pages/7');
        return read.reason === 'allowed' ? write(world) : read;
      },
    },
    {
      id: 'recovery',
      name: 'recovery after re-issue',
      expected: 'allowed',
      async act(world) {
        proof.lemmaId = await world.issue();
        return write(world);
      },
    },
    {
      id: 'revocation',
      name: 'revocation denied',
      expected: 'revoked',
      async act(world) {
        const path = `/api/wallet/runtimes/${world.runtimeId}/revoke`;
        await world.control.post(path, { lemma_id: proof.lemmaId, reason: 'shown by lemma demo' });
        return write(world);
      },
    },
  ];
}

/** Runs all six, also after one has failed. The explanations are those of the denials, by test. */
export async function runTests(
  world: World,
): Promise<{ outcomes: TestOutcome[]; explanations: Map<string, Explanation> }> {
  await world.bootstrap();
  const proof: Proof = { lemmaId: await world.issue() };
  const outcomes: TestOutcome[] = [];
  const explanations = new Map<string, Explanation>();
  for (const plan of plans(proof)) {
    const answered = await plan.act(world);
    const explained = answered.reason === 'allowed' ? null : await world.explain(answered.decision_id);
    if (explained !== null) explanations.set(plan.id, explained);
    const problem = problemOf(plan.expected, answered);
    outcomes.push({
      id: plan.id,
      name: plan.name,
      ok: problem === null,
      request: answered.request,
      expected: plan.expected,
      status: answered.status,
      reason: answered.reason,
      decision_id: answered.decision_id,
      why: problem ?? (explained === null ? seenBy(answered) : whyOf(explained)),
    });
  }
  return { outcomes, explanations };
}

/** What is not as it must be, or null. */
function problemOf(expected: Reason, { reason, decision_id, seen, status }: Answered): string | null {
  if (reason !== expected) return `expected ${expected}`;
  if (expected !== 'allowed') return seen === null ? null : 'denied, and the upstream saw it all the same';
  if (status !== 200 || seen === null) return 'allowed, and the upstream never saw it';
  const leaked = ['x-lemma-proof', 'x-lemma-pop', 'x-lemma-credential'].filter(
    (name) => name in seen.headers,
  );
  if (leaked.length > 0) return `the upstream was shown ${leaked.join(' and ')}`;
  if (seen.headers['x-lemma-decision-id'] !== decision_id) return 'the upstream was told of another decision';
  return seen.headers['x-lemma-runtime-id'] === undefined ? 'the upstream was not told who acts' : null;
}

function seenBy({ seen }: Answered): string {
  return `${seen?.url} saw ${seen?.headers['x-lemma-runtime-id']}, and no credential`;
}

function whyOf({ failed, rules, record, reason }: Explanation): string {
  if (failed !== null) return failed.message;
  const [rule] = rules;
  const { input } = record;
  const epochs = `proof at taint epoch ${input?.proof?.taint_epoch}, runtime at ${input?.runtime?.taint_epoch}`;
  return rule === undefined ? `the policy says ${reason}: ${epochs}` : `${epochs}: ${rule.file}:${rule.line}`;
}
