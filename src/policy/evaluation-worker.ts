import { parentPort } from 'node:worker_threads';
import { Denial } from '../reason.ts';
import { type Evaluator, evaluateOn } from './evaluate.ts';
import type { Answer, Question } from './evaluation-thread.ts';
import { createEvaluator } from './evaluator.ts';
import { problemOf } from './failure.ts';
import type { PolicyImage } from './instance.ts';

const images = new Map<number, PolicyImage>();
const evaluators = new Map<number, Evaluator>();

parentPort?.on('message', (question: Question) => parentPort?.postMessage(answerTo(question)));

function answerTo({ policy, image, forget, input }: Question): Answer {
  try {
    forgetThem(forget);
    const { came, heavy } = evaluateOn(evaluatorOf(policy, image), input);
    return came instanceof Denial
      ? { denial: wired(came), heavy }
      : { resultJson: came.resultJson, steps: came.steps, heavy };
  } catch (cause) {
    // What is no denial must never be taken for one: it is thrown again where it was asked.
    return cause instanceof Denial ? { denial: wired(cause), heavy: true } : { fault: problemOf(cause) };
  }
}

function evaluatorOf(policy: number, given: PolicyImage | null): Evaluator {
  // Kept whatever comes of it: where there is no memory for an instance now, there may be later.
  if (given !== null) images.set(policy, given);
  const known = evaluators.get(policy);
  if (known !== undefined) return known;
  const image = images.get(policy);
  if (image === undefined) throw new Error(`this thread never had policy ${policy}`);
  const made = createEvaluator(image);
  evaluators.set(policy, made);
  return made;
}

function forgetThem(policies: readonly number[]): void {
  for (const policy of policies) {
    images.delete(policy);
    evaluators.delete(policy);
  }
}

function wired({ code, message, facts }: Denial) {
  return { code, message, facts };
}
