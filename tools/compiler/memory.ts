const MEMORY_SECTION = 5;
const HEADER_LENGTH = 8;

/** The module with a maximum on its memory, which Go's linker cannot set. Throws when it has one, or several memories. */
export function boundMemory(wasm: Uint8Array, maxPages: number): Uint8Array {
  let at = HEADER_LENGTH;
  while (at < wasm.length) {
    const id = wasm[at];
    const size = readLeb(wasm, at + 1);
    const end = size.next + size.value;
    if (id === MEMORY_SECTION) {
      const [count, flags] = wasm.subarray(size.next, size.next + 2);
      if (count !== 1 || flags !== 0) throw new Error('the module must have one memory without a maximum');
      const initial = wasm.subarray(size.next + 2, end);
      const section = [1, 1, ...initial, ...leb(maxPages)];
      return Buffer.concat([
        wasm.subarray(0, at),
        Uint8Array.from([MEMORY_SECTION, ...leb(section.length), ...section]),
        wasm.subarray(end),
      ]);
    }
    at = end;
  }
  throw new Error('the module has no memory');
}

function readLeb(bytes: Uint8Array, at: number): { value: number; next: number } {
  let value = 0;
  for (let shift = 0; ; shift += 7) {
    const byte = bytes[at++] ?? 0;
    value += (byte & 0x7f) * 2 ** shift;
    if (byte < 0x80) return { value, next: at };
  }
}

function leb(value: number): number[] {
  const bytes: number[] = [];
  let left = value;
  for (; left >= 0x80; left = Math.floor(left / 0x80)) bytes.push((left % 0x80) | 0x80);
  return [...bytes, left];
}
