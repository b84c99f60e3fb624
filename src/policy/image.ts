import { InputError } from '../reason.ts';
import { DATA_FILE, WASM_FILE } from '../schema/bundle.ts';
import type { Profile } from '../schema/common.ts';
import {
  abiVersion,
  type Evaluated,
  entrypointId,
  heapStart,
  hostBuiltins,
  type LoadedPolicy,
  loadPolicy,
  makeRoom,
  missingExport,
  PAGE,
  parseJson,
  setHeapStart,
} from './abi.ts';
import { callProblems } from './calls.ts';
import { counterOf, failureOf } from './failure.ts';
import { budgetOf, type EngineLimits } from './limits.ts';
import { STEPS_EXPORT } from './meter.ts';
import type { Sources } from './policy-files.ts';

/** What an image is made of. Can be sent to a Worker. */
export interface ImageSource {
  /** With its step counter (`meter.ts`). */
  readonly module: WebAssembly.Module;
  /** JSON in UTF-8. */
  readonly data: Uint8Array;
  readonly profile: Profile;
  readonly entrypoint: string;
  readonly limits: EngineLimits;
  /** The bundle's, in which a complaint finds its line. */
  readonly rego?: Sources;
}

/**
 * The memory of a policy with its data, before any evaluation: instances are made by copying it, and each evaluation
 * begins from it, so that none can tell what was evaluated before. Can be sent from a Worker.
 *
 *     0 -- stack, statics -- | ---- data ---- | -- heap of an evaluation --
 *                            baseHeapPtr      dataHeapPtr
 */
export interface Image extends Evaluated {
  /** Below are the stack and the module's statics. */
  readonly baseHeapPtr: number;
  /** From address 0 to `dataHeapPtr`. */
  readonly bytes: Uint8Array;
  /** Size of the memory that the statics were written for. */
  readonly pages: number;
}

const INITIAL_PAGES = 5;
const MINOR_VERSION = 2;
const EMPTY = new TextEncoder().encode('{}');

/**
 * Parses the data into a new instance: some 1 us for each entry, on the calling thread.
 *
 * @throws InputError: the policy is not of OPA's compiler, lacks the entrypoint, calls built-ins that WebAssembly does
 * not run, or does not load with its data within its limits
 */
export function takeImage({ module, data, entrypoint, limits, rego = new Map() }: ImageSource): Image {
  const { keepPages, maxPages } = limits;
  const policy = loading(WASM_FILE, limits, null, () => loadPolicy(module, INITIAL_PAGES, maxPages));
  const { mem } = policy;
  const id = loading(WASM_FILE, limits, policy, () => checkedEntrypoint(policy, entrypoint, rego));
  counterOf(policy, STEPS_EXPORT).value = budgetOf(data.length, limits);
  return loading(DATA_FILE, limits, policy, () => {
    // Where the statics end is known once the runtime has built its tables, which it does with its first value.
    parseJson(policy, EMPTY);
    const baseHeapPtr = heapStart(policy);
    setHeapStart(policy, baseHeapPtr);
    const dataAddr = parseJson(policy, data);
    const dataHeapPtr = heapStart(policy);
    if (dataHeapPtr < baseHeapPtr) throw new Error('its heap shrinks with its data');
    makeRoom(policy, Math.min(keepPages, maxPages - mem.buffer.byteLength / PAGE));
    const bytes = new Uint8Array(mem.buffer.slice(0, dataHeapPtr));
    const pages = mem.buffer.byteLength / PAGE;
    return { bytes, pages, baseHeapPtr, entrypointId: id, dataAddr, dataHeapPtr };
  });
}

function checkedEntrypoint(policy: LoadedPolicy, entrypoint: string, rego: Sources): number {
  const missing = missingExport(policy);
  if (missing !== null)
    throw refused(WASM_FILE, `does not export ${missing}; build it with \`opa build -t wasm\``);
  const [major, minor] = abiVersion(policy);
  if (major !== 1 || !(minor >= MINOR_VERSION))
    throw refused(WASM_FILE, `has ABI ${major}.${minor}, where 1.2 is needed; build it with a newer OPA`);
  const names = hostBuiltins(policy);
  if (names.length > 0) throw new InputError(callProblems(names, rego));
  const id = entrypointId(policy, entrypoint);
  if (id !== null) return id;
  throw refused(
    WASM_FILE,
    `lacks the entrypoint ${entrypoint}; compile it with \`opa build -t wasm -e ${entrypoint}\``,
  );
}

function loading<T>(file: string, limits: EngineLimits, policy: LoadedPolicy | null, work: () => T): T {
  try {
    return work();
  } catch (cause) {
    if (cause instanceof InputError) throw cause;
    const { message, facts } = failureOf(cause, policy);
    throw refused(
      file,
      facts.problem === 'memory'
        ? `needs more memory than ${limits.maxPages} pages; take some out, or raise metadata.lemma.memory_pages`
        : `cannot be loaded (${message}); build the bundle anew with \`opa build -t wasm\``,
    );
  }
}

function refused(field: string, message: string): InputError {
  return new InputError([{ field, message }]);
}
