import assert from 'node:assert/strict';
import { verify as cofactoredVerify } from '@noble/ed25519';
import { type Forgery, forge, L, P, scalar, toLittleEndian, torsion } from './curve.ts';
import { eachEngine, unanimous } from './engines.ts';

const a = scalar('key');
const r = scalar('nonce');
const plusP = (encoding: Uint8Array) =>
  toLittleEndian(BigInt(`0x${Buffer.from(encoding).reverse().toString('hex')}`) + P);
const signOfX = (encoding: Uint8Array) =>
  Uint8Array.from(encoding, (byte, i) => (i === 31 ? byte | 0x80 : byte));

interface Case extends Forgery {
  readonly name: string;
  readonly holds: boolean;
  /** What a lenient verifier (ZIP 215) says: shows that the case is well made. */
  readonly lenient: boolean;
}

/** In the manner of "Taming the many EdDSAs" (Chalkias, Garillot, Nikolaenko), built anew from point arithmetic. */
const CASES: readonly Case[] = [
  { name: 'plain', a, r, equation: 'exact', holds: true, lenient: true },
  {
    name: 'small A, small R, S = 0',
    a: 0n,
    r: 0n,
    tweakA: 1,
    tweakR: 7,
    equation: 'exact',
    holds: false,
    lenient: true,
  },
  {
    name: 'small A, mixed R',
    a: 0n,
    r,
    tweakA: 1,
    tweakR: 3,
    equation: 'exact',
    holds: false,
    lenient: true,
  },
  { name: 'small A, plain R', a: 0n, r, tweakA: 1, equation: 'exact', holds: false, lenient: true },
  { name: 'identity as A', a: 0n, r, equation: 'exact', holds: false, lenient: true },
  {
    name: 'mixed A, small R',
    a,
    r: 0n,
    tweakA: 1,
    tweakR: 5,
    equation: 'exact',
    holds: false,
    lenient: true,
  },
  { name: 'plain A, identity as R', a, r: 0n, equation: 'exact', holds: false, lenient: true },
  { name: 'mixed A, mixed R', a, r, tweakA: 1, tweakR: 3, equation: 'exact', holds: true, lenient: true },
  { name: 'mixed A, plain R', a, r, tweakA: 1, equation: 'exact', holds: true, lenient: true },
  {
    name: 'mixed A, mixed R, cofactored only',
    a,
    r,
    tweakA: 1,
    tweakR: 3,
    equation: 'cofactored',
    holds: false,
    lenient: true,
  },
  {
    name: 'mixed A, plain R, cofactored only',
    a,
    r,
    tweakA: 1,
    equation: 'cofactored',
    holds: false,
    lenient: true,
  },
  {
    name: 'plain A, mixed R, cofactored only',
    a,
    r,
    tweakR: 4,
    equation: 'cofactored',
    holds: false,
    lenient: true,
  },
  { name: 'S + L', a, r, equation: 'exact', addToS: L, holds: false, lenient: false },
  { name: 'S + 15 L', a, r, equation: 'exact', addToS: 14n * L, holds: false, lenient: false },
  { name: 'R = 1 spelled y + p', a, r: 0n, equation: 'exact', spellR: plusP, holds: false, lenient: true },
  {
    name: 'R = 1 with a sign bit',
    a,
    r: 0n,
    equation: 'exact',
    spellR: signOfX,
    holds: false,
    lenient: true,
  },
  { name: 'A = 1 spelled y + p', a: 0n, r, equation: 'exact', spellA: plusP, holds: false, lenient: true },
  {
    name: 'A = 1 with a sign bit',
    a: 0n,
    r,
    equation: 'exact',
    spellA: signOfX,
    holds: false,
    lenient: true,
  },
];

describe('the Ed25519 profile', () => {
  for (const wanted of CASES) {
    const made = forge(wanted);

    it(`${wanted.holds ? 'accepts' : 'refuses'}: ${wanted.name}`, () => {
      const verdicts = eachEngine((e) => e.verify(made.signature, made.message, made.publicKey));
      assert.deepEqual(verdicts, unanimous(wanted.holds));
    });

    it(`is tried by a case that a lenient verifier ${wanted.lenient ? 'accepts' : 'refuses'}: ${wanted.name}`, () => {
      const verdict = cofactoredVerify(made.signature, made.message, made.publicKey, { zip215: true });
      assert.equal(verdict, wanted.lenient);
    });
  }

  it('knows every point of small order', () => {
    for (let n = 0; n < 8; n++) {
      const key = torsion(n).toBytes();
      assert.deepEqual(
        eachEngine((e) => e.keyProblem(key)),
        unanimous('of small order'),
        `${n} times the torsion point`,
      );
    }
  });

  it('takes a point of mixed order for a key', () => {
    const { publicKey } = forge({ a, r, tweakA: 1, equation: 'exact' });
    assert.deepEqual(
      eachEngine((e) => e.keyProblem(publicKey)),
      unanimous(null),
    );
  });

  it('knows every y that is not below p', () => {
    for (let y = P; y < 2n ** 255n; y++) {
      for (const key of [toLittleEndian(y), signOfX(toLittleEndian(y))]) {
        const problem = 'not a canonical encoding: y is not below p';
        assert.deepEqual(
          eachEngine((e) => e.keyProblem(key)),
          unanimous(problem),
          `p + ${y - P}`,
        );
      }
    }
  });

  it('knows the sign bit of an x that is 0', () => {
    for (const y of [1n, P - 1n]) {
      const key = signOfX(toLittleEndian(y));
      const problem = 'not a canonical encoding: x is 0 and its sign bit is set';
      assert.deepEqual(
        eachEngine((e) => e.keyProblem(key)),
        unanimous(problem),
        `y = ${y}`,
      );
    }
  });

  it('knows a y that is on no point', () => {
    assert.deepEqual(
      eachEngine((e) => e.keyProblem(toLittleEndian(2n))),
      unanimous('not a point of the curve'),
    );
  });

  it('names a wrong length', () => {
    assert.deepEqual(
      eachEngine((e) => e.keyProblem(new Uint8Array(31))),
      unanimous('31 bytes, not 32'),
    );
  });
});
