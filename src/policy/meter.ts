import { InputError } from '../reason.ts';
import { recursionHeads } from './call-graph.ts';
import { ByteReader, ByteWriter, concat } from './wasm-bytes.ts';
import { type Outline, outlineOf, type Stretch } from './wasm-instructions.ts';

/**
 * Gives a compiled policy a bound on its work, since WebAssembly has none: each entry to a function and each turn of a
 * loop takes one step from an exported counter, and one more for each `STEP_BYTES` of code that it can run; a counter
 * below zero traps. Steps and not time, so that the same
 * input comes to the same end on every machine. Calls within calls are bounded for the same reason: how deep the
 * machine's own stack goes depends on how well its compiler has done so far.
 *
 * Works on the binary format of WebAssembly 2.0 without vectors; what else a module holds is refused.
 */

/** Name of the counter among the exports: a mutable i32, `START_STEPS` first, to be set before each evaluation. */
export const STEPS_EXPORT = 'lemma_steps';

/** For the module's start function, and what is asked of it before its data are known. */
export const START_STEPS = 1_000_000;

/** Most of what OPA's compiler makes is shorter; code that somebody writes by hand can have millions without a loop. */
const STEP_BYTES = 512;

/** A mutable i32: turns of recursion under way. Over `MAX_CALLS` after a trap for that reason. */
export const CALLS_EXPORT = 'lemma_calls';

/** Levels of JSON, about, where inputs have some 64. V8 was seen to hold three times as many on its stack of 984 KB. */
export const MAX_CALLS = 1_000;

const HEADER = [0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00];
const SECTION = { type: 1, import: 2, function: 3, global: 6, export: 7, element: 9, code: 10 } as const;
const NEEDED = [SECTION.type, SECTION.function, SECTION.global, SECTION.export, SECTION.code];
const KIND_GLOBAL = 3;
const I32 = 0x7f;
const BLOCK = 0x02;
const NO_RESULT = 0x40;
const BR = 0x0c;
const END = 0x0b;
const I32_CONST = 0x41;

interface Section {
  readonly id: number;
  readonly bytes: Uint8Array;
}

/** What is put into the code. */
interface Counters {
  step(stretch: Stretch): Uint8Array;
  readonly enter: Uint8Array;
  readonly leave: Uint8Array;
}

interface Func {
  readonly body: Uint8Array;
  /** Behind the locals. */
  readonly start: number;
  readonly outline: Outline;
  /** Type of a block with its results. Undefined where those are several. */
  readonly type: number | undefined;
  /** Its calls are counted. */
  readonly recurs: boolean;
}

/** `cut` bytes at `at` become `put`. */
interface Edit {
  readonly at: number;
  readonly cut: number;
  readonly put: Uint8Array;
}

/**
 * The module with the counters in it. `counting: false` adds counters that nothing counts: for comparisons.
 *
 * @throws InputError for what is no module or not of this kind
 */
export function meter(wasm: Uint8Array, { counting = true } = {}): Uint8Array {
  // What is valid names no global past its own last one, so that the policy cannot reach the counters.
  if (!WebAssembly.validate(wasm)) throw refused('is not a valid WebAssembly module; build the bundle anew');
  const sections = readSections(wasm);
  for (const id of NEEDED) {
    if (!sections.some((section) => section.id === id))
      throw refused(`has no section ${id}; build the bundle anew`);
  }
  const imports = importsOf(sections);
  const first = countOf(imports, 'global') + countIn(sections, SECTION.global);
  return writeModule(
    sections.map(({ id, bytes }) => {
      if (id === SECTION.global) return { id, bytes: withGlobals(bytes) };
      if (id === SECTION.export) return { id, bytes: withExports(bytes, first) };
      if (id !== SECTION.code || !counting) return { id, bytes };
      const functions = functionsIn(bytes, sections, countOf(imports, 'function'));
      return { id, bytes: meteredCode(functions, countersAt(first)) };
    }),
  );
}

function withGlobals(section: Uint8Array): Uint8Array {
  const global = (value: number) => [I32, 1, 0x41, ...leb(value, true), END];
  return appended(section, [global(START_STEPS), global(0)]);
}

function withExports(section: Uint8Array, first: number): Uint8Array {
  return appended(
    section,
    [STEPS_EXPORT, CALLS_EXPORT].map((name, i) => [...nameOf(name), KIND_GLOBAL, ...leb(first + i)]),
  );
}

function countersAt(first: number): Counters {
  const [steps, calls] = [leb(first), leb(first + 1)];
  // counter -= cost; if (counter < 0) unreachable
  const below = [0x23, ...steps, 0x41, 0, 0x48, 0x04, 0x40, 0x00, END];
  const step = (cost: number) => Uint8Array.from([...added(steps, 0x6b, cost), ...below]);
  const one = step(1);
  // calls += 1; if (calls > MAX_CALLS) unreachable
  const over = [0x23, ...calls, 0x41, ...leb(MAX_CALLS, true), 0x4a, 0x04, 0x40, 0x00, END];
  return {
    step: ({ length }) => (length < STEP_BYTES ? one : step(1 + Math.floor(length / STEP_BYTES))),
    enter: Uint8Array.from([...added(calls, 0x6a), ...over]),
    leave: Uint8Array.from(added(calls, 0x6b)),
  };
}

/** A global with so much more or less, by the opcode of the addition or subtraction. */
function added(global: readonly number[], opcode: number, amount = 1): number[] {
  return [0x23, ...global, 0x41, ...leb(amount, true), opcode, 0x24, ...global];
}

function functionsIn(code: Uint8Array, sections: readonly Section[], imported: number): Func[] {
  const reader = new ByteReader(code);
  const types = blockTypes(sections);
  const read = Array.from({ length: reader.u32() }, (_, index) => {
    const body = reader.take(reader.u32());
    const start = behindLocals(body);
    return { body, start, outline: outlineOf(body, start), type: types[index] };
  });
  const outlines = read.map(({ outline }) => outline);
  const heads = recursionHeads({ outlines, imported, inTables: functionsInTables(sections) });
  return read.map((func, index) => ({ ...func, recurs: heads.has(index) }));
}

function meteredCode(functions: readonly Func[], counters: Counters): Uint8Array {
  const writer = new ByteWriter();
  writer.bytes(leb(functions.length));
  for (const func of functions) write(writer, func.body, editsOf(func, counters));
  return writer.done();
}

/** In order of their place. */
function editsOf({ body, start, outline, type, recurs }: Func, { step, enter, leave }: Counters): Edit[] {
  const counted = (stretch: Stretch): Edit => ({ at: stretch.at, cut: 0, put: step(stretch) });
  const entry = counted(outline.entry);
  const turns = outline.loops.map(counted);
  if (!recurs) return [entry, ...turns];
  if (type === undefined) throw refused('has a function with several results; build it with `opa build`');
  // The whole body becomes a block, so that every way out of the function leads past the end of it.
  const jumps = outline.returns.map(
    ({ at, label }): Edit => ({ at, cut: 1, put: Uint8Array.of(BR, ...leb(label)) }),
  );
  return [
    entry,
    { at: start, cut: 0, put: enter },
    { at: start, cut: 0, put: Uint8Array.of(BLOCK, type) },
    ...[...turns, ...jumps].sort((a, b) => a.at - b.at),
    { at: body.length, cut: 0, put: leave },
    { at: body.length, cut: 0, put: Uint8Array.of(END) },
  ];
}

function write(writer: ByteWriter, body: Uint8Array, edits: readonly Edit[]): void {
  let length = body.length;
  for (const { cut, put } of edits) length += put.length - cut;
  writer.bytes(leb(length));
  let from = 0;
  for (const { at, cut, put } of edits) {
    if (from < at) writer.bytes(body.subarray(from, at));
    writer.bytes(put);
    from = at + cut;
  }
  writer.bytes(body.subarray(from));
}

function behindLocals(body: Uint8Array): number {
  const reader = new ByteReader(body);
  const groups = reader.u32();
  for (let i = 0; i < groups; i++) {
    reader.u32();
    reader.byte();
  }
  return reader.at;
}

function blockTypes(sections: readonly Section[]): (number | undefined)[] {
  const types = vectorIn(sections, SECTION.type, (reader) => {
    reader.byte();
    reader.take(reader.u32());
    const results = reader.take(reader.u32());
    return results.length < 2 ? (results[0] ?? NO_RESULT) : undefined;
  });
  return vectorIn(sections, SECTION.function, (reader) => types[reader.u32()]);
}

/** Elements of the kind that OPA's compiler makes: at a constant place of the first table. */
function functionsInTables(sections: readonly Section[]): number[] {
  return vectorIn(sections, SECTION.element, (reader) => {
    if (reader.u32() !== 0 || reader.byte() !== I32_CONST) throw unusualTables();
    reader.u32();
    if (reader.byte() !== END) throw unusualTables();
    return Array.from({ length: reader.u32() }, () => reader.u32());
  }).flat();
}

function vectorIn<T>(sections: readonly Section[], id: number, item: (reader: ByteReader) => T): T[] {
  const section = sections.find((candidate) => candidate.id === id);
  if (section === undefined) return [];
  const reader = new ByteReader(section.bytes);
  return Array.from({ length: reader.u32() }, () => item(reader));
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

function importsOf(sections: readonly Section[]): { kind: string }[] {
  const alone = sections.filter(({ id }) => id === SECTION.type || id === SECTION.import);
  // Types and imports are a valid module by themselves.
  return WebAssembly.Module.imports(new WebAssembly.Module(writeModule(alone)));
}

function countOf(imports: readonly { kind: string }[], wanted: string): number {
  return imports.filter(({ kind }) => kind === wanted).length;
}

function countIn(sections: readonly Section[], id: number): number {
  const section = sections.find((candidate) => candidate.id === id);
  return section === undefined ? 0 : new ByteReader(section.bytes).u32();
}

/** A section that is a vector, with more items. */
function appended(section: Uint8Array, items: readonly (readonly number[])[]): Uint8Array {
  const reader = new ByteReader(section);
  const count = reader.u32() + items.length;
  return concat([Uint8Array.from(leb(count)), section.subarray(reader.at), Uint8Array.from(items.flat())]);
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

function unusualTables(): InputError {
  return refused('fills its tables in an unusual way; build it with `opa build`');
}

function refused(message: string): InputError {
  return new InputError([{ field: 'policy.wasm', message }]);
}
