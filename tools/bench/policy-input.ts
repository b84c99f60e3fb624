import type { Profile } from '../../src/schema/common.ts';
import type { PolicyInput } from '../../src/schema/input.ts';

/** The input document of a usual request: a chain of four links, a PoP and the digest of a body; some 2.3 KB. */
export function usualInput(profile: Profile): PolicyInput {
  const scope = ['documents.write'];
  const audience = ['https://api.example.com'];
  const links = (['root', 'delegation', 'runtime', 'run'] as const).map((type, index) => ({
    type,
    id: `lem_${String(index).padStart(22, 'A')}`,
    issuer: String(index).padStart(43, 'k'),
    scope,
    audience,
    issued_at: 1_789_999_990,
    not_before: 1_789_999_990,
    expires_at: 1_790_000_600,
  }));
  return {
    v: 1,
    now: 1_790_000_000_123,
    profile,
    request: {
      method: 'POST',
      scheme: 'https',
      host: 'api.example.com',
      path: '/v1/documents/7/comments',
      segments: ['v1', 'documents', '7', 'comments'],
      query: { notify: ['true'] },
      headers: { 'user-agent': 'bot/1.4', 'content-type': 'application/json' },
      params: { id: '7' },
      protocol: 'HTTP/1.1',
      source: { address: '10.0.0.7', principal: 'spiffe://acme/prod/bot' },
      body: {
        state: 'complete',
        digest: 'sha-256=:X48E9qOokqqrvdts8nOJRJN3OWDUoyWxBf7kbu9DBPE=:',
      },
    },
    route: {
      id: 'documents.comment',
      api: 'documents',
      action: 'documents.write',
      scope: ['documents.write'],
      audience: 'https://api.example.com',
      risk: profile,
      body: 'digest',
      public: false,
      taint_on_response: false,
      revision: 'routes-1a2b3c4d5e6f',
    },
    subject: { id: `did:lemma:ppid_${'0'.repeat(64)}`, org: 'acme', env: 'prod', via: 'proof' },
    runtime: {
      id: 'bot-1',
      agent_id: 'bot',
      workspace_id: 'prod',
      status: 'active',
      profile,
      registered_at: 1_780_000_000_000,
      taint_epoch: 3,
    },
    proof: {
      links,
      scope,
      audience,
      expires_at: 1_790_000_600,
      intent: 'comment on the draft',
      run_id: 'run-2026-11-23-001',
      taint_epoch: 3,
      weakest_link_age_ms: 10_123,
      pop: { present: true, age_ms: 5, body_covered: true },
    },
    freshness: { age_ms: 0, source: 'local', confirmed: true, epoch: 1, seq: 9 },
    budget: { limit: 100, used: 7 },
    legacy: { token: false, age_ms: 0 },
  };
}
