import { InputError } from '../reason.ts';

/**
 * How long an instruction is (WebAssembly 2.0, section 5.4): only its immediates matter here. Vectors, atomics,
 * exceptions and tail calls are not among them, as OPA's compiler makes none; nor are bulk operations on memory, whose
 * one step could be any amount of work, and changes of tables, after which nobody knows what an indirect call reaches.
 */

/** What follows the opcode: as many numbers in LEB128, or one of the others. */
const LEBS = [0, 1, 2] as const;
const ADDRESS = 3;
const F32 = 4;
const F64 = 5;
const LABELS = 6;
const TYPES = 7;
const SATURATING = 8;
const UNKNOWN = 255;

const RANGES: readonly (readonly [first: number, last: number, immediates: number])[] = [
  [0x00, 0x01, LEBS[0]], // unreachable, nop
  [0x02, 0x04, LEBS[1]], // block, loop, if: a block type is a signed LEB128
  [0x05, 0x05, LEBS[0]], // else
  [0x0b, 0x0b, LEBS[0]], // end
  [0x0c, 0x0d, LEBS[1]], // br, br_if
  [0x0e, 0x0e, LABELS], // br_table
  [0x0f, 0x0f, LEBS[0]], // return
  [0x10, 0x10, LEBS[1]], // call
  [0x11, 0x11, LEBS[2]], // call_indirect
  [0x1a, 0x1b, LEBS[0]], // drop, select
  [0x1c, 0x1c, TYPES], // select t
  [0x20, 0x24, LEBS[1]], // local.*, global.*
  [0x28, 0x3e, ADDRESS], // loads and stores: alignment and offset
  [0x3f, 0x42, LEBS[1]], // memory.size, memory.grow, i32.const, i64.const
  [0x43, 0x43, F32],
  [0x44, 0x44, F64],
  [0x45, 0xc4, LEBS[0]], // comparison, arithmetic, conversion
  [0xfc, 0xfc, SATURATING],
];

const BY_OPCODE = Uint8Array.from(
  { length: 256 },
  (_, opcode) => RANGES.find(([first, last]) => first <= opcode && opcode <= last)?.[2] ?? UNKNOWN,
);

const BLOCK = 0x02;
const LOOP = 0x03;
const IF = 0x04;
const END = 0x0b;
const RETURN = 0x0f;
const CALL = 0x10;
const CALL_INDIRECT = 0x11;
/** The last of the saturating truncations behind 0xfc. */
const LAST_SATURATING = 7;
/** From this on an alignment says that the index of another memory follows. */
const OTHER_MEMORY = 64;

/** Code that runs at most once from where it begins: what stands in a loop within it is that loop's. */
export interface Stretch {
  readonly at: number;
  /** Bytes. */
  readonly length: number;
}

/** Where a function's code can be changed. */
export interface Outline {
  /** The function without its loops. */
  readonly entry: Stretch;
  /** Each turn begins behind the `loop` and its block type. */
  readonly loops: readonly Stretch[];
  /** Each `return`, and the label that ends the function from there. */
  readonly returns: readonly { readonly at: number; readonly label: number }[];
  /** Numbers of the functions that it calls by name; some more than once. */
  readonly calls: readonly number[];
  readonly callsIndirectly: boolean;
}

/**
 * The outline of valid code. One plain pass, since it runs over every policy when the service starts.
 *
 * @param from behind the locals of the function
 * @throws InputError for an instruction that is not known
 */
export function outlineOf(code: Uint8Array, from: number): Outline {
  const entry = { at: from, length: 0 };
  const loops: { at: number; length: number }[] = [];
  /** The stretch of each block that is open, the innermost last. */
  const open = [entry];
  let stretch = entry;
  let counted = from;
  const returns: { at: number; label: number }[] = [];
  const calls: number[] = [];
  let callsIndirectly = false;
  let label = 0;
  let at = from;
  while (at < code.length) {
    const start = at;
    const opcode = code[at] ?? 0;
    at = behindImmediates(code, at + 1, opcode);
    if (opcode <= IF && opcode >= BLOCK) {
      label++;
      if (opcode === LOOP) {
        count(at);
        stretch = { at, length: 0 };
        loops.push(stretch);
      }
      open.push(stretch);
    } else if (opcode === END) {
      label--;
      open.pop();
      const outer = open.at(-1) ?? entry;
      if (outer === stretch) continue;
      count(at);
      stretch = outer;
    } else if (opcode === RETURN) returns.push({ at: start, label });
    else if (opcode === CALL) calls.push(u32At(code, start + 1));
    else if (opcode === CALL_INDIRECT) callsIndirectly = true;
  }
  count(at);
  return { entry, loops, returns, calls, callsIndirectly };

  function count(until: number): void {
    stretch.length += until - counted;
    counted = until;
  }
}

function behindImmediates(code: Uint8Array, at: number, opcode: number): number {
  switch (BY_OPCODE[opcode]) {
    case LEBS[0]:
      return at;
    case LEBS[1]:
      return behindLeb(code, at);
    case LEBS[2]:
      return behindLeb(code, behindLeb(code, at));
    case ADDRESS:
      if ((code[at] ?? 0) >= OTHER_MEMORY) throw unknown(opcode);
      return behindLeb(code, at + 1);
    case F32:
      return at + 4;
    case F64:
      return at + 8;
    case LABELS:
      return behindLabels(code, at);
    case TYPES:
      return behindLeb(code, at) + u32At(code, at);
    case SATURATING:
      if ((code[at] ?? 0) > LAST_SATURATING) throw unknown(0xfc00 + (code[at] ?? 0));
      return at + 1;
    default:
      throw unknown(opcode);
  }
}

function behindLabels(code: Uint8Array, start: number): number {
  let at = behindLeb(code, start);
  for (let left = u32At(code, start) + 1; left > 0; left--) at = behindLeb(code, at);
  return at;
}

function behindLeb(code: Uint8Array, start: number): number {
  let at = start;
  while ((code[at] ?? 0) >= 0x80) at++;
  return at + 1;
}

function u32At(code: Uint8Array, at: number): number {
  const byte = code[at] ?? 0;
  return byte < 0x80 ? byte : (byte & 0x7f) + 128 * u32At(code, at + 1);
}

function unknown(opcode: number): InputError {
  const message = `holds an instruction that is not known here (0x${opcode.toString(16)}); build it with OPA's compiler`;
  return new InputError([{ field: 'policy.wasm', message }]);
}
