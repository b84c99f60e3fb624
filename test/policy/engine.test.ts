import assert from 'node:assert/strict';
import fc from 'fast-check';
import { compileEngine, type Engine } from '../../src/policy/engine.ts';
import { ENGINE_LIMITS } from '../../src/policy/limits.ts';
import { ALLOWED, bytes, denial, fixture, inputError, say, withFile } from './support.ts';

const DENIED = { allow: false, reason: 'policy_denied', reasons: ['policy_denied'] };

describe('policy engine', () => {
  let engine: Engine;

  before(async () => {
    engine = await compileEngine(fixture('probe'));
  });

  it('gives the decision of the policy', () => {
    assert.deepEqual(say(engine, DENIED).result, DENIED);
  });

  it('names the bundle it was compiled from', () => {
    const { name, revision, sha256 } = fixture('probe');
    assert.deepEqual(engine.ref, { name, revision, sha256 });
  });

  it("gives the policy its bundle's data", () => {
    const { result } = engine.evaluate(bytes({ show: 'settings' }));
    assert.equal(result.message, '{"fixture":"probe"}');
  });

  it('reads a view into a larger buffer, and that alone', () => {
    const padded = bytes(`xxxx${JSON.stringify({ answer: ALLOWED })}yyyy`);
    assert.deepEqual(engine.evaluate(padded.subarray(4, padded.length - 4)).result, ALLOWED);
  });

  describe('answers that are none', () => {
    const wrong: [name: string, answer: unknown][] = [
      ['a boolean', true],
      ['null', null],
      ['a list', [ALLOWED]],
      ['allow as text', { ...ALLOWED, allow: 'true' }],
      ['no reason', { allow: true, reasons: [] }],
      ['no reasons', { allow: true, reason: 'allowed' }],
      ['an unknown member', { ...ALLOWED, allowed: true }],
      ['a status that is no denial', { ...DENIED, http_status: 200 }],
      ['an allow with a denial code', { ...ALLOWED, reason: 'policy_denied' }],
      ['an allow with reasons', { ...ALLOWED, reasons: ['policy_denied'] }],
      ['a denial with "allowed"', { allow: false, reason: 'allowed', reasons: ['allowed'] }],
      ['a denial code that is not known', { allow: false, reason: 'nonsense', reasons: ['nonsense'] }],
      ['a code of a hard stop', { allow: false, reason: 'runtime_killed', reasons: ['runtime_killed'] }],
      ['a name from the prototype', { allow: false, reason: 'constructor', reasons: ['constructor'] }],
      ['a bad code of its own', { allow: false, reason: 'x_', reasons: ['x_'] }],
      ['a bad code behind a good reason', { ...DENIED, reasons: ['policy_denied', 'nonsense'] }],
      ['reasons without the reason', { ...DENIED, reasons: ['pop_required'] }],
      ['no reasons for a denial', { ...DENIED, reasons: [] }],
    ];
    for (const [name, answer] of wrong) {
      it(`refuses ${name}`, () => {
        assert.throws(() => say(engine, answer), denial('policy_error'));
      });
    }

    it('refuses an undefined decision', () => {
      assert.throws(() => engine.evaluate(bytes({})), denial('policy_error', /undefined/));
    });

    it('takes a code of the author', () => {
      assert.equal(
        say(engine, { allow: false, reason: 'x_office', reasons: ['x_office'] }).result.reason,
        'x_office',
      );
    });
  });

  describe('headers', () => {
    const names = [
      'Host',
      'content-length',
      'Connection',
      'TE',
      'X-Lemma-Agent',
      'x_lemma_agent',
      ':path',
      'a b',
      '',
    ];
    for (const name of names) {
      it(`may not set "${name}"`, () => {
        assert.throws(
          () => say(engine, { ...ALLOWED, headers: { [name]: 'x' } }),
          denial('policy_error', /headers/),
        );
      });
    }
    for (const field of ['headers', 'response_headers_to_add'] as const) {
      for (const value of ['a\r\nb: c', 'a\nb', 'a\0b', 'a\x01b', 'a\x0bb', 'a\x1fb', 'a\x7fb']) {
        it(`may not hold ${JSON.stringify(value)} in ${field}`, () => {
          assert.throws(
            () => say(engine, { ...ALLOWED, [field]: { 'x-a': value } }),
            denial('policy_error', /CR, LF/),
          );
        });
      }
    }

    it('may not remove what it may not set', () => {
      const answer = { ...ALLOWED, request_headers_to_remove: ['x-ok', 'host'] };
      assert.throws(() => say(engine, answer), denial('policy_error', /remove "host"/));
    });

    it('may set others', () => {
      const answer = { ...ALLOWED, headers: { 'x-team': 'a' }, request_headers_to_remove: ['cookie'] };
      assert.deepEqual(say(engine, answer).result, answer);
    });
  });

  describe('inputs that are none', () => {
    for (const input of ['', 'null', 'false', '0', '""', '[]', '{', ' {}']) {
      it(`refuses ${JSON.stringify(input)}`, () => {
        assert.throws(() => engine.evaluate(bytes(input)), denial('policy_error', /no JSON object/));
      });
    }

    it('takes malformed JSON for an undefined input', () => {
      assert.throws(() => engine.evaluate(bytes('{"answer":}')), denial('policy_error', /undefined/));
    });
  });

  describe('failures', () => {
    it('turns a trap into policy_error, with the place in the Rego', () => {
      const failing = () => engine.evaluate(bytes({ wrong: 'clash' }));
      assert.throws(failing, denial('policy_error', /probe\.rego:\d+:\d+: .*conflict/));
    });

    it('stops what takes too many steps', async () => {
      const strict = await compileEngine(fixture('probe'), { limits: { ...ENGINE_LIMITS, steps: 100_000 } });
      assert.throws(() => strict.evaluate(bytes({ wrong: 'loop' })), denial('policy_timeout', /steps/));
    });

    it('stops a long loop within the default limits', () => {
      assert.throws(() => engine.evaluate(bytes({ wrong: 'loop' })), denial('policy_timeout'));
    });

    it('stops what takes too much memory', async () => {
      const small = await compileEngine(fixture('probe'), { limits: { ...ENGINE_LIMITS, maxPages: 64 } });
      assert.throws(() => small.evaluate(bytes({ wrong: 'memory' })), denial('policy_timeout', /memory/));
    });

    it('stops an input that does not fit into the memory', async () => {
      const small = await compileEngine(fixture('probe'), { limits: { ...ENGINE_LIMITS, maxPages: 8 } });
      const large = bytes({ answer: ALLOWED, padding: 'x'.repeat(1_000_000) });
      assert.throws(() => small.evaluate(large), denial('policy_timeout', /memory/));
    });

    for (const wrong of ['clash', 'loop', 'memory']) {
      it(`answers the next request after ${wrong}`, () => {
        assert.throws(() => engine.evaluate(bytes({ wrong })));
        assert.deepEqual(say(engine, ALLOWED).result, ALLOWED);
      });
    }
  });

  describe('one input, one text', () => {
    const answer = {
      ...DENIED,
      message: 'n',
      headers: { b: '2', a: '1' },
      dynamic_metadata: { z: 1, a: [{ y: 1, b: 2 }] },
    };

    it('on a used instance', () => {
      const first = say(engine, answer).resultJson;
      say(engine, ALLOWED);
      assert.equal(say(engine, answer).resultJson, first);
    });

    it('on a fresh engine', async () => {
      const fresh = await compileEngine(fixture('probe'));
      assert.equal(say(fresh, answer).resultJson, say(engine, answer).resultJson);
    });

    it('on the instance that follows one that grew too large', async () => {
      const limits = { ...ENGINE_LIMITS, steps: 4_000_000, keepPages: 8 };
      const letsGo = await compileEngine(fixture('probe'), { limits });
      assert.deepEqual(letsGo.evaluate(bytes({ wrong: 'large' })).result, ALLOWED);
      assert.equal(say(letsGo, answer).resultJson, say(engine, answer).resultJson);
    });

    it('whatever was evaluated before', () => {
      const expected = say(engine, answer).resultJson;
      fc.assert(
        fc.property(fc.object(), (other) => {
          try {
            engine.evaluate(bytes({ other, answer: other }));
          } catch {
            // Most of these are no decisions.
          }
          return say(engine, answer).resultJson === expected;
        }),
        { numRuns: 200 },
      );
    });
  });

  describe('modules that are refused', () => {
    it('calls of built-ins that WebAssembly does not run', async () => {
      await assert.rejects(compileEngine(fixture('host')), inputError(/sprintf/));
    });

    it('bytes that are no module', async () => {
      const bundle = withFile(fixture('probe'), 'policy.wasm', bytes('no module'));
      await assert.rejects(compileEngine(bundle), inputError(/not a valid WebAssembly module/));
    });

    it('a module cut short', async () => {
      const wasm = fixture('probe').files.get('policy.wasm') ?? new Uint8Array();
      const bundle = withFile(fixture('probe'), 'policy.wasm', wasm.slice(0, -100_000));
      await assert.rejects(compileEngine(bundle), inputError(/policy\.wasm/));
    });

    it("a module without the profile's entrypoint", async () => {
      const probe = fixture('probe');
      const bundle = { ...probe, entrypoint: 'lemma/high/decision' };
      await assert.rejects(compileEngine(bundle), inputError(/lacks the entrypoint lemma\/high\/decision/));
    });

    it('data that do not fit into the memory', async () => {
      const data = { lemma: { low: { settings: 'x'.repeat(2 << 20) } } };
      const bundle = withFile(fixture('probe'), 'data.json', bytes(data));
      await assert.rejects(
        compileEngine(bundle, { limits: { ...ENGINE_LIMITS, maxPages: 8 } }),
        inputError(/memory/),
      );
    });
  });
});
