import * as opaWasm from '@open-policy-agent/opa-wasm';
import { Denial, InputError } from '../reason.ts';
import { STEPS_EXPORT } from './meter.ts';

/** Bounds on one evaluation, and on what an instance may keep after it. Pages have 64 KiB. */
export interface EngineLimits {
  /** Function entries and loop turns (`meter.ts`). */
  readonly steps: number;
  readonly maxPages: number;
  /** Memory never shrinks: an instance that grew beyond this is let go. */
  readonly keepPages: number;
}

/** Where an instance comes from. */
export interface PolicyModule {
  readonly module: WebAssembly.Module;
  readonly data: ArrayBuffer;
  readonly entrypoint: string;
  readonly limits: EngineLimits;
}

type WasmFunction = (...args: number[]) => number;

/** What the SDK gives, as far as it is used here (its own types do not resolve). */
interface LoadedPolicy {
  readonly mem: WebAssembly.Memory;
  readonly wasmInstance: WebAssembly.Instance;
  readonly entrypoints: object;
  evaluate(input: ArrayBuffer, entrypoint: string): unknown;
  setData(data: ArrayBuffer): void;
}

interface Sdk {
  loadPolicySync(module: WebAssembly.Module, memory: { initial: number; maximum: number }): LoadedPolicy;
}

// The package's types know named exports, its module a default one.
const sdk = (opaWasm as unknown as { default: Sdk }).default;
const PAGE = 65_536;
const INITIAL_PAGES = 5;

/** One WebAssembly instance with the bundle's data in its memory. Synchronous, not re-entrant. */
export class Instance {
  readonly #policy: LoadedPolicy;
  readonly #steps: WebAssembly.Global;
  readonly #source: PolicyModule;
  #reusable = true;

  /**
   * @throws InputError: the policy lacks the entrypoint, or calls built-ins that WebAssembly does not run
   * @throws Denial `policy_error` or `policy_timeout`: the module or its data do not load
   */
  constructor(source: PolicyModule) {
    this.#source = source;
    this.#policy = loaded(source);
    this.#steps = this.#policy.wasmInstance.exports[STEPS_EXPORT] as WebAssembly.Global;
    checkEntrypoint(this.#policy, source.entrypoint);
    checkBuiltins(this.#policy);
    // Last: it resets the heap, and with it what the checks left there.
    guarded(this.#steps, () => this.#policy.setData(source.data));
  }

  /** OPA's result set. After a failure the instance is not reusable. */
  evaluate(input: ArrayBuffer): unknown {
    const { limits, entrypoint } = this.#source;
    this.#reusable = false;
    this.#steps.value = limits.steps;
    const resultSet = guarded(this.#steps, () => this.#policy.evaluate(input, entrypoint));
    this.#reusable = this.#policy.mem.buffer.byteLength <= limits.keepPages * PAGE;
    return resultSet;
  }

  get reusable(): boolean {
    return this.#reusable;
  }
}

function loaded({ module, limits }: PolicyModule): LoadedPolicy {
  return guarded(null, () =>
    sdk.loadPolicySync(module, { initial: INITIAL_PAGES, maximum: limits.maxPages }),
  );
}

function checkEntrypoint(policy: LoadedPolicy, entrypoint: string): void {
  if (Object.hasOwn(policy.entrypoints, entrypoint)) return;
  throw refused(`lacks the entrypoint ${entrypoint}; compile it with \`opa build -t wasm -e ${entrypoint}\``);
}

/** What the SDK answers in JavaScript is outside every bound, and not always what stock OPA answers. */
function checkBuiltins(policy: LoadedPolicy): void {
  const { builtins, opa_json_dump: dump } = policy.wasmInstance.exports as Record<string, WasmFunction>;
  if (builtins === undefined || dump === undefined)
    throw refused("is not of OPA's compiler; build it with `opa build`");
  const names = Object.keys(JSON.parse(stringAt(policy.mem, dump(builtins()))) as object);
  if (names.length === 0) return;
  throw refused(`calls ${names.join(', ')}, which WebAssembly does not run; write it with other built-ins`);
}

function stringAt(memory: WebAssembly.Memory, address: number): string {
  const bytes = new Uint8Array(memory.buffer, address);
  return new TextDecoder().decode(bytes.subarray(0, bytes.indexOf(0)));
}

/** The SDK throws strings and plain objects, the machine its own errors: one kind leaves here. */
function guarded<T>(steps: WebAssembly.Global | null, work: () => T): T {
  try {
    return work();
  } catch (cause) {
    throw failure(cause, steps?.value ?? 0);
  }
}

function failure(cause: unknown, stepsLeft: number): Denial {
  const message = textOf(cause);
  if (stepsLeft < 0) return exhausted('steps');
  if (/memory\.grow|out of memory|malloc/i.test(message)) return exhausted('memory');
  return new Denial('policy_error', `the policy failed: ${message}`, { problem: message });
}

function exhausted(what: string): Denial {
  return new Denial('policy_timeout', `the policy took more ${what} than one evaluation may`, {
    problem: what,
  });
}

function textOf(cause: unknown): string {
  if (typeof cause === 'object' && cause !== null && 'message' in cause) return String(cause.message);
  return String(cause);
}

function refused(message: string): InputError {
  return new InputError([{ field: 'policy.wasm', message }]);
}
