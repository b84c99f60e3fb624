import assert from 'node:assert/strict';
import fc from 'fast-check';
import type { Bundle } from '../../src/policy/bundle.ts';
import { loadEmbedded } from '../../src/policy/embedded.ts';
import { compileEngine, type Engine } from '../../src/policy/engine.ts';
import { ENGINE_LIMITS } from '../../src/policy/limits.ts';
import { Denial } from '../../src/reason.ts';
import { ALLOWED, allowedInput, bytes, denial, fixture, inputError, say, withFile } from './support.ts';

const LOOP = bytes({ wrong: 'loop' });
const ASKED = bytes({ answer: ALLOWED, padding: ['a', 1, { b: null }] });

/** The fixture, with other members of `metadata.lemma`. */
function asking(members: Record<string, unknown>): Bundle {
  const { manifest } = fixture('probe');
  const metadata = { lemma: { ...manifest.metadata.lemma, ...members } };
  return withFile(fixture('probe'), '.manifest', bytes({ ...manifest, metadata }));
}

function budget(steps: number): Promise<Engine> {
  return compileEngine(fixture('probe'), { limits: { ...ENGINE_LIMITS, steps, stepsPerByte: 0 } });
}

function codeOf(work: () => unknown): string {
  try {
    work();
    return 'none';
  } catch (cause) {
    assert.ok(cause instanceof Denial);
    return cause.code;
  }
}

describe('step budget', () => {
  let needed: number;

  before(async () => {
    needed = (await compileEngine(fixture('probe'))).evaluate(ASKED).steps;
  });

  describe('on its boundary', () => {
    it('lets pass what takes exactly its steps, on a fresh instance', async () => {
      assert.equal((await budget(needed)).evaluate(ASKED).steps, needed);
    });

    it('stops what takes one more, on a fresh instance', async () => {
      const engine = await budget(needed - 1);
      assert.throws(() => engine.evaluate(ASKED), denial('policy_timeout', /steps/));
    });

    it('lets pass what takes exactly its steps, on a used instance', async () => {
      const engine = await budget(needed);
      for (let i = 0; i < 3; i++) say(engine, ALLOWED);
      assert.equal(engine.evaluate(ASKED).steps, needed);
    });

    it('stops what takes one more, on a used instance', async () => {
      const engine = await budget(needed - 1);
      for (let i = 0; i < 3; i++) say(engine, ALLOWED);
      assert.equal(
        codeOf(() => engine.evaluate(ASKED)),
        'policy_timeout',
      );
    });

    for (const wrong of ['loop', 'clash', 'memory']) {
      it(`is where it was after ${wrong}`, async () => {
        const [enough, less] = [await budget(needed), await budget(needed - 1)];
        for (const engine of [enough, less]) codeOf(() => engine.evaluate(bytes({ wrong })));
        assert.deepEqual(
          [codeOf(() => enough.evaluate(ASKED)), codeOf(() => less.evaluate(ASKED))],
          ['none', 'policy_timeout'],
        );
      });
    }
  });

  it('counts the same steps whatever was evaluated before', async () => {
    const engine = await compileEngine(fixture('probe'));
    const before = fc.oneof(
      fc.object().map((answer) => ({ answer })),
      fc.constantFrom('loop', 'clash', 'memory', 'large').map((wrong) => ({ wrong })),
    );
    fc.assert(
      fc.property(before, (other) => {
        codeOf(() => engine.evaluate(bytes(other)));
        assert.equal(engine.evaluate(ASKED).steps, needed);
      }),
      { numRuns: 200 },
    );
  });

  it('counts the same steps for regular expressions, compiled anew or not', async () => {
    const engine = await compileEngine(fixture('hostile'));
    const nested = bytes({ attack: 'regex_nested', size: 50 });
    const fresh = engine.evaluate(nested).steps;
    engine.evaluate(bytes({ attack: 'regex_rest', size: 60 }));
    assert.equal(engine.evaluate(nested).steps, fresh);
  });

  it('ends with the same code when it is evaluated again', async () => {
    const engine = await compileEngine(fixture('probe'));
    const codes = Array.from({ length: 5 }, () => codeOf(() => engine.evaluate(LOOP)));
    assert.deepEqual(new Set(codes), new Set(['policy_timeout']));
  });

  it('is a hundred times what the default profiles need, or more', async () => {
    for (const bundle of await loadEmbedded()) {
      const { steps } = (await compileEngine(bundle)).evaluate(bytes(allowedInput(bundle.name)));
      assert.ok(steps * 100 <= ENGINE_LIMITS.steps, `${bundle.name} takes ${steps}`);
    }
  });

  describe('of the manifest', () => {
    it('may be larger than the default', async () => {
      const large = bytes({ wrong: 'large' });
      const scarce = { ...ENGINE_LIMITS, steps: 1_000 };
      const engine = await compileEngine(asking({ steps: 50_000_000 }));
      const limited = await compileEngine(fixture('probe'), { limits: scarce });
      assert.equal(
        codeOf(() => limited.evaluate(large)),
        'policy_timeout',
      );
      assert.deepEqual(engine.evaluate(large).result, ALLOWED);
    });

    it('may be smaller', async () => {
      const engine = await compileEngine(asking({ steps: 1 }));
      assert.throws(() => engine.evaluate(bytes({ wrong: 'large' })), denial('policy_timeout', /steps/));
    });

    for (const [name, value] of [
      ['steps', 0],
      ['steps', 1.5],
      ['steps', 2 ** 31],
      ['memory_pages', 7],
      ['memory_pages', 20_000],
    ] as const) {
      it(`refuses ${name}: ${value}`, () => {
        assert.throws(() => asking({ [name]: value }), inputError(new RegExp(`metadata\\.lemma\\.${name}`)));
      });
    }
  });

  it('has an allowance for each byte of the input', async () => {
    const engine = await compileEngine(fixture('probe'));
    const dense = bytes({ answer: ALLOWED, list: new Array(200_000).fill(1) });
    assert.deepEqual(engine.evaluate(dense).result, ALLOWED);
  });
});

describe('bounds on memory and input', () => {
  it('take the memory of the manifest', async () => {
    const some = bytes({ answer: ALLOWED, list: new Array(20_000).fill(1) });
    const small = await compileEngine(asking({ memory_pages: 8 }));
    const enough = await compileEngine(asking({ memory_pages: 64 }));
    assert.throws(() => small.evaluate(some), denial('policy_timeout', /memory/));
    assert.deepEqual(enough.evaluate(some).result, ALLOWED);
  });

  it('end at the same input, whatever was evaluated before', async () => {
    const engine = await compileEngine(asking({ memory_pages: 64 }));
    const sized = (length: number) => bytes({ answer: ALLOWED, list: new Array(length).fill(1) });
    const sizes = Array.from({ length: 60 }, (_, i) => 1_000 * (i + 1));
    const rising = sizes.map((size) => codeOf(() => engine.evaluate(sized(size))));
    const falling = sizes.toReversed().map((size) => codeOf(() => engine.evaluate(sized(size))));
    assert.ok(rising.includes('none') && rising.includes('policy_timeout'));
    assert.deepEqual(falling.toReversed(), rising);
  });

  it('are the same for each of many evaluations that grow the memory', async () => {
    const engine = await compileEngine(fixture('probe'), {
      limits: { ...ENGINE_LIMITS, steps: 4_000_000, keepPages: 8, maxPages: 256 },
    });
    const codes = Array.from({ length: 30 }, () => codeOf(() => engine.evaluate(bytes({ wrong: 'large' }))));
    assert.deepEqual(new Set(codes), new Set(['none']));
  });

  it('refuse an input over the limit, with its size', async () => {
    const engine = await compileEngine(fixture('probe'));
    const large = bytes({ padding: 'x'.repeat(ENGINE_LIMITS.inputBytes) });
    assert.throws(
      () => engine.evaluate(large),
      (cause: unknown) => {
        assert.ok(cause instanceof Denial);
        assert.equal(cause.code, 'policy_timeout');
        const { inputBytes: limit } = ENGINE_LIMITS;
        assert.deepEqual(cause.facts, { problem: 'input', bytes: large.length, limit });
        return true;
      },
    );
  });

  it('take an input of exactly the limit', async () => {
    const engine = await compileEngine(fixture('probe'));
    const empty = bytes({ answer: ALLOWED, padding: '' });
    const padding = 'x'.repeat(ENGINE_LIMITS.inputBytes - empty.length);
    assert.deepEqual(engine.evaluate(bytes({ answer: ALLOWED, padding })).result, ALLOWED);
  });

  it('refuse an answer over the limit', async () => {
    const engine = await compileEngine(fixture('probe'), { limits: { ...ENGINE_LIMITS, answerBytes: 100 } });
    const answer = { ...ALLOWED, message: 'x'.repeat(100) };
    assert.throws(() => say(engine, answer), denial('policy_error', /more than 100 bytes/));
  });
});
