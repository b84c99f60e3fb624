import assert from 'node:assert/strict';
import fc from 'fast-check';
import { toBase64url } from '../../src/crypto/base64url.ts';
import { createChainCache } from '../../src/proof/cache.ts';
import { createTrust } from '../../src/proof/trust.ts';
import { Denial, type InputError } from '../../src/reason.ts';
import { chain, credential, encode, header, keyNamed, keys } from '../support/kit.ts';

const jwk = (key: Uint8Array) => ({ x: toBase64url(key) });
const trust = createTrust([{ org: 'acme', env: 'prod', keys: [jwk(keys.issuer.public)] }]);

function codeOf(run: () => unknown): string {
  try {
    run();
    return 'passes';
  } catch (error) {
    if (error instanceof Denial) return error.code;
    throw error;
  }
}

describe('a verified chain', () => {
  it('says who acts', () => {
    const verified = createChainCache().verify(header(chain({ run: {} })), trust);
    assert.deepEqual(
      [
        verified.root.claims.org,
        verified.runtime.claims.runtime_id,
        verified.run?.claims.run_id,
        verified.leaf.type,
      ],
      ['acme', 'bot-1', 'job-1', 'run'],
    );
  });

  it('never survives a changed byte of its credential', () => {
    const json = new TextEncoder().encode(JSON.stringify(credential(chain())));
    fc.assert(
      fc.property(fc.nat(json.length - 1), fc.integer({ min: 1, max: 255 }), (at, change) => {
        const bytes = json.slice();
        bytes[at] = (bytes[at] ?? 0) ^ change;
        assert.notEqual(
          codeOf(() => createChainCache().verify(toBase64url(bytes), trust)),
          'passes',
        );
      }),
      { numRuns: 500 },
    );
  });

  it('is remembered by its exact characters', () => {
    const cache = createChainCache();
    const value = header(chain());
    assert.equal(cache.verify(value, trust), cache.verify(value, trust));
  });

  it('is verified anew under another trust set', () => {
    const cache = createChainCache();
    const value = header(chain());
    cache.verify(value, trust);
    const other = createTrust([{ org: 'acme', env: 'prod', keys: [jwk(keyNamed('new issuer').public)] }]);
    assert.equal(
      codeOf(() => cache.verify(value, other)),
      'root_untrusted',
    );
  });

  it('does not make room for what does not hold', () => {
    const cache = createChainCache();
    codeOf(() => cache.verify(encode('{}'), trust));
    assert.equal(cache.size, 0);
  });

  it('keeps no more than its limit, the longest unused going first', () => {
    const cache = createChainCache(2);
    const values = [0, 1, 2].map((n) => header(chain({ run: { claims: { run_id: `job-${n}` } } })));
    const [a = '', b = '', c = ''] = values;
    const first = cache.verify(a, trust);
    cache.verify(b, trust);
    cache.verify(a, trust);
    cache.verify(c, trust);
    assert.equal(cache.size, 2);
    assert.equal(cache.verify(a, trust), first);
  });

  it('keeps no more than its bytes, the longest unused going first', () => {
    const [a = '', b = '', c = ''] = [0, 1, 2].map((n) =>
      header(chain({ run: { claims: { run_id: `job-${n}` } } })),
    );
    // A chain takes five times its characters: there is room for two of them, not for three.
    const cache = createChainCache(10_000, 14 * a.length);
    const first = cache.verify(a, trust);
    cache.verify(b, trust);
    cache.verify(a, trust);
    cache.verify(c, trust);
    assert.equal(cache.size, 2);
    assert.equal(cache.verify(a, trust), first);
  });

  it('makes its room anew when the trust set changes', () => {
    const value = header(chain());
    const cache = createChainCache(10_000, 14 * value.length);
    const other = createTrust([
      { org: 'acme', env: 'prod', keys: [jwk(keys.issuer.public), jwk(keyNamed('new issuer').public)] },
    ]);
    for (const set of [trust, other, trust, other]) cache.verify(value, set);
    cache.verify(header(chain({ runtime: { claims: { runtime_id: 'bot-2' } } })), other);
    assert.equal(cache.size, 2);
  });
});

describe('a trust set', () => {
  const weak = toBase64url(Uint8Array.from([1, ...new Array<number>(31).fill(0)]));

  it('refuses a weak key, and names it', () => {
    assert.throws(
      () => createTrust([{ org: 'acme', env: 'prod', keys: [{ x: weak }] }]),
      /trust\[0\]\.keys\[0\]\.x/,
    );
  });

  it('refuses a kid that is not the thumbprint', () => {
    const entry = { ...jwk(keys.issuer.public), kid: keys.run.id };
    assert.throws(() => createTrust([{ org: 'acme', env: 'prod', keys: [entry] }]), /keys\[0\]\.kid/);
  });

  it('takes a kid that is the thumbprint, and a key without one', () => {
    const named = { ...jwk(keys.issuer.public), kid: keys.issuer.id };
    assert.deepEqual(
      [named, jwk(keys.issuer.public)].map((entry) =>
        createTrust([{ org: 'acme', env: 'prod', keys: [entry] }]).key(keys.issuer.id),
      ),
      [keys.issuer.public, keys.issuer.public],
    );
  });

  it('names every key that is wrong, and what for', () => {
    const wrong = [
      { org: 'acme', env: 'prod', keys: [jwk(keys.issuer.public), { x: 'AA=' }] },
      { org: 'acme', env: 'dev', keys: [{ x: weak }] },
    ];
    assert.throws(
      () => createTrust(wrong),
      (error: InputError) => {
        assert.deepEqual(
          error.problems.map(({ field }) => field),
          ['trust[0].keys[1].x', 'trust[1].keys[0].x'],
        );
        assert.match(error.message, /not canonical base64url/);
        return true;
      },
    );
  });

  it('trusts a key for the org and env that it is named for, and in no other', () => {
    const set = createTrust([
      { org: 'acme', env: 'prod', keys: [jwk(keys.issuer.public)] },
      { org: 'rival', env: 'dev', keys: [jwk(keys.run.public)] },
    ]);
    const trusted = [keys.issuer.id, keys.run.id].flatMap((id) =>
      ['acme', 'rival'].flatMap((org) =>
        ['prod', 'dev'].filter((env) => set.trusts(id, org, env)).map((env) => [id, org, env]),
      ),
    );
    assert.deepEqual(trusted, [
      [keys.issuer.id, 'acme', 'prod'],
      [keys.run.id, 'rival', 'dev'],
    ]);
    assert.equal(set.key(keys.operator.id), null);
  });

  it('has another version when it is another set, and the same in another order', () => {
    const entry = (org: string, key: Uint8Array) => ({ org, env: 'prod', keys: [jwk(key)] });
    const [a, b] = [entry('acme', keys.issuer.public), entry('acme', keys.run.public)];
    const versions = [[a, b], [b, a], [a], [b], [entry('rival', keys.issuer.public)], []].map(
      (entries) => createTrust(entries).version,
    );
    assert.equal(versions[0], versions[1]);
    assert.equal(new Set(versions).size, 5);
  });
});
