import { Denial, InputError } from '../reason.ts';
import { DATA_FILE, WASM_FILE } from '../schema/bundle.ts';
import type { BundleRef } from '../schema/decision.ts';
import type { PolicyResult } from '../schema/result.ts';
import { type Bundle, entrypointOf, fileOf } from './bundle.ts';
import { type EngineLimits, Instance, type PolicyModule } from './instance.ts';
import { meter } from './meter.ts';
import { resultOf } from './result.ts';

/** What one evaluation came to. `resultJson` is the same text for the same input and bundle, on every instance. */
export interface Evaluation {
  readonly result: PolicyResult;
  readonly resultJson: string;
}

/** A compiled bundle. */
export interface Engine {
  readonly ref: BundleRef;
  /**
   * Evaluates the profile's decision. Synchronous.
   *
   * @param input the input document as a JSON object in UTF-8. Malformed JSON between its braces is an undefined input
   * to the policy, which must deny it.
   * @throws Denial `policy_error`: no object, a trap, or an answer that is none (`resultOf`); `policy_timeout`: more
   * steps or memory than one evaluation may take
   */
  evaluate(input: Uint8Array): Evaluation;
}

/**
 * The default profiles take some 10,000 steps of 2.4 ns. 64 MiB hold an input of 400 KB, however dense, and most of
 * 1.5 MB.
 */
export const ENGINE_LIMITS: EngineLimits = { steps: 20_000_000, maxPages: 1024, keepPages: 128 };

const OPENING_BRACE = 0x7b;
const CLOSING_BRACE = 0x7d;
const WARM_UP_INPUT = new TextEncoder().encode('{}');

/**
 * Compiles a bundle once, and warms an instance.
 *
 * @throws InputError: the module is no policy of this kind, or does not load with its data
 */
export async function compileEngine(bundle: Bundle, limits: EngineLimits = ENGINE_LIMITS): Promise<Engine> {
  const source: PolicyModule = {
    module: await compileModule(fileOf(bundle, WASM_FILE)),
    data: bufferOf(fileOf(bundle, DATA_FILE)),
    entrypoint: entrypointOf(bundle.name),
    limits,
  };
  // Evaluation is synchronous: more than one idle instance could never be of use.
  let idle: Instance | null = warmInstance(source);
  const { name, revision, sha256 } = bundle;
  return {
    ref: { name, revision, sha256 },
    evaluate(input) {
      // The SDK takes falsy values for no input at all: nothing but an object comes near it.
      if (!looksLikeObject(input))
        throw new Denial('policy_error', 'the input is no JSON object', { problem: 'input' });
      const instance = idle ?? new Instance(source);
      idle = null;
      const resultSet = instance.evaluate(bufferOf(input));
      if (instance.reusable) idle = instance;
      const result = resultOf(resultSet);
      return { result, resultJson: JSON.stringify(result) };
    },
  };
}

async function compileModule(wasm: Uint8Array): Promise<WebAssembly.Module> {
  const metered = meter(wasm);
  try {
    return await WebAssembly.compile(metered);
  } catch (cause) {
    throw unloadable(cause);
  }
}

/** Null when the policy does not take an empty input: that is found, and denied, when it is evaluated. */
function warmInstance(source: PolicyModule): Instance | null {
  const instance = firstInstance(source);
  try {
    instance.evaluate(bufferOf(WARM_UP_INPUT));
  } catch (cause) {
    if (!(cause instanceof Denial)) throw cause;
  }
  return instance.reusable ? instance : null;
}

function firstInstance(source: PolicyModule): Instance {
  try {
    return new Instance(source);
  } catch (cause) {
    throw cause instanceof Denial ? unloadable(cause) : cause;
  }
}

function unloadable(cause: unknown): InputError {
  const problem = cause instanceof Error ? cause.message : String(cause);
  return new InputError([
    { field: WASM_FILE, message: `cannot be loaded (${problem}); build the bundle anew` },
  ]);
}

/** The SDK passes nothing but an ArrayBuffer on as it is; the copy is of the view alone. */
function bufferOf(bytes: Uint8Array): ArrayBuffer {
  return new Uint8Array(bytes).buffer;
}

function looksLikeObject(input: Uint8Array): boolean {
  return input[0] === OPENING_BRACE && input.at(-1) === CLOSING_BRACE;
}
