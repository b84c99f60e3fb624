import { publicKeyOf, randomBytes } from '#runtime';
import { toBase64url } from '../src/crypto/base64url.ts';
import { thumbprint } from '../src/crypto/thumbprint.ts';
import { issueDelegation, issueRoot, issueRuntime } from '../src/proof/issue.ts';
import { subjectOf } from '../src/proof/ppid.ts';

export const HOST = 'api.example.com';
export const AUDIENCE = `https://${HOST}`;
export const RUNTIME = 'bot-1';
const HOME = { org: 'acme', env: 'prod' } as const;

/** Times in seconds since 1970. */
export interface AgentTerms {
  readonly scope: readonly string[];
  readonly issued_at: number;
  readonly expires_at: number;
  /** What its operator delegates it for. */
  readonly intent: string;
}

/** An agent with fresh keys, the chain that leads to it, and what a lemma.yaml says so that the chain counts. */
export function makeAgentChain({ scope, intent, ...times }: AgentTerms) {
  const [issuer, operator, delegate, runtime] = [newKey(), newKey(), newKey(), newKey()];
  const subject = subjectOf(randomBytes(32), HOST);
  const terms = { ...times, audience: [AUDIENCE] };
  const binding = { runtime_id: RUNTIME, agent_id: 'bot', workspace_id: 'prod', profile: 'low' } as const;
  const root = issueRoot(issuer.seed, subject, HOME, { ...terms, key: operator.public });
  const given = { ...terms, scope, key: delegate.public };
  const delegation = issueDelegation(root, operator.seed, { intent }, given);
  const trusted = { kty: 'OKP', crv: 'Ed25519', x: toBase64url(issuer.public) };
  return {
    keys: { issuer, operator, delegate, runtime },
    root,
    delegation,
    /** Another runtime link each time. */
    bind: () =>
      issueRuntime(
        delegation,
        delegate.seed,
        { ...binding, taint_epoch: 0 },
        { ...terms, scope, key: runtime.public },
      ),
    config: { ...HOME, trust: [{ ...HOME, keys: [trusted] }], runtimes: [{ ...binding, subject }] },
  };
}

function newKey() {
  const seed = randomBytes(32);
  const key = publicKeyOf(seed);
  return { seed, public: key, id: thumbprint(key) };
}
