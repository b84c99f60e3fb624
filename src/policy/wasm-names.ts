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

const DATA = 11;
const NUL = 0;

/** Which of these texts stand, with a NUL before and behind, in the data of a module: the constants of a policy. */
export function textsIn(wasm: Uint8Array, wanted: readonly string[]): ReadonlySet<string> {
  const reader = new ByteReader(wasm);
  reader.take(HEADER_BYTES);
  const found = new Set<string>();
  while (!reader.atEnd) {
    const id = reader.byte();
    const section = Buffer.from(reader.take(reader.u32()));
    if (id !== DATA) continue;
    for (const text of wanted) if (holds(section, text)) found.add(text);
  }
  return found;
}

function holds(section: Buffer, text: string): boolean {
  for (let at = section.indexOf(text); at !== -1; at = section.indexOf(text, at + 1)) {
    if (section[at - 1] === NUL && section[at + Buffer.byteLength(text)] === NUL) return true;
  }
  return false;
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
