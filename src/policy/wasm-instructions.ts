import { InputError } from '../reason.ts';
import type { ByteReader } from './wasm-bytes.ts';

/**
 * How long an instruction is (WebAssembly 2.0, section 5.4): only its immediates matter here. Vectors, atomics,
 * exceptions and tail calls are not among them; OPA's compiler makes none.
 */

type Immediates =
  | 'none'
  | 'leb'
  | 'two lebs'
  | 'address'
  | 'byte'
  | 'f32'
  | 'f64'
  | 'labels'
  | 'types'
  | 'more';

const RANGES: readonly (readonly [first: number, last: number, immediates: Immediates])[] = [
  [0x00, 0x01, 'none'], // unreachable, nop
  [0x02, 0x04, 'leb'], // block, loop, if: a block type is a signed LEB128
  [0x05, 0x05, 'none'], // else
  [0x0b, 0x0b, 'none'], // end
  [0x0c, 0x0d, 'leb'], // br, br_if
  [0x0e, 0x0e, 'labels'], // br_table
  [0x0f, 0x0f, 'none'], // return
  [0x10, 0x10, 'leb'], // call
  [0x11, 0x11, 'two lebs'], // call_indirect
  [0x1a, 0x1b, 'none'], // drop, select
  [0x1c, 0x1c, 'types'], // select t
  [0x20, 0x26, 'leb'], // local.*, global.*, table.get, table.set
  [0x28, 0x3e, 'address'], // loads and stores: alignment and offset
  [0x3f, 0x42, 'leb'], // memory.size, memory.grow, i32.const, i64.const
  [0x43, 0x43, 'f32'],
  [0x44, 0x44, 'f64'],
  [0x45, 0xc4, 'none'], // comparison, arithmetic, conversion
  [0xd0, 0xd0, 'byte'], // ref.null
  [0xd1, 0xd1, 'none'], // ref.is_null
  [0xd2, 0xd2, 'leb'], // ref.func
  [0xfc, 0xfc, 'more'],
];

/** LEB128 immediates of the instructions behind 0xfc: saturating truncation, bulk memory and tables. */
const MORE = [0, 0, 0, 0, 0, 0, 0, 0, 2, 1, 2, 1, 2, 1, 2, 1, 1, 1];

const BY_OPCODE: readonly (Immediates | undefined)[] = Array.from(
  { length: 256 },
  (_, opcode) => RANGES.find(([first, last]) => first <= opcode && opcode <= last)?.[2],
);

/** Moves past one instruction and gives its opcode. Throws InputError for one that is not known. */
export function skipInstruction(reader: ByteReader): number {
  const opcode = reader.byte();
  const immediates = BY_OPCODE[opcode];
  switch (immediates) {
    case 'none':
      break;
    case 'leb':
      reader.skipLeb();
      break;
    case 'two lebs':
      skipLebs(reader, 2);
      break;
    case 'address':
      // Bit 6 and up mean that the index of another memory follows.
      if (reader.u32() >= 64) throw unknown(opcode);
      reader.skipLeb();
      break;
    case 'byte':
      reader.byte();
      break;
    case 'f32':
      reader.take(4);
      break;
    case 'f64':
      reader.take(8);
      break;
    case 'labels':
      skipLebs(reader, reader.u32() + 1);
      break;
    case 'types':
      reader.take(reader.u32());
      break;
    case 'more':
      skipMore(reader);
      break;
    case undefined:
      throw unknown(opcode);
  }
  return opcode;
}

function skipMore(reader: ByteReader): void {
  const second = reader.u32();
  const count = MORE[second];
  if (count === undefined) throw unknown(0xfc00 + second);
  skipLebs(reader, count);
}

function skipLebs(reader: ByteReader, count: number): void {
  for (let i = 0; i < count; i++) reader.skipLeb();
}

function unknown(opcode: number): InputError {
  const message = `holds an instruction that is not known here (0x${opcode.toString(16)}); build it with OPA's compiler`;
  return new InputError([{ field: 'policy.wasm', message }]);
}
