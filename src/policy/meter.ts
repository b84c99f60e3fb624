import { InputError } from '../reason.ts';
import { ByteReader, ByteWriter, concat } from './wasm-bytes.ts';
import { skipInstruction } from './wasm-instructions.ts';

/**
 * Gives a compiled policy a bound on its work, since WebAssembly has none: each entry to a function and each turn of a
 * loop takes one step from an exported counter, and a counter below zero traps. Steps and not time, so that the same
 * input comes to the same end on every machine.
 *
 * Works on the binary format of WebAssembly 2.0 without vectors; what else a module holds is refused.
 */

/** Name of the counter among the exports: a mutable i32, 2^31 - 1 at the start, to be set before each evaluation. */
export const STEPS_EXPORT = 'lemma_steps';

const HEADER = [0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00];
const SECTION = { import: 2, global: 6, export: 7, code: 10 } as const;
const KIND_GLOBAL = 3;
const I32 = 0x7f;
const LOOP = 0x03;
const END = 0x0b;

interface Section {
  readonly id: number;
  readonly bytes: Uint8Array;
}

/** The module with the counter in it. Throws InputError for what is no module or not of this kind. */
export function meter(wasm: Uint8Array): Uint8Array {
  // What is valid names no global past its own last one, so that the policy cannot reach the counter.
  if (!WebAssembly.validate(wasm)) throw refused('is not a valid WebAssembly module; build the bundle anew');
  const sections = readSections(wasm);
  for (const id of [SECTION.global, SECTION.export, SECTION.code]) {
    if (!sections.some((section) => section.id === id))
      throw refused(`has no section ${id}; build the bundle anew`);
  }
  const counter = importedGlobals(sections) + countIn(sections, SECTION.global);
  return writeModule(sections.map((section) => ({ id: section.id, bytes: rewrite(section, counter) })));
}

function rewrite(section: Section, counter: number): Uint8Array {
  switch (section.id) {
    case SECTION.global:
      return appended(section.bytes, [I32, 1, 0x41, ...leb(0x7fffffff, true), END]);
    case SECTION.export:
      return appended(section.bytes, [...nameOf(STEPS_EXPORT), KIND_GLOBAL, ...leb(counter)]);
    case SECTION.code:
      return meteredCode(section.bytes, stepOf(counter));
    default:
      return section.bytes;
  }
}

/** `counter -= 1; if (counter < 0) unreachable` */
function stepOf(counter: number): Uint8Array {
  const get = [0x23, ...leb(counter)];
  const set = [0x24, ...leb(counter)];
  const less = [...get, 0x41, 1, 0x6b, ...set];
  return Uint8Array.from([...less, ...get, 0x41, 0, 0x48, 0x04, 0x40, 0x00, END]);
}

function meteredCode(code: Uint8Array, step: Uint8Array): Uint8Array {
  const reader = new ByteReader(code);
  const count = reader.u32();
  const writer = new ByteWriter();
  writer.bytes(leb(count));
  for (let i = 0; i < count; i++) {
    const body = meteredBody(reader.take(reader.u32()), step);
    writer.bytes(leb(body.length));
    writer.bytes(body);
  }
  return writer.done();
}

function meteredBody(body: Uint8Array, step: Uint8Array): Uint8Array {
  const reader = new ByteReader(body);
  skipLocals(reader);
  const writer = new ByteWriter();
  writer.bytes(body.subarray(0, reader.at));
  writer.bytes(step);
  let copied = reader.at;
  while (!reader.atEnd) {
    const opcode = skipInstruction(reader);
    if (opcode !== LOOP) continue;
    writer.bytes(body.subarray(copied, reader.at));
    writer.bytes(step);
    copied = reader.at;
  }
  writer.bytes(body.subarray(copied));
  return writer.done();
}

function skipLocals(reader: ByteReader): void {
  const groups = reader.u32();
  for (let i = 0; i < groups; i++) {
    reader.u32();
    reader.byte();
  }
}

function readSections(wasm: Uint8Array): Section[] {
  const reader = new ByteReader(wasm);
  reader.take(HEADER.length);
  const sections: Section[] = [];
  while (!reader.atEnd) {
    const id = reader.byte();
    sections.push({ id, bytes: reader.take(reader.u32()) });
  }
  return sections;
}

function writeModule(sections: readonly Section[]): Uint8Array {
  const writer = new ByteWriter();
  writer.bytes(HEADER);
  for (const { id, bytes } of sections) {
    writer.bytes([id, ...leb(bytes.length)]);
    writer.bytes(bytes);
  }
  return writer.done();
}

function importedGlobals(sections: readonly Section[]): number {
  const section = sections.find(({ id }) => id === SECTION.import);
  if (section === undefined) return 0;
  return WebAssembly.Module.imports(new WebAssembly.Module(writeModule(importsOnly(sections)))).filter(
    ({ kind }) => kind === 'global',
  ).length;
}

/** Types (1) and imports (2) are a valid module by themselves. */
function importsOnly(sections: readonly Section[]): Section[] {
  return sections.filter(({ id }) => id === 1 || id === SECTION.import);
}

function countIn(sections: readonly Section[], id: number): number {
  const section = sections.find((candidate) => candidate.id === id);
  return section === undefined ? 0 : new ByteReader(section.bytes).u32();
}

/** A section that is a vector, with one more item. */
function appended(section: Uint8Array, item: readonly number[]): Uint8Array {
  const reader = new ByteReader(section);
  const count = reader.u32();
  return concat([Uint8Array.from(leb(count + 1)), section.subarray(reader.at), Uint8Array.from(item)]);
}

function nameOf(name: string): number[] {
  return [...leb(name.length), ...Array.from(name, (char) => char.charCodeAt(0))];
}

/** LEB128 of a number from 0 to 2^31 - 1. */
function leb(value: number, signed = false): number[] {
  const out: number[] = [];
  let rest = value;
  const last = signed ? 0x3f : 0x7f;
  while (rest > last) {
    out.push((rest & 0x7f) | 0x80);
    rest >>>= 7;
  }
  out.push(rest);
  return out;
}

function refused(message: string): InputError {
  return new InputError([{ field: 'policy.wasm', message }]);
}
