import assert from 'node:assert/strict';
import fc from 'fast-check';
import { toBase64url } from '../../src/crypto/base64url.ts';
import { verifyChain } from '../../src/proof/chain.ts';
import { decodeCredential } from '../../src/proof/decode.ts';
import {
  credentialOf,
  encodeCredential,
  issueDelegation,
  issueRoot,
  issueRun,
  issueRuntime,
  linksOf,
} from '../../src/proof/issue.ts';
import { scopeCovers } from '../../src/proof/scope.ts';
import { createTrust } from '../../src/proof/trust.ts';
import type { Lemma } from '../../src/schema/lemma.ts';
import { keyNamed, keys, NOW, ORIGIN, SUBJECT } from '../support/kit.ts';

const trust = createTrust([{ org: 'acme', env: 'prod', keys: [{ x: toBase64url(keys.issuer.public) }] }]);
const terms = { audience: [ORIGIN], issued_at: NOW };
const runtimeClaims = {
  runtime_id: 'bot-1',
  agent_id: 'bot',
  workspace_id: 'prod',
  profile: 'high',
  taint_epoch: 3,
} as const;

function issued(scope = ['documents.*'], narrower = ['documents.read']) {
  const root = issueRoot(
    keys.issuer.seed,
    SUBJECT,
    { org: 'acme', env: 'prod' },
    { ...terms, key: keys.operator.public, expires_at: NOW + 86_400 },
  );
  const delegation = issueDelegation(
    root,
    keys.operator.seed,
    { intent: 'tests' },
    { ...terms, key: keys.delegate.public, scope, expires_at: NOW + 7_200 },
  );
  const runtime = issueRuntime(delegation, keys.delegate.seed, runtimeClaims, {
    ...terms,
    key: keys.runtime.public,
    scope: narrower,
    expires_at: NOW + 3_600,
  });
  return { root, delegation, runtime };
}

const verify = (links: readonly Lemma[]) =>
  verifyChain(decodeCredential(encodeCredential(credentialOf(links))), trust);

describe('issuing', () => {
  it('makes a chain that verifies', () => {
    const { root, delegation, runtime } = issued();
    assert.equal(verify([root, delegation, runtime]).runtime.claims.taint_epoch, 3);
  });

  it('narrows offline: the runtime adds a run with no call to anybody', () => {
    const { root, delegation, runtime } = issued();
    const run = issueRun(
      runtime,
      keys.runtime.seed,
      { run_id: 'job-1', budget: { operations: 5 } },
      { ...terms, key: keys.run.public, scope: ['documents.read'], expires_at: NOW + 60 },
    );
    const links = linksOf(credentialOf([root, delegation, runtime, run]));
    assert.equal(verify(links).run?.claims.budget.operations, 5);
  });

  it('signs nothing that a verifier would refuse, and verifies all that it signs', () => {
    const segment = fc.constantFrom('a', 'b', '*');
    const scope = fc.array(segment, { minLength: 1, maxLength: 4 }).map((parts) => parts.join('.'));
    fc.assert(
      fc.property(scope, scope, (granted, wanted) => {
        let made: ReturnType<typeof issued> | null = null;
        try {
          made = issued([granted], [wanted]);
        } catch {
          // refused: also what a verifier would do, see scopeCovers
        }
        const legal = [granted, wanted].every((s) => /^[ab](\.[ab])*(\.\*)?$/.test(s));
        assert.equal(made !== null, legal && scopeCovers(granted, wanted));
        if (made !== null) verify([made.root, made.delegation, made.runtime]);
      }),
    );
  });

  const refusals: [name: string, code: string, run: () => unknown][] = [
    ['a scope beyond the parent', 'scope_escalation', () => issued(['a.b'], ['a.c'])],
    [
      'a life beyond the parent',
      'expiry_escalation',
      () => {
        const { delegation } = issued();
        return issueRuntime(delegation, keys.delegate.seed, runtimeClaims, {
          ...terms,
          key: keys.runtime.public,
          scope: [],
          expires_at: NOW + 7_201,
        });
      },
    ],
    [
      'a signer that is not the parent',
      'chain_parent_mismatch',
      () => {
        const { delegation } = issued();
        return issueRuntime(delegation, keys.run.seed, runtimeClaims, {
          ...terms,
          key: keys.runtime.public,
          scope: [],
          expires_at: NOW + 60,
        });
      },
    ],
    [
      'a weak holder',
      'key_weak',
      () => {
        const { delegation } = issued();
        return issueRuntime(delegation, keys.delegate.seed, runtimeClaims, {
          ...terms,
          key: new Uint8Array(32),
          scope: [],
          expires_at: NOW + 60,
        });
      },
    ],
    [
      "the parent's own key again",
      'key_reused',
      () => {
        const { delegation } = issued();
        return issueRuntime(delegation, keys.delegate.seed, runtimeClaims, {
          ...terms,
          key: keys.delegate.public,
          scope: [],
          expires_at: NOW + 60,
        });
      },
    ],
    [
      'a root of more than 366 days',
      'ttl_too_long',
      () =>
        issueRoot(
          keys.issuer.seed,
          SUBJECT,
          { org: 'acme', env: 'prod' },
          { ...terms, key: keyNamed('x').public, expires_at: NOW + 367 * 86_400 },
        ),
    ],
    [
      'an audience that is no origin',
      'schema_invalid',
      () =>
        issueRoot(
          keys.issuer.seed,
          SUBJECT,
          { org: 'acme', env: 'prod' },
          { audience: ['api.example.com'], issued_at: NOW, key: keyNamed('x').public, expires_at: NOW + 60 },
        ),
    ],
  ];
  for (const [name, code, run] of refusals) it(`refuses ${name}`, () => assert.throws(run, { code }));
});

describe('a credential', () => {
  it('of no links is none', () => assert.throws(() => credentialOf([]), RangeError));
});

describe('a root of 366 days', () => {
  it('is the longest that is signed', () => {
    const root = issueRoot(
      keys.issuer.seed,
      SUBJECT,
      { org: 'acme', env: 'prod' },
      { ...terms, key: keys.operator.public, expires_at: NOW + 366 * 86_400 },
    );
    assert.equal(root.expires_at - root.not_before, 366 * 86_400);
  });
});

describe('scope cover', () => {
  const rows: [granted: string, wanted: string, covers: boolean][] = [
    ['a.b.*', 'a.b.c', true],
    ['a.b.*', 'a.b.c.d', true],
    ['a.b.*', 'a.b.c.*', true],
    ['a.b.*', 'a.b.*', true],
    ['a.b.*', 'a.b', false],
    ['a.b.*', 'a.bc', false],
    ['a.b', 'a.b.c', false],
    ['a.b', 'a.b', true],
    ['a.b.c', 'a.b.*', false],
  ];
  for (const [granted, wanted, covers] of rows) {
    it(`${granted} ${covers ? 'covers' : 'does not cover'} ${wanted}`, () =>
      assert.equal(scopeCovers(granted, wanted), covers));
  }
});
