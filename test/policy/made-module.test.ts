import assert from 'node:assert/strict';
import { compileEngine } from '../../src/policy/engine.ts';
import { PolicyRegistry } from '../../src/policy/registry.ts';
import { Denial } from '../../src/reason.ts';
import {
  ANSWER,
  BUILTINS,
  ENTRYPOINTS,
  IMPORTED,
  i32,
  madeBundle,
  OWN_GLOBAL,
  type Parts,
} from './made-module.ts';
import { ALLOWED, bytes, denial, memoryArchive } from './support.ts';

const GOOD = bytes({});
const BAD = bytes({ long: 'an input that the module is bad for' });

const RETURN = 0x0f;
const ENDLESS = [0x03, 0x40, 0x0c, 0, 0x0b];
/** Bytes of the memory: its pages, times 2^16. */
const SIZE = [0x3f, 0, ...i32(16), 0x74];
/** From `ANSWER` on nothing but spaces, eight times eight bytes a turn. */
const FILL = [
  ...[...i32(ANSWER), 0x21, 7],
  ...[0x03, 0x40],
  ...Array.from({ length: 8 }, (_, i) => [0x20, 7, 0x42, ...spaces(), 0x37, 0, i * 8]).flat(),
  ...[0x20, 7, ...i32(64), 0x6a, 0x22, 7, ...SIZE, 0x49, 0x0d, 0, 0x0b],
];

/** 0x2020202020202020 as a signed LEB128. */
function spaces(): number[] {
  const digits: number[] = [];
  for (let rest = 0x2020202020202020n; rest > 0n; rest >>= 7n) digits.push(Number(rest & 0x7fn) | 0x80);
  return [...digits.slice(0, -1), (digits.at(-1) ?? 0) & 0x7f];
}

/** Does it for a long input only, before the usual answer. */
function whenBad(...body: number[]): Parts {
  return { opa_eval: [0x20, 4, ...i32(20), 0x4b, 0x04, 0x40, ...body, 0x0b, ...i32(ANSWER)] };
}

function call(what: keyof typeof IMPORTED, ...args: number[]): number[] {
  return [...args, 0x10, IMPORTED[what]];
}

const RUNNING: readonly (readonly [name: string, parts: Parts, code: string, message: RegExp])[] = [
  ['an answer at -1', whenBad(...i32(-1), RETURN), 'policy_error', /does not end/],
  ['an answer at the least address', whenBad(...i32(-(2 ** 31)), RETURN), 'policy_error', /does not end/],
  ['an answer right behind its memory', whenBad(...SIZE, RETURN), 'policy_error', /does not end/],
  [
    'an answer that is the last byte of its memory',
    whenBad(...SIZE, ...i32(1), 0x6b, 0x22, 7, ...i32(0x31), 0x3a, 0, 0, 0x20, 7, RETURN),
    'policy_error',
    /does not end/,
  ],
  ['a memory without a NUL', whenBad(...FILL, ...i32(ANSWER), RETURN), 'policy_error', /does not end within/],
  [
    'an answer that is no JSON',
    { ...whenBad(...i32(9000), RETURN), data: [[9000, '[{"result":\0']] },
    'policy_error',
    /no JSON/,
  ],
  ['an empty answer', whenBad(...i32(9000), RETURN), 'policy_error', /no JSON/],
  [
    'an answer of many brackets',
    { ...whenBad(...i32(9000), RETURN), data: [[9000, `${'['.repeat(50_000)}\0`]] },
    'policy_error',
    /no JSON/,
  ],
  [
    'an answer nested deep',
    {
      ...whenBad(...i32(9000), RETURN),
      data: [[9000, `[{"result":${'['.repeat(20_000)}${']'.repeat(20_000)}}]\0`]],
    },
    'policy_error',
    /decision/,
  ],
  ['a trap', whenBad(0x00), 'policy_error', /unreachable/],
  ['a write outside of its memory', whenBad(...i32(-8), ...i32(1), 0x36, 0, 0), 'policy_error', /bounds/],
  ['an endless loop', whenBad(...ENDLESS), 'policy_timeout', /steps/],
  [
    'a loop that prints',
    whenBad(0x03, 0x40, ...call('println', ...i32(ANSWER)), 0x0c, 0, 0x0b),
    'policy_timeout',
    /steps/,
  ],
  [
    'giving up in words without an end',
    whenBad(...call('abort', ...i32(-1))),
    'policy_error',
    /without a word/,
  ],
  [
    'a built-in that it did not name',
    whenBad(...call('builtin', 0x41, 0, 0x41, 0), 0x1a),
    'policy_error',
    /built-in/,
  ],
];

const LOADING: readonly (readonly [name: string, parts: Parts, message: RegExp])[] = [
  ['built-ins outside of its memory', { builtins: i32(-1) }, /builtins that does not end/],
  ['built-ins that are no object', { data: [[BUILTINS, 'null\0']] }, /builtins is no object/],
  ['built-ins that are no JSON', { data: [[BUILTINS, '{"a\0']] }, /builtins that is no JSON/],
  ['built-ins without an end', { data: [[BUILTINS, 'x'.repeat(100_000)]] }, /builtins that does not end/],
  ['a built-in', { data: [[BUILTINS, '{"http.send":1}\0']] }, /calls http\.send/],
  ['entrypoints outside of its memory', { entrypoints: i32(2 ** 31 - 1) }, /entrypoints that does not end/],
  [
    'an entrypoint that is no number',
    { data: [[ENTRYPOINTS, '{"lemma/low/decision":"0"}\0']] },
    /lacks the entrypoint/,
  ],
  ['no opa_eval', { without: 'opa_eval' }, /does not export opa_eval/],
  ['an endless start', { start: ENDLESS }, /cannot be loaded/],
  ['a start that traps', { start: [0x00] }, /cannot be loaded/],
  ['an endless allocator', { opa_malloc: [...ENDLESS, ...i32(0)] }, /steps/],
  ['an allocator that gives what is not there', { opa_malloc: i32(-1) }, /cannot be loaded/],
  ['a heap outside of its memory', { opa_heap_ptr_get: i32(-1) }, /heap begins outside/],
];

describe('a module that no compiler made', () => {
  it('is a policy where it keeps the ABI', async () => {
    const engine = await compileEngine(madeBundle({}));
    assert.deepEqual(engine.evaluate(GOOD).result, ALLOWED);
  });

  for (const [name, parts, code, message] of RUNNING) {
    it(`${name}: ${code}, the same again, and the next is right`, async () => {
      const engine = await compileEngine(madeBundle(parts));
      const texts = new Set<string>();
      for (let i = 0; i < 3; i++) {
        assert.throws(
          () => engine.evaluate(BAD),
          (cause: unknown) => {
            texts.add(cause instanceof Denial ? cause.message : '');
            return denial(code, message)(cause);
          },
        );
        assert.deepEqual(engine.evaluate(GOOD).result, ALLOWED);
      }
      assert.equal(texts.size, 1);
    });
  }

  it('leaves nothing behind in its globals where it fails', async () => {
    const marked = [0x23, OWN_GLOBAL, 0x04, 0x40, 0x00, 0x0b];
    const { opa_eval = [] } = whenBad(...i32(1), 0x24, OWN_GLOBAL, 0x00);
    const engine = await compileEngine(madeBundle({ opa_eval: [...marked, ...opa_eval] }));
    for (let i = 0; i < 3; i++) {
      assert.throws(() => engine.evaluate(BAD), denial('policy_error'));
      assert.deepEqual(engine.evaluate(GOOD).result, ALLOWED);
    }
  });

  for (const [name, parts, message] of LOADING) {
    it(`${name}: bundle_rejected`, async () => {
      const bundle = madeBundle(parts);
      const registry = new PolicyRegistry(memoryArchive());
      await assert.rejects(
        registry.activate([bundle], { kind: 'pinned', digests: new Set([bundle.sha256]) }),
        denial('bundle_rejected', message),
      );
    });
  }
});
