import { wasi } from './wasi.ts';

/** A running compiler: one JSON request in, one JSON answer out. Synchronous, not re-entrant. */
export interface Reactor {
  /** @throws whatever ended it; `problem` says it in words. The reactor is of no use after that. */
  call(request: string): string;
  problem(cause: unknown): string;
  /** Frees what the last call left; to be called while nobody waits. */
  rest(): void;
}

interface Exports {
  readonly memory: WebAssembly.Memory;
  readonly _initialize: () => void;
  readonly lemma_alloc: (size: number) => number;
  readonly lemma_call: (request: number) => bigint;
  readonly lemma_rest: () => void;
}

export function startReactor(module: WebAssembly.Module): Reactor {
  const host = wasi(module);
  const instance = new WebAssembly.Instance(module, { wasi_snapshot_preview1: host.imports });
  const go = instance.exports as unknown as Exports;
  host.attach(go.memory);
  go._initialize();
  const encoder = new TextEncoder();
  const decoder = new TextDecoder();
  return {
    call(request) {
      const bytes = encoder.encode(request);
      const at = go.lemma_alloc(bytes.length) >>> 0;
      new Uint8Array(go.memory.buffer, at, bytes.length).set(bytes);
      const packed = BigInt.asUintN(64, go.lemma_call(at));
      const answer = new Uint8Array(go.memory.buffer, Number(packed & 0xffffffffn), Number(packed >> 32n));
      return decoder.decode(answer);
    },
    rest: () => go.lemma_rest(),
    problem(cause) {
      if (cause instanceof RangeError)
        return 'the policy is nested too deeply: the stack of 16 MB was not enough';
      const said = host.said();
      if (/out of memory|cannot allocate/i.test(said)) return 'it needed more than 512 MB of memory';
      const line = said.split('\n').find((text) => text.trim() !== '');
      return line ?? (cause instanceof Error ? cause.message : String(cause));
    },
  };
}
