import assert from 'node:assert/strict';
import { loadEmbedded } from '../../src/policy/embedded.ts';
import { compileEngine, type Engine } from '../../src/policy/engine.ts';
import { PROFILES, type Profile } from '../../src/schema/common.ts';
import { policyInputSchema } from '../../src/schema/input.ts';
import { checker } from '../../src/schema/validate.ts';
import { allowedInput, bytes, merged } from './support.ts';

type Change = { [key: string]: unknown };
type Expected = readonly string[];

const OK: Expected = [];
const POST = { request: { method: 'POST' } };
const BEARER = { subject: { via: 'credential' }, proof: { pop: { present: false, body_covered: false } } };
const NOBODY = { subject: { id: null, via: 'none' }, runtime: null, proof: null };
const TOKEN = {
  subject: { via: 'token' },
  proof: { taint_epoch: 0, pop: { present: false, body_covered: false } },
  legacy: { token: true },
  runtime: { taint_epoch: 0 },
};
const LEASE = (age_ms: number) => ({ freshness: { source: 'lease', confirmed: false, age_ms } });
const BOUND = (seconds: number) => {
  const [, , binding] = allowedInput('low').proof.links;
  return { proof: { links: [{ ...binding, issued_at: 1_790_000_000 - seconds }] } };
};
const BODY = (wanted: string, body: Change) => ({ route: { body: wanted }, request: { body } });

/** A change of an input that is allowed, and the reasons that low, high and critical then give. */
const CASES: readonly [name: string, change: Change, low: Expected, high: Expected, critical: Expected][] = [
  ['nothing', {}, OK, OK, OK],
  ['writing with a PoP', POST, OK, OK, OK],
  ['reading without a PoP', BEARER, OK, OK, ['pop_required']],
  ['writing without a PoP', merged(BEARER, POST), OK, ['pop_required'], ['pop_required']],
  [
    'writing with a body that the PoP does not cover',
    merged(POST, { proof: { pop: { body_covered: false } }, request: { body: { state: 'complete' } } }),
    OK,
    ['pop_required'],
    ['pop_required'],
  ],
  ['no run', { proof: { run_id: undefined } }, OK, OK, ['run_required']],
  ['reading with a stale taint epoch', { proof: { taint_epoch: 2 } }, OK, ['taint_stale'], ['taint_stale']],
  [
    'writing with a stale taint epoch',
    merged(POST, { proof: { taint_epoch: 2 } }),
    ['taint_stale'],
    ['taint_stale'],
    ['taint_stale'],
  ],
  [
    'writing without a taint epoch',
    merged(POST, { proof: { taint_epoch: undefined } }),
    ['taint_stale'],
    ['taint_stale'],
    ['taint_stale'],
  ],
  ['a taint epoch ahead', { proof: { taint_epoch: 4 } }, ['taint_ahead'], ['taint_ahead'], ['taint_ahead']],
  ['a lease of 5 s', LEASE(5_000), OK, OK, ['freshness_stale']],
  ['a lease of 5.001 s', LEASE(5_001), OK, ['freshness_stale'], ['freshness_stale']],
  ['a lease of 30 s', LEASE(30_000), OK, ['freshness_stale'], ['freshness_stale']],
  ['a lease of 30.001 s', LEASE(30_001), ['freshness_stale'], ['freshness_stale'], ['freshness_stale']],
  ['a confirmed lease', { freshness: { source: 'lease', confirmed: true, age_ms: 1 } }, OK, OK, OK],
  ['a binding of 14:59', BOUND(899), OK, OK, OK],
  ['a binding of 15 min', BOUND(900), OK, OK, ['ttl_too_long']],
  ['a binding of an hour', BOUND(3_600), OK, ['ttl_too_long'], ['ttl_too_long']],
  [
    'a digest of half a body',
    BODY('digest', { state: 'truncated' }),
    OK,
    ['body_truncated'],
    ['body_truncated'],
  ],
  ['JSON of an unseen body', BODY('json', { state: 'unseen' }), OK, ['body_truncated'], ['body_truncated']],
  ['half a body that nobody wants', BODY('none', { state: 'truncated' }), OK, OK, OK],
  [
    'a body that is no JSON',
    BODY('json', { state: 'complete' }),
    ['context_missing'],
    ['context_missing'],
    ['context_missing'],
  ],
  ['JSON that is false', BODY('json', { state: 'complete', json: false }), OK, OK, OK],
  ['the last of a budget', { budget: { limit: 3, used: 3 } }, OK, OK, OK],
  [
    'a spent budget',
    { budget: { limit: 3, used: 4 } },
    ['budget_exhausted'],
    ['budget_exhausted'],
    ['budget_exhausted'],
  ],
  ['a legacy token', TOKEN, ['legacy_disabled'], ['legacy_disabled'], ['legacy_disabled']],
  ['nobody', NOBODY, ['policy_denied'], ['policy_denied'], ['policy_denied']],
  [
    'an asserted subject',
    merged(NOBODY, { subject: { via: 'asserted' } }),
    ['policy_denied'],
    ['policy_denied'],
    ['policy_denied'],
  ],
  [
    'nobody on a public route',
    merged(NOBODY, { route: { public: true }, request: { method: 'POST' } }),
    OK,
    OK,
    OK,
  ],
  [
    'everything at once',
    merged(merged(BEARER, BOUND(3_600)), {
      request: { method: 'POST', body: { state: 'truncated' } },
      route: { body: 'digest' },
      proof: { taint_epoch: 0, run_id: '' },
      freshness: { source: 'lease', confirmed: false, age_ms: 60_000 },
      budget: { limit: 1, used: 2 },
    }),
    ['taint_stale', 'freshness_stale', 'budget_exhausted'],
    ['pop_required', 'taint_stale', 'ttl_too_long', 'body_truncated', 'freshness_stale', 'budget_exhausted'],
    [
      'pop_required',
      'run_required',
      'taint_stale',
      'ttl_too_long',
      'body_truncated',
      'freshness_stale',
      'budget_exhausted',
    ],
  ],
];

describe('default profiles in WebAssembly', () => {
  const engines = new Map<Profile, Engine>();

  before(async () => {
    for (const bundle of await loadEmbedded()) engines.set(bundle.name, await compileEngine(bundle));
  });

  function evaluate(profile: Profile, input: unknown) {
    const engine = engines.get(profile);
    assert.ok(engine);
    return engine.evaluate(bytes(input)).result;
  }

  for (const [name, change, low, high, critical] of CASES) {
    for (const [profile, reasons] of [
      ['low', low],
      ['high', high],
      ['critical', critical],
    ] as const) {
      it(`${profile}, ${name}: ${reasons.join(', ') || 'allowed'}`, () => {
        const result = evaluate(profile, merged(allowedInput(profile), change));
        const [reason = 'allowed'] = reasons;
        assert.deepEqual(result, { allow: reasons.length === 0, reason, reasons });
      });
    }
  }

  for (const profile of PROFILES) {
    it(`${profile} has an allowed input of the published schema`, () => {
      assert.deepEqual(checker(policyInputSchema)(allowedInput(profile)), {
        ok: true,
        value: allowedInput(profile),
      });
    });

    for (const input of ['{}', '{"v":1', '{"v":1}}', '{"v":2}', '{"proof":null,"v":1}']) {
      const text = input.endsWith('}') ? input : `${input}}x}`;
      it(`${profile} denies ${text}`, () => {
        const reasons = ['policy_denied'];
        assert.deepEqual(evaluate(profile, text), { allow: false, reason: 'policy_denied', reasons });
      });
    }

    const members = [
      'v',
      'now',
      'profile',
      'request',
      'route',
      'subject',
      'runtime',
      'proof',
      'freshness',
      'budget',
    ];
    for (const member of members) {
      it(`${profile} denies an input without ${member}`, () => {
        assert.equal(evaluate(profile, merged(allowedInput(profile), { [member]: undefined })).allow, false);
      });
    }

    it(`${profile} denies the input of another profile`, () => {
      for (const other of PROFILES.filter((candidate) => candidate !== profile)) {
        const { reasons } = evaluate(profile, merged(allowedInput(profile), { profile: other }));
        assert.deepEqual(reasons, ['policy_denied']);
      }
    });
  }
});
