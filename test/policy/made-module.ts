import { type Bundle, bundleOf } from '../../src/policy/bundle.ts';
import { WASM_FILE } from '../../src/schema/bundle.ts';
import { ALLOWED, fixture } from './support.ts';

/**
 * A policy that no compiler made, byte by byte: the least that keeps OPA's ABI 1.2, with parts of it replaced. It answers
 * what stands at `ANSWER`.
 */
export interface Parts {
  /** Bodies of functions, without their `end`. The locals of `opa_eval` are its seven parameters and two i32 more. */
  readonly builtins?: readonly number[];
  readonly entrypoints?: readonly number[];
  readonly opa_eval?: readonly number[];
  readonly opa_malloc?: readonly number[];
  readonly opa_heap_ptr_get?: readonly number[];
  readonly start?: readonly number[];
  /** Bytes of the memory, by address. */
  readonly data?: readonly (readonly [address: number, text: string])[];
  /** The module does not export it. */
  readonly without?: string;
}

export const ANSWER = 4096;
export const BUILTINS = 1024;
export const ENTRYPOINTS = 2048;
/** A mutable global of the module's own. */
export const OWN_GLOBAL = 3;
export const IMPORTED = { abort: 0, println: 1, builtin: 2 } as const;

const HEADER = [0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00];
const I32 = 0x7f;
const END = 0x0b;
const GOOD = JSON.stringify([{ result: ALLOWED }]);
const HEAP = 2;

const TYPES = { none: 0, get: 1, one: 2, two: 3, seven: 4, take: 5 } as const;
const FUNCTIONS = [
  ['builtins', TYPES.get, i32(BUILTINS)],
  ['entrypoints', TYPES.get, i32(ENTRYPOINTS)],
  ['opa_eval', TYPES.seven, i32(ANSWER)],
  ['opa_heap_ptr_get', TYPES.get, [0x23, HEAP]],
  ['opa_heap_ptr_set', TYPES.take, [0x20, 0, 0x24, HEAP]],
  ['opa_json_dump', TYPES.one, [0x20, 0]],
  ['opa_json_parse', TYPES.two, [0x20, 0]],
  // The heap as it was, then with so many bytes less room.
  ['opa_malloc', TYPES.one, [0x23, HEAP, 0x23, HEAP, 0x20, 0, 0x6a, 0x24, HEAP]],
  ['start', TYPES.none, []],
] as const;

/** The module in the place of a bundle's own. */
export function madeBundle(parts: Parts): Bundle {
  return bundleOf(new Map([...fixture('probe').files, [WASM_FILE, madeModule(parts)]]));
}

/** `i32.const` */
export function i32(value: number): number[] {
  return [0x41, ...signed(value)];
}

function madeModule(parts: Parts): Uint8Array {
  const imported = Object.keys(IMPORTED).length;
  const exported = FUNCTIONS.map(([name], i) => [...text(name), 0, imported + i]);
  const globals = ['opa_wasm_abi_version', 'opa_wasm_abi_minor_version'].map((name, i) => [
    ...text(name),
    3,
    i,
  ]);
  const data: Parts['data'] = [
    [BUILTINS, '{}\0'],
    [ENTRYPOINTS, '{"lemma/low/decision":0}\0'],
    [ANSWER, `${GOOD}\0`],
    ...(parts.data ?? []),
  ];
  return Uint8Array.from([
    ...HEADER,
    ...section(1, [
      [0x60, 0, 0],
      [0x60, 0, 1, I32],
      [0x60, 1, I32, 1, I32],
      [0x60, 2, I32, I32, 1, I32],
      [0x60, 7, ...new Array<number>(7).fill(I32), 1, I32],
      [0x60, 1, I32, 0],
    ]),
    ...section(2, [
      [...text('env'), ...text('opa_abort'), 0, TYPES.take],
      [...text('env'), ...text('opa_println'), 0, TYPES.take],
      [...text('env'), ...text('opa_builtin0'), 0, TYPES.two],
      [...text('env'), ...text('memory'), 2, 0, 1],
    ]),
    ...section(
      3,
      FUNCTIONS.map(([, type]) => [type]),
    ),
    ...section(6, [
      [I32, 0, ...i32(1), END],
      [I32, 0, ...i32(2), END],
      [I32, 1, ...i32(65_536), END],
      [I32, 1, ...i32(0), END],
    ]),
    ...section(
      7,
      [...exported, ...globals].filter((_, i) => FUNCTIONS[i]?.[0] !== (parts.without ?? '')),
    ),
    ...[8, 1, imported + FUNCTIONS.length - 1],
    ...section(
      10,
      FUNCTIONS.map(([name, , usual]) => {
        const body = [...(name === 'opa_eval' ? [1, 2, I32] : [0]), ...(bodyOf(parts, name) ?? usual), END];
        return [...unsigned(body.length), ...body];
      }),
    ),
    ...section(
      11,
      data.map(([address, content]) => [0, ...i32(address), END, ...text(content)]),
    ),
  ]);
}

function bodyOf(parts: Parts, name: string): readonly number[] | undefined {
  const part: unknown = Reflect.get(parts, name);
  return Array.isArray(part) ? (part as number[]) : undefined;
}

function section(id: number, items: readonly (readonly number[])[]): number[] {
  const bytes = [...unsigned(items.length), ...items.flat()];
  return [id, ...unsigned(bytes.length), ...bytes];
}

function text(value: string): number[] {
  const bytes = [...Buffer.from(value)];
  return [...unsigned(bytes.length), ...bytes];
}

function unsigned(value: number): number[] {
  return value < 0x80 ? [value] : [(value & 0x7f) | 0x80, ...unsigned(value >>> 7)];
}

function signed(value: number): number[] {
  return value >= -0x40 && value < 0x40 ? [value & 0x7f] : [(value & 0x7f) | 0x80, ...signed(value >> 7)];
}
