import { Denial } from '../reason.ts';
import type { Profile } from '../schema/common.ts';
import type { PolicyInput } from '../schema/input.ts';
import type { Instance } from './instance.ts';

const LINK = {
  id: '',
  issuer: '',
  scope: ['a'],
  audience: ['a'],
  issued_at: 1,
  not_before: 1,
  expires_at: 9,
};

/**
 * One evaluation whose answer nobody sees: V8 compiles a function when it is first called, which takes an evaluation
 * from microseconds to some 15 ms. What a thread compiles serves the others too.
 */
export function warmUp(instance: Instance, profile: Profile): void {
  try {
    instance.evaluate(new TextEncoder().encode(JSON.stringify(inputOf(profile))));
  } catch (cause) {
    // A policy that fails on this input is found when it is asked.
    if (!(cause instanceof Denial)) throw cause;
  }
}

/** Something of every kind that the contract has. */
function inputOf(profile: Profile): PolicyInput {
  return {
    v: 1,
    now: 5_000,
    profile,
    request: {
      method: 'POST',
      scheme: 'https',
      host: 'a',
      path: '/a/b',
      segments: ['a', 'b'],
      query: { a: ['b'] },
      headers: { a: 'b' },
      params: { a: 'b' },
      protocol: 'HTTP/1.1',
      source: { address: '', principal: '' },
      body: { state: 'complete', digest: 'a', json: { a: [1.5, null, true] } },
    },
    route: {
      id: 'a',
      api: 'a',
      action: 'a',
      scope: ['a'],
      audience: 'a',
      risk: profile,
      body: 'json',
      public: false,
      taint_on_response: false,
      revision: 'a',
    },
    subject: { id: 'a', org: 'a', env: 'a', via: 'proof' },
    runtime: {
      id: 'a',
      agent_id: 'a',
      workspace_id: 'a',
      status: 'active',
      profile,
      registered_at: 1,
      taint_epoch: 1,
    },
    proof: {
      links: [
        { type: 'root', ...LINK },
        { type: 'delegation', ...LINK },
        { type: 'runtime', ...LINK },
      ],
      scope: ['a'],
      audience: ['a'],
      expires_at: 9,
      intent: '',
      taint_epoch: 0,
      weakest_link_age_ms: 4_000,
      pop: { present: false, age_ms: 0, body_covered: false },
    },
    freshness: { age_ms: 60_000, source: 'lease', confirmed: false, epoch: 1, seq: 1 },
    budget: { limit: 1, used: 2 },
    legacy: { token: false, age_ms: 0 },
  };
}
