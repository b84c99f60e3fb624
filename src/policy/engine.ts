import { setImmediate as turn } from 'node:timers/promises';
import { Denial, InputError } from '../reason.ts';
import { DATA_FILE, WASM_FILE } from '../schema/bundle.ts';
import type { BundleRef } from '../schema/decision.ts';
import type { PolicyResult } from '../schema/result.ts';
import { type Bundle, entrypointOf, fileOf } from './bundle.ts';
import { problemOf } from './failure.ts';
import { Instance, prepareInstance } from './instance.ts';
import { Instances } from './instances.ts';
import { type EngineLimits, limitsOf } from './limits.ts';
import { loadImage } from './load-image.ts';
import { meter } from './meter.ts';
import { resultOf } from './result.ts';
import { warmUp } from './warm-up.ts';

/** What one evaluation came to. `resultJson` is the same text for the same input and bundle, on every instance. */
export interface Evaluation {
  readonly result: PolicyResult;
  readonly resultJson: string;
  /** Of the budget of `EngineLimits.steps`: the same number for the same input and bundle, whatever came before. */
  readonly steps: number;
}

/** A compiled bundle. */
export interface Engine {
  readonly ref: BundleRef;
  /**
   * Evaluates the profile's decision. Synchronous.
   *
   * @param input the input document as a JSON object in UTF-8. Malformed JSON between its braces is an undefined input
   * to the policy, which must deny it.
   * @throws Denial `policy_error`: no object, a trap, or an answer that is none (`resultOf`); `policy_timeout`: a
   * larger input, more steps or more memory than one evaluation may take; `policy_unavailable`: the host has no memory
   */
  evaluate(input: Uint8Array): Evaluation;
}

export interface EngineOptions {
  /** Default: what the bundle's manifest says (`limitsOf`). */
  readonly limits?: EngineLimits;
  /** A second instance stands ready for the case that the first one fails. Default: true. */
  readonly spare?: boolean;
}

const OPENING_BRACE = 0x7b;
const CLOSING_BRACE = 0x7d;

/**
 * Compiles a bundle once, and warms an instance. Large data are parsed beside the event loop (`loadImage`).
 *
 * @throws InputError: the module is no policy of this kind, or does not load with its data
 * @throws Denial `policy_unavailable`: the host has no memory for it
 */
export async function compileEngine(bundle: Bundle, options: EngineOptions = {}): Promise<Engine> {
  const { limits = limitsOf(bundle.manifest.metadata.lemma), spare = true } = options;
  await turn();
  const module = await compileModule(fileOf(bundle, WASM_FILE));
  const data = fileOf(bundle, DATA_FILE);
  const { name: profile } = bundle;
  const entrypoint = entrypointOf(profile);
  const image = await loadImage({ module, data, profile, entrypoint, limits });
  const source = { module, limits, image };
  const first = await prepareInstance(source);
  warmUp(first, profile);
  const make = { now: () => new Instance(source), soon: () => prepareInstance(source) };
  const instances = new Instances(first.reusable ? first : await make.soon(), make, spare);
  const { name, revision, sha256 } = bundle;
  return {
    ref: { name, revision, sha256 },
    evaluate(input) {
      checkInput(input, limits);
      const instance = instances.take();
      try {
        const result = resultOf(instance.evaluate(input));
        const resultJson = JSON.stringify(result);
        checkAnswer(resultJson, limits);
        return { result, resultJson, steps: instance.stepsTaken };
      } finally {
        instances.giveBack(instance);
      }
    },
  };
}

async function compileModule(wasm: Uint8Array): Promise<WebAssembly.Module> {
  const metered = meter(wasm);
  try {
    return await WebAssembly.compile(metered);
  } catch (cause) {
    const message = `cannot be loaded (${problemOf(cause)}); build the bundle anew`;
    throw new InputError([{ field: WASM_FILE, message }]);
  }
}

function checkInput(input: Uint8Array, { inputBytes }: EngineLimits): void {
  if (input.length > inputBytes) {
    const facts = { problem: 'input', bytes: input.length, limit: inputBytes };
    throw new Denial('policy_timeout', `the input has more than ${inputBytes} bytes`, facts);
  }
  if (input[0] === OPENING_BRACE && input.at(-1) === CLOSING_BRACE) return;
  throw new Denial('policy_error', 'the input is no JSON object', { problem: 'input' });
}

/** As it is passed on. What is read of the policy's memory before has a bound of its own (`Instance`). */
function checkAnswer(resultJson: string, { answerBytes }: EngineLimits): void {
  if (Buffer.byteLength(resultJson) <= answerBytes) return;
  const problem = `an answer of more than ${answerBytes} bytes`;
  throw new Denial('policy_error', `the policy failed: ${problem}`, { problem });
}
