import { InputError } from '../reason.ts';

/** Reads a WebAssembly binary. Throws InputError at its end: the bytes may be anyone's. */
export class ByteReader {
  at = 0;
  readonly #bytes: Uint8Array;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  get atEnd(): boolean {
    return this.at >= this.#bytes.length;
  }

  byte(): number {
    const byte = this.#bytes[this.at];
    if (byte === undefined) throw cutOff();
    this.at++;
    return byte;
  }

  /** A view, not a copy. */
  take(length: number): Uint8Array {
    const end = this.at + length;
    if (end > this.#bytes.length) throw cutOff();
    const taken = this.#bytes.subarray(this.at, end);
    this.at = end;
    return taken;
  }

  /** Unsigned LEB128 of at most 32 bits. */
  u32(): number {
    let value = 0;
    for (let shift = 0; shift < 35; shift += 7) {
      const byte = this.byte();
      value += (byte & 0x7f) * 2 ** shift;
      if (byte < 0x80) return value;
    }
    throw cutOff();
  }
}

/** Most policies of OPA's compiler fit into it, runtime and all. */
const FIRST_BYTES = 256 << 10;

/** Grows as it is written. */
export class ByteWriter {
  #bytes = new Uint8Array(FIRST_BYTES);
  #length = 0;

  bytes(more: ArrayLike<number>): void {
    const length = this.#length + more.length;
    if (length > this.#bytes.length) {
      const larger = new Uint8Array(Math.max(length, this.#bytes.length * 2));
      larger.set(this.#bytes.subarray(0, this.#length));
      this.#bytes = larger;
    }
    this.#bytes.set(more, this.#length);
    this.#length = length;
  }

  done(): Uint8Array {
    return this.#bytes.subarray(0, this.#length);
  }
}

export function concat(parts: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

function cutOff(): InputError {
  return new InputError([
    { field: 'policy.wasm', message: 'is cut off or malformed; build the bundle anew' },
  ]);
}
