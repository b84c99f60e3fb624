import type { RecordBody } from '../../src/schema/decision.ts';

const NOW = 1_790_000_000_000;

export function recordBody(over: Partial<RecordBody> = {}): RecordBody {
  return {
    decision_id: 'd1',
    time: NOW,
    node: 'n1',
    org: 'acme',
    env: 'prod',
    profile: 'high',
    bundle: { name: 'high', revision: 'r1', sha256: 'h' },
    route: { id: 'documents.read', revision: 'r' },
    config_revision: 'c',
    verdict: 'allow',
    reason: 'allowed',
    reasons: [],
    stage: 'answer',
    observed: false,
    amends: false,
    border: 'grpc',
    actor: {
      subject: 'did:lemma:ppid_a',
      runtime_id: 'bot-1',
      agent_id: 'bot',
      workspace_id: 'prod',
      run_id: null,
      scope: [],
    },
    request: { method: 'GET', host: 'api.example.com', path: '/v1' },
    failed: null,
    links: null,
    nonce: null,
    input: null,
    result: null,
    took_us: { request: 1, proof: 2, gate: 3, policy: 4, log: 5 },
    trace_id: null,
    ...over,
  };
}
