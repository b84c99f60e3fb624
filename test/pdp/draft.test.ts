import assert from 'node:assert/strict';
import { decisionOf, enter, openDraft, recordOf, refuse } from '../../src/pdp/draft.ts';
import { Denial } from '../../src/reason.ts';
import type { AuthzRequest } from '../../src/schema/request.ts';
import { request } from '../support/kit.ts';
import { asked } from './support.ts';

const context = { node: 'n1', org: 'acme', env: 'prod', configRevision: 'c', routeRevision: 'r' };

describe('a draft', () => {
  const open = (change: Partial<AuthzRequest> = {}) => openDraft({ ...asked(request()), ...change }, 1);
  const kept = (change: Partial<AuthzRequest> = {}) => recordOf(open(change), context);
  const failed = (message: string, facts: Denial['facts'] = {}) => {
    const draft = open();
    refuse(draft, new Denial('scope_denied', message, facts));
    return recordOf(draft, context).failed;
  };

  it('is a denial until it is decided', () => {
    const { verdict, reason, reasons, stage, observed, failed } = kept();
    assert.deepEqual(
      { verdict, reason, reasons, stage, observed, failed },
      {
        verdict: 'deny',
        reason: 'internal_error',
        reasons: ['internal_error'],
        stage: 'request',
        observed: false,
        failed: null,
      },
    );
  });

  it('begins with no time taken', () => {
    assert.deepEqual(kept().took_us, { request: 0, proof: 0, gate: 0, policy: 0, log: 0 });
  });

  it('counts the time of each stage apart, in whole microseconds', () => {
    const draft = open();
    draft.mark -= 1_000;
    enter(draft, 'gate');
    const { request: first, ...others } = draft.took;
    assert.ok(Number.isInteger(first) && first >= 1_000_000 && first < 100_000_000, String(first));
    assert.deepEqual(others, { proof: 0, gate: 0, policy: 0, log: 0 });
    draft.mark -= 2_000;
    enter(draft, 'policy');
    assert.ok(draft.took.gate >= 2_000_000 && draft.took.request === first);
    enter(draft, 'answer');
    enter(draft, 'answer');
    assert.deepEqual(Object.keys(draft.took), ['request', 'proof', 'gate', 'policy', 'log']);
  });

  it('gives back what it reserved when it is refused, once', () => {
    const draft = open();
    const released: number[] = [];
    draft.reservation = { limit: 1, used: 1, lines: [], release: () => void released.push(1) };
    for (const _ of [1, 2]) refuse(draft, new Denial('scope_denied', ''));
    assert.deepEqual([released, draft.reservation], [[1], null]);
  });

  for (const [taints, obligations] of [
    [true, { taint: true }],
    [false, {}],
  ] as const) {
    it(`says that its answer ${taints ? 'taints' : 'does not taint'}, as the policy says`, () => {
      const draft = open();
      draft.result = { allow: true, reason: 'allowed', reasons: [], obligations };
      assert.equal(decisionOf(draft).taintOnResponse, taints);
    });
  }

  it('names the enforcement point that asked, where it is known', () => {
    assert.equal(kept({ enforcementPoint: 'spiffe://edge' }).enforcement_point, 'spiffe://edge');
    assert.equal('enforcement_point' in kept(), false);
  });

  describe('keeps of what a client sent', () => {
    const long = 'x'.repeat(1025);
    const cut = `${'x'.repeat(1024)}…`;

    it('1024 characters whole', () =>
      assert.equal(kept({ method: long.slice(1) }).request?.method, long.slice(1)));
    it('of more, the first 1024', () => {
      const { method, host, path } = kept({ method: long, host: long, target: long }).request ?? {};
      assert.deepEqual({ method, host, path }, { method: cut, host: cut, path: cut });
    });
    it('the path without its query', () => assert.equal(kept({ target: '/a?b?c' }).request?.path, '/a'));
    it('the host without what stands before it', () =>
      assert.equal(kept({ host: 'user:pass@a@api.example.com' }).request?.host, 'api.example.com'));
    it('no half of a character', () => {
      const half = `a\ud83d`;
      assert.equal(kept({ method: half }).request?.method, 'a\ufffd');
      const split = `${'x'.repeat(1023)}😀`;
      assert.equal(kept({ method: split }).request?.method, `${'x'.repeat(1023)}\ufffd…`);
    });
    it('as little in a message', () => assert.equal(failed(long)?.message, cut));
    it('as little in facts', () => {
      const facts = failed('', { text: long, list: ['a', long], link: 3, no: null })?.facts;
      assert.deepEqual(facts, { text: cut, list: ['a', cut], link: 3, no: null });
    });
    it('64 items of a list', () => {
      const list = Array.from({ length: 65 }, (_, i) => String(i));
      assert.deepEqual(failed('', { list })?.facts.list, list.slice(0, 64));
    });
  });
});
