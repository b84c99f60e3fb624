import assert from 'node:assert/strict';
import fc from 'fast-check';
import {
  base,
  type Forged,
  forge,
  fromLittleEndian,
  L,
  P,
  scalar,
  toLittleEndian,
  torsion,
} from './curve.ts';
import { eachEngine, engines } from './engines.ts';

const seeds = fc.uint8Array({ minLength: 32, maxLength: 32 });
const messages = fc.uint8Array({ maxLength: 200 });
const small = fc.integer({ min: 0, max: 7 });

const valid: fc.Arbitrary<Forged> = fc.tuple(seeds, messages, fc.nat()).map(([seed, message, pick]) => {
  const engine = engines[pick % engines.length] ?? assert.fail();
  return { message, publicKey: engine.publicKeyOf(seed), signature: engine.sign(message, seed) };
});

const forged: fc.Arbitrary<Forged> = fc
  .record({
    label: fc.string(),
    noA: fc.boolean(),
    noR: fc.boolean(),
    // An odd tweak of A reaches every k, so that both equations can be met.
    tweakA: fc.constantFrom(1, 3, 5, 7),
    tweakR: small,
    equation: fc.constantFrom('exact' as const, 'cofactored' as const),
  })
  .map(({ label, noA, noR, ...rest }) =>
    forge({ ...rest, a: noA ? 0n : scalar(`a ${label}`), r: noR ? 0n : scalar(`r ${label}`) }),
  );

/** One thing wrong with a signature, a message or a key. */
const mutations = fc.oneof(
  fc.tuple(fc.constantFrom('signature', 'publicKey', 'message'), fc.nat(), small).map(
    ([part, at, bit]) =>
      (from: Forged): Forged => ({ ...from, [part]: flipped(from[part as keyof Forged], at, bit) }),
  ),
  fc.constantFrom(1n, 2n, 7n, 14n).map(
    (times) =>
      (from: Forged): Forged =>
        withS(from, (s) => s + times * L),
  ),
  fc.constant((from: Forged): Forged => withS(from, () => 0n)),
  small.map(
    (n) =>
      (from: Forged): Forged => ({ ...from, publicKey: torsion(n).toBytes() }),
  ),
  small.map(
    (n) =>
      (from: Forged): Forged =>
        withR(from, torsion(n).toBytes()),
  ),
  fc.bigInt({ min: 0n, max: 18n }).map(
    (y) =>
      (from: Forged): Forged => ({ ...from, publicKey: toLittleEndian(P + y) }),
  ),
  fc.bigInt({ min: 0n, max: 18n }).map(
    (y) =>
      (from: Forged): Forged =>
        withR(from, toLittleEndian(P + y)),
  ),
  fc.nat(100).map(
    (n) =>
      (from: Forged): Forged => ({ ...from, signature: resized(from.signature, n) }),
  ),
  fc.nat(40).map(
    (n) =>
      (from: Forged): Forged => ({ ...from, publicKey: resized(from.publicKey, n) }),
  ),
  fc.constant((from: Forged): Forged => from),
);

const keys = fc.oneof(
  fc.uint8Array({ minLength: 32, maxLength: 32 }),
  fc.uint8Array({ maxLength: 40 }),
  fc.tuple(fc.string(), small).map(([label, n]) => base(scalar(label)).add(torsion(n)).toBytes()),
  fc.tuple(small, fc.nat(), small).map(([n, at, bit]) => flipped(torsion(n).toBytes(), at, bit)),
  fc.bigInt({ min: 0n, max: 400n }).map((y) => toLittleEndian(P - 200n + y)),
  fc.bigInt({ min: 0n, max: 400n }).map((y) => toLittleEndian(2n ** 255n + y)),
);

describe('the Ed25519 engines agree', () => {
  it('on signatures that hold', () => {
    fc.assert(
      fc.property(valid, (made) => allSay(made, true)),
      { numRuns: 40 },
    );
  });

  it('on forgeries of mixed and small order', () => {
    fc.assert(
      fc.property(forged, (made) => assert.equal(verdicts(made).size, 1)),
      { numRuns: 60 },
    );
  });

  it('on signatures with one thing wrong', () => {
    fc.assert(
      fc.property(fc.oneof(valid, forged), mutations, (made, mutate) =>
        assert.equal(verdicts(mutate(made)).size, 1),
      ),
      { numRuns: 200 },
    );
  });

  it('on which keys are weak, and why', () => {
    fc.assert(
      fc.property(keys, (key) => {
        const problems = eachEngine((engine) => engine.keyProblem(key));
        assert.equal(new Set(Object.values(problems)).size, 1, JSON.stringify(problems));
      }),
      { numRuns: 500 },
    );
  });

  it('on keys and signatures, byte for byte', () => {
    fc.assert(
      fc.property(seeds, messages, (seed, message) => {
        const made = engines.map((e) => [...e.publicKeyOf(seed), ...e.sign(message, seed)].join());
        assert.equal(new Set(made).size, 1);
      }),
      { numRuns: 40 },
    );
  });

  it('on views into a larger buffer', () => {
    const view = (bytes: Uint8Array) =>
      Buffer.concat([Buffer.alloc(5, 0xaa), bytes, Buffer.alloc(5)]).subarray(5, -5);
    const seed = view(new Uint8Array(32).fill(7));
    const message = view(new Uint8Array(100).fill(1));
    for (const engine of engines) {
      const signature = view(engine.sign(message, seed));
      const publicKey = view(engine.publicKeyOf(seed));
      assert.equal(engine.keyProblem(publicKey), null, engine.name);
      allSay({ message, publicKey, signature }, true);
    }
  });

  it('on telling apart two keys that differ in a top bit, the right one seen first', () => {
    const seed = new Uint8Array(32).fill(9);
    for (const engine of engines) {
      const made = { message: seed, publicKey: engine.publicKeyOf(seed), signature: engine.sign(seed, seed) };
      allSay(made, true);
      for (let at = 0; at < 32; at++) allSay({ ...made, publicKey: flipped(made.publicKey, at, 7) }, false);
    }
  });

  it('on refusing a seed of another length', () => {
    for (const engine of engines) {
      assert.throws(
        () => engine.sign(new Uint8Array(), new Uint8Array(31)),
        /^RangeError: seed: 31 bytes/,
        engine.name,
      );
      assert.throws(() => engine.publicKeyOf(new Uint8Array(64)), /^RangeError: seed: 64 bytes/, engine.name);
    }
  });
});

function verdicts(made: Forged): Set<boolean> {
  return new Set(engines.map((engine) => engine.verify(made.signature, made.message, made.publicKey)));
}

function allSay(made: Forged, verdict: boolean): void {
  assert.deepEqual(verdicts(made), new Set([verdict]));
}

function flipped(bytes: Uint8Array, at: number, bit: number): Uint8Array {
  return Uint8Array.from(bytes, (byte, i) => (i === at % bytes.length ? byte ^ (1 << bit) : byte));
}

function withS(from: Forged, change: (s: bigint) => bigint): Forged {
  const s = change(fromLittleEndian(from.signature.subarray(32)));
  return { ...from, signature: Buffer.concat([from.signature.subarray(0, 32), toLittleEndian(s)]) };
}

function withR(from: Forged, r: Uint8Array): Forged {
  return { ...from, signature: Buffer.concat([r, from.signature.subarray(32)]) };
}

function resized(bytes: Uint8Array, length: number): Uint8Array {
  return Uint8Array.from({ length }, (_, i) => bytes[i] ?? 0);
}
