/**
 * The part of WASI preview 1 that a Go reactor cannot do without: a clock, random bytes, and somewhere to write what
 * it says when it dies. No arguments, no environment, no files, no network. (`node:wasi` has crashed V8 here.)
 */
export interface Wasi {
  readonly imports: Record<string, (...args: never[]) => number>;
  /** To be called before anything runs. */
  attach(memory: WebAssembly.Memory): void;
  /** What was written to standard output and error since last asked, at most 16 KiB. */
  said(): string;
}

/** The module ended itself: a Go program that panicked. It cannot be called again. */
export class Exited extends Error {
  override readonly name = 'Exited';
}

const SUCCESS = 0;
const BAD_DESCRIPTOR = 8;
const NOT_SUPPORTED = 52;
const REALTIME = 0;
const SAID_LIMIT = 16_384;
const EVENT_BYTES = 32;

export function wasi(module: WebAssembly.Module): Wasi {
  let memory: WebAssembly.Memory | undefined;
  let said = '';
  const decoder = new TextDecoder();

  const view = () => new DataView(memoryOf().buffer);
  const memoryOf = () => {
    if (memory === undefined) throw new Error('the module ran before its memory was attached');
    return memory;
  };

  const nothing = (countAt: number, sizeAt: number) => {
    view().setUint32(countAt, 0, true);
    view().setUint32(sizeAt, 0, true);
    return SUCCESS;
  };

  const own = {
    args_sizes_get: nothing,
    args_get: () => SUCCESS,
    environ_sizes_get: nothing,
    environ_get: () => SUCCESS,
    sched_yield: () => SUCCESS,
    fd_prestat_get: () => BAD_DESCRIPTOR,
    clock_time_get(clock: number, _precision: bigint, at: number) {
      const ms = clock === REALTIME ? Date.now() : performance.now();
      view().setBigUint64(at, BigInt(Math.round(ms * 1e6)), true);
      return SUCCESS;
    },
    random_get(at: number, length: number) {
      crypto.getRandomValues(new Uint8Array(memoryOf().buffer, at, length));
      return SUCCESS;
    },
    fd_write(_fd: number, vectors: number, count: number, writtenAt: number) {
      let written = 0;
      for (let i = 0; i < count; i++) {
        const at = view().getUint32(vectors + 8 * i, true);
        const length = view().getUint32(vectors + 8 * i + 4, true);
        if (said.length < SAID_LIMIT) said += decoder.decode(new Uint8Array(memoryOf().buffer, at, length));
        written += length;
      }
      view().setUint32(writtenAt, written, true);
      return SUCCESS;
    },
    /** Every subscription of ours is a timer, and has always just fired: Go looks at the clock again itself. */
    poll_oneoff(_subscriptions: number, events: number, _count: number, firedAt: number) {
      new Uint8Array(memoryOf().buffer, events, EVENT_BYTES).fill(0);
      view().setUint32(firedAt, 1, true);
      return SUCCESS;
    },
    proc_exit(code: number): never {
      throw new Exited(`the compiler ended with ${code}`);
    },
  };

  const names = WebAssembly.Module.imports(module).map(({ name }) => name);
  const refused = Object.fromEntries(names.map((name) => [name, () => NOT_SUPPORTED]));
  return {
    imports: { ...refused, ...own },
    attach(given) {
      memory = given;
    },
    said() {
      const text = said.slice(0, SAID_LIMIT);
      said = '';
      return text;
    },
  };
}
