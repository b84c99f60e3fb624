import { parentPort, workerData } from 'node:worker_threads';
import { createEvaluator } from '../../policy/evaluator.ts';
import type { BundleRef } from '../../schema/decision.ts';
import { counted, uncompared } from './counted.ts';
import { hindrance, type Judge, judge } from './judge.ts';
import { type RecordedDecision, readLine } from './line.ts';
import type { Counted, FromThread, SentPolicy, ThreadOptions, ToThread } from './protocol.ts';

/** One of the threads of `runImpact`: takes lines, gives what they came to. */

/** Memory of one each, with its data, stays with the thread. */
const POLICIES_AT_MOST = 12;
const SHOWN_OF_LINE = 80;

const { candidates, only, broken } = workerData as ThreadOptions;
const byProfile = new Map(candidates.map((policy) => [policy.name, judgeOf(policy)]));
const wanted = only === null ? null : new Set(only);
/** Oldest use first; null: not to be had. */
const known = new Map<string, Judge | null>();
let waiting: { readonly key: string; resolve(policy: SentPolicy | null): void } | null = null;
let turn: Promise<void> = Promise.resolve();

parentPort?.on('message', (message: ToThread) => {
  switch (message.kind) {
    case 'policy':
      waiting?.resolve(message.policy);
      return;
    case 'lines':
      turn = turn.then(() => take(message.bytes));
      return;
  }
});

async function take(bytes: Uint8Array): Promise<void> {
  try {
    const lines = new TextDecoder().decode(bytes).split('\n');
    const into = counted();
    for (const line of lines) {
      const read = readLine(line);
      if (read === null) return tell({ kind: 'malformed', line: line.slice(0, SHOWN_OF_LINE) });
      if (read === 'withheld') {
        into.records += 1;
        uncompared(into, 'withheld', []);
      } else if (read !== 'statement') await one(line, read, into);
    }
    tell({ kind: 'done', counted: into });
  } catch (error) {
    tell({ kind: 'fault', message: error instanceof Error ? error.message : String(error) });
  }
}

async function one(line: string, recorded: RecordedDecision, into: Counted): Promise<void> {
  const { bundle, decision_id } = recorded;
  if (wanted !== null && (bundle === null || !(wanted.has(bundle.sha256) || wanted.has(bundle.revision))))
    return;
  into.records += 1;
  const hindered = hindrance(recorded);
  if (hindered !== null || bundle === null) {
    uncompared(into, hindered ?? 'denied_before_policy', [decision_id]);
    return;
  }
  const key = keyOf(bundle);
  const own = known.get(key) ?? (await fetched(key));
  const comparing = broken === null || Atomics.load(broken, 0) === 0;
  const judged = judge(line, recorded, own, comparing ? (byProfile.get(bundle.name) ?? null) : undefined);
  if (judged.kind === 'differs') {
    if (broken !== null) Atomics.store(broken, 0, 1);
    into.not_reproduced += 1;
    into.differing.push({ decision_id, revision: judged.revision, why: judged.why });
    return;
  }
  if (own !== null) into.reproduced += 1;
  switch (judged.kind) {
    case 'reproduced':
      return;
    case 'same':
      into.same += 1;
      return;
    case 'not_comparable':
      uncompared(into, judged.why, [decision_id]);
      return;
    default:
      into.changes.push(judged);
  }
}

async function fetched(key: string): Promise<Judge | null> {
  const before = known.get(key);
  if (before !== undefined) return before;
  const { promise, resolve } = Promise.withResolvers<SentPolicy | null>();
  waiting = { key, resolve };
  tell({ kind: 'needs', key });
  const policy = await promise;
  waiting = null;
  const made = policy === null ? null : judgeOf(policy);
  known.set(key, made);
  const [oldest] = known.keys();
  if (known.size > POLICIES_AT_MOST && oldest !== undefined) known.delete(oldest);
  return made;
}

/** A reference as one text: of what is behind an adapter, with that of the profile's own. */
function keyOf({ sha256, base }: BundleRef): string {
  return base === undefined ? sha256 : `${sha256} ${base}`;
}

function judgeOf({ sha256, headers, redact, view, image, base }: SentPolicy): Judge {
  const below = base === null ? null : { sha256: base.sha256, evaluator: createEvaluator(base.image) };
  return { sha256, headers, redact, view, evaluator: createEvaluator(image), base: below };
}

function tell(message: FromThread): void {
  parentPort?.postMessage(message);
}
