/** A parser under fuzzing. */
export interface Target {
  readonly name: string;
  /** Inputs are cut to this length. */
  readonly maxBytes: number;
  /** Pieces that make sense to this parser, for the mutator to put in. */
  readonly words: readonly string[];
  /**
   * Reads the input, and throws where an invariant is broken: another error than the parser's own came out, a reference
   * reads it otherwise. What the parser refuses as it should is no error here.
   */
  run(input: Uint8Array): void;
}

/** `read`'s value, or undefined where it threw one of these errors; what else it throws goes on. */
export function refusing<T>(
  read: () => T,
  ...typed: (abstract new (
    ...args: never[]
  ) => Error)[]
): T | undefined {
  try {
    return read();
  } catch (error) {
    if (typed.some((type) => error instanceof type)) return undefined;
    throw error;
  }
}

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** The text of UTF-8 bytes, or null. */
export function textOf(bytes: Uint8Array): string | null {
  try {
    return utf8.decode(bytes);
  } catch {
    return null;
  }
}

export function latin1(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('latin1');
}
