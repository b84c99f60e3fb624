import { ByteReader } from './wasm-bytes.ts';

const HEADER_BYTES = 8;
const CUSTOM = 0;
const FUNCTIONS = 1;

const decoder = new TextDecoder();

/**
 * Names of a module's functions, from its name section (WebAssembly 2.0, 7.4.1): empty without one. Throws InputError where
 * it is malformed.
 */
export function functionNames(wasm: Uint8Array): ReadonlySet<string> {
  const reader = new ByteReader(wasm);
  reader.take(HEADER_BYTES);
  while (!reader.atEnd) {
    const id = reader.byte();
    const section = new ByteReader(reader.take(reader.u32()));
    if (id === CUSTOM && nameIn(section) === 'name') return namesIn(section);
  }
  return new Set();
}

function namesIn(section: ByteReader): ReadonlySet<string> {
  while (!section.atEnd) {
    const id = section.byte();
    const names = new ByteReader(section.take(section.u32()));
    if (id !== FUNCTIONS) continue;
    const found = new Set<string>();
    for (let left = names.u32(); left > 0; left--) {
      names.u32();
      found.add(nameIn(names));
    }
    return found;
  }
  return new Set();
}

function nameIn(reader: ByteReader): string {
  return decoder.decode(reader.take(reader.u32()));
}
