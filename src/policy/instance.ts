import { Denial } from '../reason.ts';
import type { Adapter } from '../schema/bundle.ts';
import { evaluate, type LoadedPolicy, loadPolicy, PAGE } from './abi.ts';
import { counterOf, failureOf, problemOf } from './failure.ts';
import type { Image, ImageSource } from './image.ts';
import { budgetOf, type EngineLimits } from './limits.ts';
import { STEPS_EXPORT } from './meter.ts';
import { copyInSlices } from './slices.ts';

/** Where an instance comes from. */
export interface PolicyImage extends Pick<ImageSource, 'module' | 'limits'> {
  readonly image: Image;
  /** Whose answers it gives; default: those of the contract. */
  readonly adapter?: Adapter | undefined;
}

/** OPA writes the answer between some characters of its own, and some characters longer than JSON needs. */
const ROOM_FOR_ESCAPES = 2;

/** One instance of the module with the bundle's data in its memory. Synchronous, not re-entrant. */
export class Instance {
  readonly #policy: LoadedPolicy;
  readonly #steps: WebAssembly.Global;
  readonly #source: PolicyImage;
  readonly #statics: Uint8Array;
  #budget = 0;
  #reusable = true;

  /** @throws Denial `policy_unavailable`: the host has no memory for it; `policy_error`: its start function fails */
  constructor(source: PolicyImage, policy: LoadedPolicy = restored(source)) {
    this.#source = source;
    this.#statics = source.image.bytes.subarray(0, source.image.baseHeapPtr);
    this.#policy = policy;
    this.#steps = counterOf(this.#policy, STEPS_EXPORT);
  }

  /**
   * OPA's result set. After a failure, or more memory than stood ready, the instance is not reusable: where an
   * evaluation ends must not depend on those before it.
   *
   * @param budget in steps; default: what its limits allow
   * @throws Denial `policy_error`, `policy_timeout`
   */
  evaluate(input: Uint8Array, budget = budgetOf(input.length, this.#source.limits)): unknown {
    const { limits, image } = this.#source;
    this.#reusable = false;
    new Uint8Array(this.#policy.mem.buffer).set(this.#statics);
    this.#budget = budget;
    this.#steps.value = budget;
    try {
      const resultSet = evaluate(this.#policy, image, input, answerBytes(limits));
      this.#reusable = this.#policy.mem.buffer.byteLength === image.pages * PAGE;
      return resultSet;
    } catch (cause) {
      throw failureOf(cause, this.#policy);
    }
  }

  get reusable(): boolean {
    return this.#reusable;
  }

  /** Steps that the last evaluation took. */
  get stepsTaken(): number {
    return this.#budget - this.#steps.value;
  }
}

/** The same as the constructor, a slice of the image in each turn of the event loop. */
export async function prepareInstance(source: PolicyImage): Promise<Instance> {
  const policy = loaded(source);
  await copyInSlices(source.image.bytes, () => new Uint8Array(policy.mem.buffer));
  return new Instance(source, policy);
}

function answerBytes(limits: EngineLimits): number {
  return ROOM_FOR_ESCAPES * limits.answerBytes;
}

/** As if it had been given the data, without their being parsed again. */
function restored(source: PolicyImage): LoadedPolicy {
  const policy = loaded(source);
  new Uint8Array(policy.mem.buffer).set(source.image.bytes);
  return policy;
}

function loaded({ module, image, limits }: PolicyImage): LoadedPolicy {
  try {
    return loadPolicy(module, image.pages, limits.maxPages);
  } catch (cause) {
    if (!(cause instanceof RangeError)) throw failureOf(cause, null);
    const problem = problemOf(cause);
    throw new Denial('policy_unavailable', `no memory for another instance of the policy: ${problem}`, {
      problem,
    });
  }
}
