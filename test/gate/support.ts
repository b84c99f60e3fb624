import { toBase64url } from '../../src/crypto/base64url.ts';
import type { Shared, SharedAnswer, SharedAsk } from '../../src/feed/shared.ts';
import { createGate, type GateOptions, type GateState } from '../../src/gate/gate.ts';
import type { LiveRuntime } from '../../src/gate/runtimes.ts';
import { createChainCache } from '../../src/proof/cache.ts';
import { createTrust } from '../../src/proof/trust.ts';
import { chain, header, keys, SUBJECT } from '../support/kit.ts';

const trust = createTrust([{ org: 'acme', env: 'prod', keys: [{ x: toBase64url(keys.issuer.public) }] }]);

/** A chain of its own: what the gate remembers of a chain is remembered of no other. */
export const verified = (parts: Parameters<typeof chain>[0] = {}) =>
  createChainCache().verify(header(chain(parts)), trust);

/** As the kit's chains bind it. */
export const runtime: LiveRuntime = {
  org: 'acme',
  env: 'prod',
  runtime_id: 'bot-1',
  agent_id: 'bot',
  workspace_id: 'prod',
  profile: 'low',
  subject: SUBJECT,
  keys: null,
  status: 'active',
  registered_at: 0,
  taint_epoch: 0,
};

export const state = (more: Partial<GateState> = {}): GateState => ({
  runtimes: [runtime],
  revocations: [],
  nonces: [],
  budgets: [],
  position: { epoch: 1, seq: 1 },
  memoryLostAt: null,
  latestRecord: 0,
  ...more,
});

export function loaded(more: Partial<GateState> = {}, options: GateOptions = {}) {
  const gate = createGate(options);
  gate.load(state(more));
  return gate;
}

/** What nodes share, as far as one request sees it: this answer, and what it was asked. What Redis makes of it: test/feed. */
export function answering(answer: SharedAnswer) {
  const asked: SharedAsk[] = [];
  const shared: Shared = {
    take: async (ask) => {
      asked.push(ask);
      return answer;
    },
    count: async () => null,
    stats: () => ({
      up: true,
      asked: 0,
      unavailable: 0,
      leaked: 0,
      forgotten: 0,
      uncounted: 0,
      knownFrom: null,
    }),
    close: async () => undefined,
  };
  return { shared, asked };
}
