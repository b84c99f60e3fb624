import assert from 'node:assert/strict';
import { CALLS_EXPORT, MAX_CALLS, meter, START_STEPS, STEPS_EXPORT } from '../../src/policy/meter.ts';
import { inputError } from './support.ts';

/** The part of the API that only this test needs. */
interface Wasm {
  Module: new (bytes: Uint8Array) => object;
  Instance: new (module: object) => { exports: Record<string, unknown> };
}
const { Module, Instance } = (globalThis as unknown as { WebAssembly: Wasm }).WebAssembly;

const HEADER = [0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00];
const leb = (value: number): number[] =>
  value < 0x80 ? [value] : [(value & 0x7f) | 0x80, ...leb(value >> 7)];
const section = (id: number, ...items: number[]) => [id, ...leb(items.length), ...items];
const TYPE = section(1, 1, 0x60, 0, 0);
const FUNCTION = section(3, 1, 0);
const GLOBAL = section(6, 1, 0x7f, 1, 0x41, 7, 0x0b);
const EXPORT = section(7, 1, 1, 0x66, 0, 0);
const code = (...body: number[]) => section(10, 1, ...leb(body.length + 2), 0, ...body, 0x0b);

/** `for (i = global; i != 0; i--) {}`: seven turns. */
const COUNTED = code(0x03, 0x40, 0x23, 0, 0x41, 1, 0x6b, 0x24, 0, 0x23, 0, 0x0d, 0, 0x0b);
/** Three turns of `drop`s, 2,048 bytes and some of them. */
const LONG = code(
  ...[0x41, 3, 0x24, 0, 0x03, 0x40],
  ...new Array<number[]>(700).fill([0x41, 0, 0x1a]).flat(),
  ...[0x23, 0, 0x41, 1, 0x6b, 0x24, 0, 0x23, 0, 0x0d, 0, 0x0b],
);
const ENDLESS = code(0x03, 0x40, 0x0c, 0, 0x0b);
const EMPTY = code();
/** `if (global == 0) return; global -= 1; f()`, the return out of a block in a block. */
const RECURSIVE = code(
  ...[0x02, 0x40, 0x02, 0x40, 0x23, 0, 0x0d, 0, 0x0f, 0x0b, 0x0b],
  ...[0x23, 0, 0x41, 1, 0x6b, 0x24, 0, 0x10, 0],
);
const ENDLESS_CALLS = code(0x10, 0);

function metered(body: readonly number[], counting = true) {
  const wasm = Uint8Array.from([...HEADER, ...TYPE, ...FUNCTION, ...GLOBAL, ...EXPORT, ...body]);
  const { exports } = new Instance(new Module(meter(wasm, { counting })));
  const counter = (name: string) => exports[name] as { value: number };
  return { run: exports.f as () => void, steps: counter(STEPS_EXPORT), calls: counter(CALLS_EXPORT) };
}

describe('step counter', () => {
  it('counts one step for a function', () => {
    const { run, steps } = metered(EMPTY);
    steps.value = 100;
    run();
    assert.equal(steps.value, 99);
  });

  it('counts one step for each turn of a loop', () => {
    const { run, steps } = metered(COUNTED);
    steps.value = 100;
    run();
    assert.equal(steps.value, 100 - 1 - 7);
  });

  it('lets pass what takes exactly its steps', () => {
    const { run, steps } = metered(COUNTED);
    steps.value = 8;
    run();
    assert.equal(steps.value, 0);
  });

  it('traps one step later', () => {
    const { run, steps } = metered(COUNTED);
    steps.value = 7;
    assert.throws(run, /unreachable/);
  });

  it('stops an endless loop', () => {
    const { run, steps } = metered(ENDLESS);
    steps.value = 1_000_000;
    assert.throws(run, /unreachable/);
  });

  it('starts with as many steps as its start function may take', () => {
    assert.equal(metered(EMPTY).steps.value, START_STEPS);
  });

  it('counts one step for each turn of a recursion', () => {
    const { run, steps } = metered(RECURSIVE);
    steps.value = 100;
    run();
    assert.equal(steps.value, 100 - 8);
  });

  it('has no call under way after a recursion, however it returns', () => {
    const { run, calls } = metered(RECURSIVE);
    run();
    assert.equal(calls.value, 0);
  });

  it('stops an endless recursion at its bound', () => {
    const { run, steps } = metered(ENDLESS_CALLS);
    steps.value = 1_000_000;
    assert.throws(run, /unreachable/);
    assert.equal(1_000_000 - steps.value, MAX_CALLS + 1);
  });

  it('counts long code as more than one step', () => {
    const { run, steps } = metered(LONG);
    run();
    assert.equal(START_STEPS - steps.value, 1 + 3 * 5);
  });

  it('counts nothing when it is told so', () => {
    const { run, steps } = metered(COUNTED, false);
    run();
    assert.equal(steps.value, START_STEPS);
  });

  it('refuses bulk operations on memory', () => {
    const memory = section(5, 1, 0, 1);
    // memory.fill: 0, 0, 65536
    const fill = code(0x41, 0, 0x41, 0, 0x41, 0x80, 0x80, 0x04, 0xfc, 0x0b, 0);
    const wasm = Uint8Array.from([
      ...[...HEADER, ...TYPE, ...FUNCTION],
      ...[...memory, ...GLOBAL, ...EXPORT, ...fill],
    ]);
    assert.throws(() => meter(wasm), inputError(/0xfc0b/));
  });

  it('refuses a module that names the global after its last', () => {
    const reaching = Uint8Array.from([
      ...HEADER,
      ...TYPE,
      ...FUNCTION,
      ...GLOBAL,
      ...EXPORT,
      ...code(0x41, 1, 0x24, 1),
    ]);
    assert.throws(() => meter(reaching), inputError(/not a valid/));
  });

  it('refuses an instruction that it does not know', () => {
    // v128.const 0; drop
    const vector = code(0xfd, 0x0c, ...new Array<number>(16).fill(0), 0x1a);
    const wasm = Uint8Array.from([...HEADER, ...TYPE, ...FUNCTION, ...GLOBAL, ...EXPORT, ...vector]);
    assert.throws(() => meter(wasm), inputError(/0xfd/));
  });

  it('refuses a module without globals', () => {
    const wasm = Uint8Array.from([...HEADER, ...TYPE, ...FUNCTION, ...EXPORT, ...EMPTY]);
    assert.throws(() => meter(wasm), inputError(/section 6/));
  });
});
