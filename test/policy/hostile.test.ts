import assert from 'node:assert/strict';
import { compileEngine, type Engine } from '../../src/policy/engine.ts';
import { ENGINE_LIMITS } from '../../src/policy/limits.ts';
import { Denial } from '../../src/reason.ts';
import { ATTACKS, type Attack } from './hostile-attacks.ts';
import { ALLOWED, bytes, fixture, say } from './support.ts';

const MEMORY = /^memory$/;
/** More steps than the memory has room for. */
const RICH = { ...ENGINE_LIMITS, steps: 200_000_000, maxPages: 256 };

const GREEDY: readonly Attack[] = [
  ['comprehension', 1_000, 'policy_timeout', MEMORY],
  ['data', 500, 'policy_timeout', MEMORY],
  ['range', 1_000_000, 'policy_timeout', MEMORY],
];

/** What would be exponential elsewhere, and what RE2 refuses. */
const HARMLESS = [
  ['regex_nested', 20_000],
  ['regex_repeated', 1_000],
] as const;

function denialOf(engine: Engine, attack: string, size: number): Denial {
  try {
    engine.evaluate(bytes({ attack, size }));
  } catch (cause) {
    assert.ok(cause instanceof Denial, String(cause));
    return cause;
  }
  assert.fail(`${attack} came to an end`);
}

describe('hostile policies', () => {
  let engine: Engine;
  let rich: Engine;
  let other: Engine;

  before(async () => {
    engine = await compileEngine(fixture('hostile'));
    rich = await compileEngine(fixture('hostile'), { limits: RICH });
    other = await compileEngine(fixture('probe'));
  });

  function endsAs(target: Engine, [attack, size, code, problem]: Attack): void {
    const denial = denialOf(target, attack, size);
    assert.equal(denial.code, code);
    assert.match(String(denial.facts.problem ?? denial.message), problem);
  }

  for (const attack of ATTACKS) {
    const [name, , code] = attack;
    it(`${name}: ${code}, again and again`, () => {
      for (let i = 0; i < 3; i++) endsAs(engine, attack);
    });
  }

  for (const attack of GREEDY) {
    it(`${attack[0]}, with steps to spare: out of memory`, () => {
      endsAs(rich, attack);
    });
  }

  for (const [attack, size] of HARMLESS) {
    it(`${attack}: comes to its end`, () => {
      assert.deepEqual(engine.evaluate(bytes({ attack, size })).result, ALLOWED);
    });
  }

  it('a deep input: policy_error', () => {
    const deep = `${'['.repeat(200_000)}${']'.repeat(200_000)}`;
    assert.throws(
      () => engine.evaluate(bytes(`{"attack":"equal","left":${deep},"right":1}`)),
      (cause: unknown) => cause instanceof Denial && cause.code === 'policy_error',
    );
  });

  it('leave the next evaluation of the same policy right', () => {
    for (const [attack, size] of ATTACKS) {
      denialOf(engine, attack, size);
      assert.deepEqual(engine.evaluate(bytes({})).result, ALLOWED);
    }
  });

  it('leave other policies as they are', () => {
    const expected = say(other, ALLOWED);
    for (const [attack, size] of ATTACKS) {
      denialOf(engine, attack, size);
      assert.deepEqual(say(other, ALLOWED), expected);
    }
  });

  it('leave memory bounded, a thousand of them', async function () {
    this.timeout(120_000);
    const thrifty = await compileEngine(fixture('hostile'), {
      limits: { ...ENGINE_LIMITS, steps: 200_000, stepsPerByte: 0 },
    });
    const grown: number[] = [];
    for (let i = 0; i < 1_000; i++) {
      const [attack, size] = ATTACKS[i % ATTACKS.length] ?? ['range', 1];
      denialOf(thrifty, attack, size);
      if (i === 99 || i === 999) grown.push(process.memoryUsage().rss);
    }
    const [early = 0, late = 0] = grown;
    // Instances that stayed would hold a third of a MiB each at the least; the collector may be late with some.
    assert.ok(late - early < 256 << 20, `from ${early >> 20} to ${late >> 20} MiB`);
  });

  it('leave memory bounded when each takes all there is', async function () {
    this.timeout(120_000);
    const greedy = await compileEngine(fixture('hostile'), { limits: RICH });
    const grown: number[] = [];
    for (let i = 0; i < 60; i++) {
      denialOf(greedy, 'range', 1_000_000);
      if (i === 19 || i === 59) grown.push(process.memoryUsage().rss);
    }
    const [early = 0, late = 0] = grown;
    // Those that stayed would hold 16 MiB each, 640 in all.
    assert.ok(late - early < 384 << 20, `from ${early >> 20} to ${late >> 20} MiB`);
  });
});
