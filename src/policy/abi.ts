/**
 * OPA's ABI for compiled policies, version 1.2 (openpolicyagent.org/docs/wasm), as OPA's SDK for npm speaks it. Ours
 * because the module may be anyone's: the SDK reads on for ever where a text has no end, prints what a policy tells it
 * to, and runs built-ins in JavaScript, whose work no step counter sees.
 */

type WasmFunction = (...args: number[]) => number;

/** One instance of a module. Its functions throw anything: strings (`opa_abort`), the machine's errors, ours. */
export interface LoadedPolicy {
  readonly mem: WebAssembly.Memory;
  readonly wasmInstance: WebAssembly.Instance;
}

/** Where an evaluation begins. */
export interface Evaluated {
  /** The entrypoint's number. */
  readonly entrypointId: number;
  /** Address of the data's value. */
  readonly dataAddr: number;
  /** Where the heap begins: behind the data. */
  readonly dataHeapPtr: number;
}

export const PAGE = 65_536;

const NEEDED = [
  'builtins',
  'entrypoints',
  'opa_eval',
  'opa_heap_ptr_get',
  'opa_heap_ptr_set',
  'opa_json_dump',
  'opa_json_parse',
  'opa_malloc',
] as const;

/** Of the lists of built-ins and entrypoints, and of what a policy says when it gives up. */
const LIST_BYTES = 64 << 10;
const ABORT_BYTES = 1 << 10;
const BLOCK_HEADER = 12;

const decoder = new TextDecoder();

/** Synchronous, as a module of this size takes some 0.1 ms. Runs the module's start function. */
export function loadPolicy(module: WebAssembly.Module, initial: number, maximum: number): LoadedPolicy {
  const mem = new WebAssembly.Memory({ initial: Math.min(initial, maximum), maximum });
  return { mem, wasmInstance: new WebAssembly.Instance(module, { env: hostOf(mem) }) };
}

/** The first of the functions that it lacks; null where it has all. */
export function missingExport({ wasmInstance }: LoadedPolicy): string | null {
  return NEEDED.find((name) => typeof wasmInstance.exports[name] !== 'function') ?? null;
}

/** `[1, 2]` of ABI 1.2. NaN where the module does not say. */
export function abiVersion({ wasmInstance }: LoadedPolicy): [major: number, minor: number] {
  const versionIn = (name: string) => {
    const global = wasmInstance.exports[name];
    return global instanceof WebAssembly.Global ? Number(global.value) : Number.NaN;
  };
  return [versionIn('opa_wasm_abi_version'), versionIn('opa_wasm_abi_minor_version')];
}

/** Names of the built-ins that the policy wants of its host. */
export function hostBuiltins(policy: LoadedPolicy): string[] {
  return Object.keys(listOf(policy, 'builtins'));
}

/** Its number; null where the policy has none of this name. */
export function entrypointId(policy: LoadedPolicy, name: string): number | null {
  const list = listOf(policy, 'entrypoints');
  const id: unknown = Object.hasOwn(list, name) ? Reflect.get(list, name) : null;
  return Number.isInteger(id) ? Number(id) : null;
}

/** @param json UTF-8. Gives the address of its value. */
export function parseJson(policy: LoadedPolicy, json: Uint8Array): number {
  const at = call(policy, 'opa_malloc', json.length);
  new Uint8Array(policy.mem.buffer).set(json, at >>> 0);
  const parsed = call(policy, 'opa_json_parse', at, json.length);
  if (parsed === 0) throw new Error('it does not parse its data');
  return parsed;
}

/** Where the heap begins: an address within the memory. */
export function heapStart(policy: LoadedPolicy): number {
  const at = call(policy, 'opa_heap_ptr_get') >>> 0;
  if (at > policy.mem.buffer.byteLength) throw new Error('its heap begins outside of its memory');
  return at;
}

export function setHeapStart(policy: LoadedPolicy, at: number): void {
  call(policy, 'opa_heap_ptr_set', at);
}

/** The policy's own allocator must know of the pages, so it is the one to ask for them. */
export function makeRoom(policy: LoadedPolicy, pages: number): void {
  if (pages > 0) call(policy, 'opa_malloc', pages * PAGE - BLOCK_HEADER - 1);
}

/**
 * OPA's result set.
 *
 * @param input JSON in UTF-8
 * @param atMost bytes of the answer as the policy writes it
 */
export function evaluate(policy: LoadedPolicy, from: Evaluated, input: Uint8Array, atMost: number): unknown {
  const { entrypointId: id, dataAddr, dataHeapPtr } = from;
  const { mem } = policy;
  const heap = dataHeapPtr + input.length;
  const lacking = Math.ceil((heap - mem.buffer.byteLength) / PAGE);
  if (lacking > 0) mem.grow(lacking);
  new Uint8Array(mem.buffer).set(input, dataHeapPtr);
  const answer = call(policy, 'opa_eval', 0, id, dataAddr, dataHeapPtr, input.length, heap, 0);
  return jsonAt(mem, answer, atMost, 'an answer');
}

function call({ wasmInstance }: LoadedPolicy, name: (typeof NEEDED)[number], ...args: number[]): number {
  return (wasmInstance.exports[name] as WasmFunction)(...args);
}

function listOf(policy: LoadedPolicy, name: 'builtins' | 'entrypoints'): object {
  const list = jsonAt(policy.mem, call(policy, 'opa_json_dump', call(policy, name)), LIST_BYTES, name);
  if (typeof list === 'object' && list !== null) return list;
  throw new Error(`${name} is no object`);
}

function jsonAt(mem: WebAssembly.Memory, address: number, atMost: number, what: string): unknown {
  const text = textAt(mem, address, atMost);
  if (text === null) throw new Error(`${what} that does not end within ${atMost} bytes of its memory`);
  try {
    return JSON.parse(text);
  } catch {
    throw new Error(`${what} that is no JSON`);
  }
}

/** Up to the next NUL; null where there is none within so many bytes, or the address is outside. */
function textAt({ buffer }: WebAssembly.Memory, address: number, atMost: number): string | null {
  const start = address >>> 0;
  if (start >= buffer.byteLength) return null;
  const bytes = new Uint8Array(buffer, start, Math.min(atMost + 1, buffer.byteLength - start));
  const length = bytes.indexOf(0);
  return length === -1 ? null : decoder.decode(bytes.subarray(0, length));
}

/** What a policy may call. None of its calls takes time that its steps do not count. */
function hostOf(memory: WebAssembly.Memory): Record<string, unknown> {
  const builtin = () => {
    throw new Error('it calls a built-in that WebAssembly does not run');
  };
  return {
    memory,
    opa_abort(address: number) {
      throw new Error(textAt(memory, address, ABORT_BYTES) ?? 'it gave up without a word');
    },
    opa_println() {},
    ...Object.fromEntries([0, 1, 2, 3, 4].map((arity) => [`opa_builtin${arity}`, builtin])),
  };
}
