import assert from 'node:assert/strict';
import fc from 'fast-check';
import { publicKeyOf } from '#runtime';
import { identityOf } from '../../src/authority/identity.ts';
import { Refusal } from '../../src/authority/refusal.ts';
import { fromBase64url, toBase64url } from '../../src/crypto/base64url.ts';
import { thumbprint } from '../../src/crypto/thumbprint.ts';
import { type VerifiedChain, verifyChain } from '../../src/proof/chain.ts';
import { decodeCredential } from '../../src/proof/decode.ts';
import { encodeCredential } from '../../src/proof/issue.ts';
import { scopeCovers } from '../../src/proof/scope.ts';
import { checkTimes } from '../../src/proof/time.ts';
import { Denial, InputError } from '../../src/reason.ts';
import type { IssueProofBody } from '../../src/schema/api.ts';
import { route } from '../support/route.ts';
import { newKey, openWorld, RUNTIME, type World } from './support.ts';

const refusedAs = (code: string) => (error: unknown) => error instanceof Refusal && error.code === code;
const wrongIn =
  (field: string, hint = '') =>
  (error: unknown) =>
    error instanceof InputError && error.problems[0]?.field === field && error.message.includes(hint);

describe('issuing a proof', () => {
  let world: World;
  beforeEach(async () => {
    world = await openWorld();
    await world.authority.bootstrap(RUNTIME);
  });
  afterEach(() => world.close());

  const ask = (over: Partial<IssueProofBody> = {}): IssueProofBody => ({
    runtime_id: RUNTIME.runtime_id,
    key: newKey(),
    scope: ['documents.read'],
    audience: ['https://api.example.com'],
    ...over,
  });
  const issue = (over: Partial<IssueProofBody> = {}) => world.authority.issueProof(ask(over));
  const verified = (over: Partial<IssueProofBody> = {}): VerifiedChain => {
    const chain = verifyChain(decodeCredential(encodeCredential(issue(over).credential)), world.trust);
    checkTimes(chain.links, Math.floor(world.now / 1000));
    return chain;
  };

  it('gives a chain that verifies and that the gate admits', () => {
    assert.equal(world.gate.admit(verified(), world.now).runtime_id, RUNTIME.runtime_id);
  });

  it('binds the key that was asked for', () => {
    const key = newKey();
    assert.equal(verified({ key }).leaf.key, key);
  });

  it('carries the current taint epoch', async () => {
    await world.authority.taint(RUNTIME.runtime_id, 'a page said so');
    await world.authority.taint(RUNTIME.runtime_id, 'another one');
    assert.equal(verified().runtime.claims.taint_epoch, 2);
  });

  it('is refused when the approved epoch is not the current one', async () => {
    await world.authority.taint(RUNTIME.runtime_id, 'a page said so');
    assert.throws(() => issue({ taint_epoch: 0 }), refusedAs('moved'));
  });

  it('is done at the approved epoch', () => {
    assert.equal(verified({ taint_epoch: 0 }).runtime.claims.taint_epoch, 0);
  });

  it('lasts an hour unless it is said', () => {
    const { leaf } = verified();
    assert.equal(leaf.expires_at - leaf.not_before, 3600);
  });

  it('lasts as long as asked', () => {
    const { leaf } = verified({ ttl_s: 86_400 });
    assert.equal(leaf.expires_at - leaf.not_before, 86_400);
  });

  it('keeps a root while it outlasts the proof', () => {
    const first = verified().root.id;
    world.now += 365 * 86_400_000;
    assert.equal(verified().root.id, first);
  });

  it('makes a new root when the old one would end too soon', () => {
    const first = verified().root.id;
    world.now += 366 * 86_400_000 - 1000;
    assert.notEqual(verified().root.id, first);
  });

  it('makes a new root when the clock went back', () => {
    verified();
    world.now -= 3_600_000;
    assert.equal(verified().leaf.issued_at, Math.floor(world.now / 1000));
  });

  it('has the stricter profile', async () => {
    await world.authority.bootstrap({ ...RUNTIME, runtime_id: 'strict', profile: 'high' });
    const profiles = (['low', 'critical'] as const).map(
      (profile) => verified({ runtime_id: 'strict', profile }).runtime.claims.profile,
    );
    assert.deepEqual(profiles, ['high', 'critical']);
  });

  it('carries intent, budget and bounds', () => {
    const budget = { operations: 5 };
    const bounds = { methods: ['GET'] };
    const { delegations, runtime } = verified({ intent: 'read the news', budget, bounds });
    const carried = [delegations[0]?.claims.intent, runtime.claims.budget, runtime.claims.bounds];
    assert.equal(JSON.stringify(carried), JSON.stringify(['read the news', budget, bounds]));
  });

  it('names an ambiguous bound', () => {
    assert.throws(() => issue({ bounds: { path_prefixes: ['/a//b'] } }), /path_prefixes/);
  });

  it('names a scope that no route asks for, and the nearest', () => {
    assert.throws(
      () => issue({ scope: ['documents.raed'] }),
      wrongIn('scope[0]', 'did you mean "documents.read"?'),
    );
  });

  it('names an audience that no route has, and the nearest', () => {
    const audience = ['https://api.example.com', 'https://apis.example.com'];
    assert.throws(
      () => issue({ audience }),
      wrongIn('audience[1]', 'did you mean "https://api.example.com"?'),
    );
  });

  it('takes no route of another organisation as a grant', () => {
    world.routes = [route(), route({ id: 'x', org: 'other', scope: ['other.read'] })];
    assert.throws(() => issue({ scope: ['other.read'] }), wrongIn('scope[0]'));
  });

  it('follows the running route map', () => {
    world.routes = [route({ scope: ['news.read'] })];
    assert.deepEqual(verified({ scope: ['news.*'] }).leaf.scope, ['news.*']);
  });

  it('grants only what covers a scope of a route', () => {
    const segment = fc.constantFrom('documents', 'read', 'a', '*');
    fc.assert(
      fc.property(fc.array(segment, { minLength: 1, maxLength: 3 }), (segments) => {
        const scope = segments.join('.');
        if (segments.slice(0, -1).includes('*') || scope === '*') return;
        let granted = true;
        try {
          issue({ scope: [scope] });
        } catch (error) {
          assert.ok(error instanceof InputError);
          granted = false;
        }
        assert.equal(granted, scopeCovers(scope, 'documents.read'));
      }),
      { numRuns: 60 },
    );
  });

  it('refuses a key of small order', () => {
    assert.throws(() => issue({ key: toBase64url(new Uint8Array(32)) }), refusedAs('key_weak'));
  });

  it('refuses a key that stands in the chain already', () => {
    const { operatorSeed, automationSeed } = identityOf(world.keys, 'localhost');
    for (const seed of [operatorSeed, automationSeed]) {
      assert.throws(
        () => issue({ key: toBase64url(publicKeyOf(seed)) }),
        (error) => error instanceof InputError || error instanceof Denial,
      );
    }
  });

  it('refuses a key that the runtime is not registered with', async () => {
    const key = newKey();
    const keys = [thumbprint(fromBase64url(key) ?? new Uint8Array())];
    await world.authority.bootstrap({ ...RUNTIME, runtime_id: 'pinned', keys });
    assert.throws(() => issue({ runtime_id: 'pinned' }), wrongIn('key'));
    assert.equal(verified({ runtime_id: 'pinned', key }).leaf.key, key);
  });

  it('refuses a revoked key', async () => {
    const key = newKey();
    await world.authority.revoke({ kind: 'key', value: key });
    assert.throws(() => issue({ key }), refusedAs('revoked'));
  });

  it('replaces a revoked root', async () => {
    await world.authority.revoke({ kind: 'lemma', value: verified().root.id });
    assert.equal(world.gate.stopped(verified()), null);
  });

  it('refuses a runtime that nobody knows', () => {
    assert.throws(() => issue({ runtime_id: 'nobody' }), refusedAs('not_found'));
  });

  it('refuses a killed runtime', async () => {
    await world.authority.kill(RUNTIME.runtime_id);
    assert.throws(() => issue(), refusedAs('runtime_killed'));
  });

  it("refuses a runtime of another's subject", async () => {
    const subject = `did:lemma:ppid_${'0'.repeat(64)}`;
    await world.authority.bootstrap({ ...RUNTIME, runtime_id: 'foreign', subject });
    assert.throws(() => issue({ runtime_id: 'foreign' }), refusedAs('conflict'));
  });

  it('links no two sites by any key', () => {
    const [here, there] = ['a.example.com', 'b.example.com'].map((host) => identityOf(world.keys, host));
    assert.notEqual(here?.subject, there?.subject);
    assert.notDeepEqual(here?.operatorSeed, there?.operatorSeed);
    assert.notDeepEqual(here?.automationSeed, there?.automationSeed);
  });
});
