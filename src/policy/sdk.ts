import * as opaWasm from '@open-policy-agent/opa-wasm';

type WasmFunction = (...args: number[]) => number;

/** What OPA's SDK makes of a module, as far as it is used here; the package's own types hold `any` for most of it. */
export interface LoadedPolicy {
  readonly mem: WebAssembly.Memory;
  readonly wasmInstance: WebAssembly.Instance;
  /** Of OPA's ABI 1. */
  readonly minorVersion: number | undefined;
  readonly entrypoints: object;
  /** Where the heap begins for `setData`: below are the stack and the module's statics. */
  readonly baseHeapPtr: number;
  /** Address of the data's value. */
  dataAddr: number;
  /** Where the heap begins for `evaluate`: behind the data. */
  dataHeapPtr: number;
  /** @param data JSON in UTF-8 */
  setData(data: ArrayBuffer): void;
  /** Gives the result set. @param input JSON in UTF-8 */
  evaluate(input: ArrayBuffer, entrypoint: string): unknown;
}

interface Sdk {
  loadPolicySync(module: WebAssembly.Module, memory: WebAssembly.MemoryDescriptor): LoadedPolicy;
}

// The package's types know named exports, its module a default one.
const sdk = (opaWasm as unknown as { default: Sdk }).default;

export const PAGE = 65_536;

/** Synchronous, as a module of this size takes some 0.1 ms. Throws anything, like all calls of the SDK. */
export function loadPolicy(module: WebAssembly.Module, initial: number, maximum: number): LoadedPolicy {
  return sdk.loadPolicySync(module, { initial: Math.min(initial, maximum), maximum });
}

/** The SDK passes nothing but an ArrayBuffer on as it is; the copy is of the view alone. */
export function bufferOf(bytes: Uint8Array): ArrayBuffer {
  return new Uint8Array(bytes).buffer;
}

/** Names of the built-ins that the policy calls in JavaScript: the SDK keeps them to itself. */
export function hostBuiltins({ wasmInstance, mem }: LoadedPolicy): string[] {
  const { builtins, opa_json_dump: dump } = wasmInstance.exports as Record<
    'builtins' | 'opa_json_dump',
    WasmFunction
  >;
  const start = dump(builtins());
  const bytes = Buffer.from(mem.buffer);
  return Object.keys(JSON.parse(bytes.toString('utf8', start, bytes.indexOf(0, start))) as object);
}

/** The policy's own allocator must know of the pages, so it is the one to ask for them. */
export function makeRoom({ wasmInstance }: LoadedPolicy, pages: number): void {
  const { opa_malloc: allocate } = wasmInstance.exports as Record<'opa_malloc', WasmFunction>;
  if (pages > 0) allocate(pages * PAGE - BLOCK_HEADER - 1);
}

const BLOCK_HEADER = 12;
