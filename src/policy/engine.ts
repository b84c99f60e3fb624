import { setImmediate as turn } from 'node:timers/promises';
import { Denial, InputError } from '../reason.ts';
import { type Adapter, DATA_FILE, WASM_FILE } from '../schema/bundle.ts';
import type { BundleRef } from '../schema/decision.ts';
import { type Bundle, fileOf, regoIn } from './bundle.ts';
import { createConduct } from './conduct.ts';
import { embeddedFor } from './embedded.ts';
import { type Evaluation, evaluateOn, evaluationOf } from './evaluate.ts';
import type { EvaluationThread } from './evaluation-thread.ts';
import { problemOf } from './failure.ts';
import { Instance, type PolicyImage, prepareInstance } from './instance.ts';
import { Instances } from './instances.ts';
import { layered } from './layered.ts';
import { type EngineLimits, limitsOf } from './limits.ts';
import { loadImage } from './load-image.ts';
import { meter } from './meter.ts';
import { warmUp } from './warm-up.ts';

/** A compiled bundle. */
export interface Engine {
  readonly ref: BundleRef;
  /** Behind which it stands; absent: it takes the contract's input. */
  readonly adapter?: Adapter | undefined;
  /**
   * Evaluates the profile's decision, on the calling thread.
   *
   * @param input the input document as a JSON object in UTF-8. Malformed JSON between its braces is an undefined input
   * to the policy, which must deny it.
   * @throws Denial `policy_error`: no object, a trap, or an answer that is none (`resultOf`); `policy_timeout`: a
   * larger input, more steps or more memory than one evaluation may take; `policy_unavailable`: the host has no memory
   */
  evaluate(input: Uint8Array): Evaluation;
  /**
   * The same, for an event loop: at once where that is short, else in the engine's thread if it has one. There goes what
   * has run for `SHORT_STEPS`, from the start again; an input of more than `INLINE_BYTES`; and all that is asked of a
   * policy whose conduct was bad (`conduct.ts`).
   *
   * @param long it is known to run long
   * @throws Denial as `evaluate`; `overloaded`, `policy_unavailable` as `EvaluationThread`
   */
  decide(input: Uint8Array, long?: boolean): Evaluation | Promise<Evaluation>;
}

export interface EngineOptions {
  /** Default: what the bundle's manifest says (`limitsOf`). */
  readonly limits?: EngineLimits;
  /** A second instance stands ready for the case that the first one fails. Default: true. */
  readonly spare?: boolean;
  /** For what would stop the event loop. Default: none. */
  readonly thread?: EvaluationThread | null;
  /** What is asked before a policy behind an adapter. Default: the package's own of the profile. */
  readonly base?: Bundle | undefined;
}

/** Larger ones take 1 ms or more for their parsing alone. */
const INLINE_BYTES = 64 << 10;

const OPENING_BRACE = 0x7b;
const CLOSING_BRACE = 0x7d;

/**
 * Compiles a bundle once, and warms an instance. Large data are parsed beside the event loop (`loadImage`).
 *
 * @throws InputError: the module is no policy of this kind, or does not load with its data
 * @throws Denial `policy_unavailable`: the host has no memory for it
 */
export async function compileEngine(bundle: Bundle, options: EngineOptions = {}): Promise<Engine> {
  const own = await compileAlone(bundle, options);
  if (own.adapter === undefined) return own;
  const { base = await embeddedFor(bundle.name), limits: _own, ...others } = options;
  return layered(own, await compileAlone(base, others));
}

async function compileAlone(bundle: Bundle, options: EngineOptions): Promise<Engine> {
  const { limits = limitsOf(bundle.manifest.metadata.lemma), spare = true, thread = null } = options;
  const source = await policyImageOf(bundle, limits);
  const first = await prepareInstance(source);
  warmUp(first, bundle.name);
  const make = { now: () => new Instance(source), soon: () => prepareInstance(source) };
  const instances = new Instances(first.reusable ? first : await make.soon(), make, spare);
  const { name, revision, sha256 } = bundle;
  const evaluator = { limits, instances, adapter: source.adapter };
  const conduct = createConduct();

  async function aside(beside: EvaluationThread, input: Uint8Array): Promise<Evaluation> {
    const outcome = await beside.evaluate(source, input);
    conduct.saw(outcome.heavy);
    return evaluationOf(outcome);
  }

  return {
    ref: { name, revision, sha256 },
    adapter: source.adapter,
    evaluate(input) {
      checkInput(input, limits);
      return evaluationOf(evaluateOn(evaluator, input));
    },
    decide(input, long = false) {
      checkInput(input, limits);
      if (thread === null) return evaluationOf(evaluateOn(evaluator, input));
      if (long || conduct.bad || input.length > INLINE_BYTES) return aside(thread, input);
      const outcome = evaluateOn(evaluator, input, true);
      conduct.saw(outcome === null || outcome.heavy);
      return outcome === null ? aside(thread, input) : evaluationOf(outcome);
    },
  };
}

/** What instances of a bundle are made from, on any thread. Throws as `compileEngine`. */
export async function policyImageOf(
  bundle: Bundle,
  limits: EngineLimits = limitsOf(bundle.manifest.metadata.lemma),
): Promise<PolicyImage> {
  await turn();
  const module = await compileModule(fileOf(bundle, WASM_FILE));
  const data = fileOf(bundle, DATA_FILE);
  const { name: profile, entrypoint } = bundle;
  const { adapter } = bundle.manifest.metadata.lemma;
  const rego = regoIn(bundle.files);
  const image = await loadImage({ module, data, profile, entrypoint, limits, rego });
  return { module, limits, image, adapter };
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
