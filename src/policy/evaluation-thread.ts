import { performance } from 'node:perf_hooks';
import { Denial } from '../reason.ts';
import type { PolicyResult } from '../schema/result.ts';
import type { Outcome } from './evaluate.ts';
import { problemOf } from './failure.ts';
import type { PolicyImage } from './instance.ts';
import { copyInSlices } from './slices.ts';
import { startThread } from './thread.ts';

/**
 * One thread for the policies of a process that would stop its event loop. It is started when one is first asked, and
 * ends when none was for `IDLE_MS`. They are asked one after the other, in the order in which they came.
 */
export interface EvaluationThread {
  /**
   * What `evaluateOn` comes to on this thread, on that one.
   *
   * @throws Denial `overloaded`: too much waits, or this one has waited too long; `policy_unavailable`: the thread ended,
   * or is closed
   */
  evaluate(policy: PolicyImage, input: Uint8Array): Promise<Outcome>;
  /** Denies what waits, and ends the thread in the midst of what it does. */
  close(): Promise<void>;
}

/** To the thread. */
export interface Question {
  readonly policy: number;
  /** With its first question. */
  readonly image: PolicyImage | null;
  /** Policies that are asked no more. */
  readonly forget: readonly number[];
  readonly input: Uint8Array;
}

/** From the thread. A fault is an error that is none of the policy's. */
export type Answer =
  | { readonly resultJson: string; readonly steps: number; readonly heavy: boolean }
  | { readonly denial: Pick<Denial, 'code' | 'message' | 'facts'>; readonly heavy: boolean }
  | { readonly fault: string };

/** Those that wait, and their inputs together. */
export const QUEUE_AT_MOST = 64;
const BYTES_AT_MOST = 8 << 20;
/** What is true of a request grows old meanwhile; its caller has given up long before. */
export const WAIT_MS = 2_000;
/** Memory of one each, with its data, stays with the thread. */
const POLICIES_AT_MOST = 8;
const IDLE_MS = 60_000;

interface Entry {
  readonly policy: PolicyImage;
  readonly input: Uint8Array;
  readonly at: number;
  resolve(outcome: Outcome): void;
  reject(error: unknown): void;
}

interface Thread {
  /** Numbers of the policies that it has, oldest use first. */
  readonly has: Map<PolicyImage, number>;
  /** Rejects when it ends. One question at a time. */
  ask(question: Question): Promise<Answer>;
  end(): Promise<unknown>;
}

/** @param now milliseconds of a clock that never goes back */
export function createEvaluationThread(now: () => number = () => performance.now()): EvaluationThread {
  const queue: Entry[] = [];
  let bytes = 0;
  let working = false;
  let closed = false;
  let numbers = 0;
  let thread: Thread | null = null;
  let idle: NodeJS.Timeout | undefined;

  async function work(): Promise<void> {
    if (working) return;
    working = true;
    clearTimeout(idle);
    for (let entry = queue.shift(); entry !== undefined; entry = queue.shift()) {
      bytes -= entry.input.length;
      if (now() - entry.at > WAIT_MS) entry.reject(overloaded('its turn came too late'));
      else await ask(entry).then(entry.resolve, entry.reject);
    }
    working = false;
    if (!closed) idle = setTimeout(() => void end(), IDLE_MS).unref();
  }

  async function ask({ policy, input }: Entry): Promise<Outcome> {
    const image = thread?.has.has(policy) ? null : await sharedImage(policy);
    if (closed) throw ended('the service stops');
    thread ??= start();
    const { has } = thread;
    const number = has.get(policy) ?? ++numbers;
    has.delete(policy);
    has.set(policy, number);
    return outcomeOf(await thread.ask({ policy: number, image, forget: forgotten(has), input }));
  }

  function start(): Thread {
    const made = started(() => {
      if (thread === made) thread = null;
    });
    return made;
  }

  async function end(): Promise<void> {
    const ending = thread;
    thread = null;
    await ending?.end();
  }

  return {
    evaluate(policy, input) {
      if (closed) return Promise.reject(ended('the service stops'));
      if (queue.length >= QUEUE_AT_MOST || bytes + input.length > BYTES_AT_MOST)
        return Promise.reject(overloaded('too much waits for its turn'));
      return new Promise((resolve, reject) => {
        queue.push({ policy, input, at: now(), resolve, reject });
        bytes += input.length;
        void work();
      });
    },
    async close() {
      closed = true;
      clearTimeout(idle);
      for (const { reject } of queue.splice(0)) reject(ended('the service stops'));
      await end();
    },
  };
}

function started(onEnd: () => void): Thread {
  const worker = startThread('evaluation-worker');
  let asked: PromiseWithResolvers<Answer> | null = null;
  let why = 'it was stopped';
  worker.on('message', (answer: Answer) => asked?.resolve(answer));
  worker.on('error', (cause) => {
    why = problemOf(cause);
  });
  worker.on('exit', () => {
    onEnd();
    asked?.reject(ended(why));
  });
  return {
    has: new Map(),
    ask(question) {
      asked = Promise.withResolvers<Answer>();
      worker.postMessage(question);
      return asked.promise;
    },
    end: () => worker.terminate(),
  };
}

/** Takes the policies beyond `POLICIES_AT_MOST` out, and gives their numbers. */
function forgotten(has: Map<PolicyImage, number>): number[] {
  const beyond = [...has].slice(0, Math.max(0, has.size - POLICIES_AT_MOST));
  for (const [policy] of beyond) has.delete(policy);
  return beyond.map(([, number]) => number);
}

/** In memory that threads have in common, so that it is copied in slices and not at once when it is sent. */
export async function sharedImage({ module, limits, image, adapter }: PolicyImage): Promise<PolicyImage> {
  const bytes = new Uint8Array(new SharedArrayBuffer(image.bytes.length));
  await copyInSlices(image.bytes, () => bytes);
  return { module, limits, image: { ...image, bytes }, adapter };
}

function outcomeOf(answer: Answer): Outcome {
  if ('fault' in answer) throw new Error(answer.fault);
  const { heavy } = answer;
  if ('denial' in answer) {
    const { code, message, facts } = answer.denial;
    return { came: new Denial(code, message, facts), heavy };
  }
  const { resultJson, steps } = answer;
  return { came: { result: JSON.parse(resultJson) as PolicyResult, resultJson, steps }, heavy };
}

function overloaded(why: string): Denial {
  return new Denial('overloaded', `policies that run long take their turns, and ${why}`);
}

function ended(problem: string): Denial {
  return new Denial('policy_unavailable', `the thread that evaluates it ended: ${problem}`, { problem });
}
