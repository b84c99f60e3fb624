import assert from 'node:assert/strict';
import { toBase64url } from '../../src/crypto/base64url.ts';
import { verifyChain } from '../../src/proof/chain.ts';
import { checkLemma, decodeCredential } from '../../src/proof/decode.ts';
import { createTrust } from '../../src/proof/trust.ts';
import type { Lemma } from '../../src/schema/lemma.ts';
import { chain, credential, encode, header, keyNamed, keys, ORIGIN } from '../support/kit.ts';

const trust = createTrust([{ org: 'acme', env: 'prod', keys: [{ x: toBase64url(keys.issuer.public) }] }]);
const links = () => chain({ run: {} }) as [Lemma, Lemma, Lemma, Lemma];

/** The credential with these members in its `index`th link. */
function changed(index: number, members: Record<string, unknown>): string {
  return header(links().map((link, i) => (i === index ? { ...link, ...members } : link)));
}

describe('decoding a credential', () => {
  it('gives the links root first', () => {
    assert.deepEqual(
      decodeCredential(header(links())).map(({ type }) => type),
      ['root', 'delegation', 'runtime', 'run'],
    );
  });

  for (const index of [0, 1, 2, 3]) {
    it(`names link ${index} when its version is another`, () => {
      assert.throws(() => decodeCredential(changed(index, { v: 2 })), {
        code: 'version_unsupported',
        facts: { link: index },
      });
    });

    it(`names link ${index} when its shape is wrong`, () => {
      assert.throws(() => decodeCredential(changed(index, { extra: 1 })), {
        code: 'schema_invalid',
        facts: { link: index },
      });
    });
  }

  it('looks at all versions before any shape', () => {
    const [root, ...rest] = links();
    const later = rest.map((link, i) => (i === 2 ? { ...link, v: 9 } : link));
    assert.throws(() => decodeCredential(header([{ ...root, extra: 1 }, ...later])), {
      code: 'version_unsupported',
    });
  });

  const leaf = { ...credential(links()) } as Record<string, unknown>;
  const shapes: [name: string, code: string, value: unknown][] = [
    ['a leaf of another version whose chain is no list', 'version_unsupported', { ...leaf, v: 2, chain: {} }],
    ['a chain that is no list', 'schema_invalid', { ...leaf, chain: {} }],
    ['a chain that is null', 'schema_invalid', { ...leaf, chain: null }],
    ['no chain', 'chain_incomplete', { ...leaf, chain: undefined }],
    ['an empty chain', 'chain_incomplete', { ...leaf, chain: [] }],
    ['a version that is no number', 'schema_invalid', { ...leaf, v: '2' }],
    ['no version', 'schema_invalid', { ...leaf, v: undefined }],
    ['a link that is null', 'schema_invalid', { ...leaf, chain: [null] }],
    ['a link that is a list', 'schema_invalid', { ...leaf, chain: [[]] }],
    ['a link that is a number', 'schema_invalid', { ...leaf, chain: [2] }],
    ['a type that nobody knows', 'schema_invalid', { ...leaf, type: 'token' }],
    ['a list', 'encoding_invalid', [leaf]],
    ['null', 'encoding_invalid', null],
    ['a text', 'encoding_invalid', 'x'],
    ['nine levels', 'encoding_invalid', { a: { a: { a: { a: { a: { a: { a: { a: {} } } } } } } } }],
    ['eight levels', 'schema_invalid', { a: { a: { a: { a: { a: { a: { a: {} } } } } } } }],
    ['a fraction', 'encoding_invalid', { ...leaf, v: 1.5 }],
  ];
  for (const [name, code, value] of shapes) {
    it(`${name}: ${code}`, () =>
      assert.throws(() => decodeCredential(encode(JSON.stringify(value))), { code }));
  }

  it('a member that stands twice: json_duplicate_key', () => {
    const text = JSON.stringify(leaf).replace('{', '{"v":1,');
    assert.throws(() => decodeCredential(encode(text)), { code: 'json_duplicate_key' });
  });

  it('what is not base64url: encoding_invalid', () => {
    assert.throws(() => decodeCredential('{}'), { code: 'encoding_invalid' });
  });

  const fields: [name: string, field: RegExp, index: number, members: Record<string, unknown>][] = [
    ['the type', /^type: /, 1, { type: 'grant' }],
    [
      'the origin that is none',
      /^audience\[1\]: /,
      1,
      { audience: [ORIGIN, 'https://api.example.com/'], claims: { intent: 'x' } },
    ],
    ['the end of an empty window', /^expires_at: /, 1, { not_before: 20, expires_at: 20 }],
    [
      'the path that is ambiguous',
      /^claims\.bounds\.path_prefixes\[1\]: /,
      1,
      { claims: { intent: 'x', bounds: { path_prefixes: ['/', '/v1//x'] } } },
    ],
    [
      'the path that ends with a slash',
      /^claims\.bounds\.path_prefixes\[0\]: /,
      1,
      { claims: { intent: 'x', bounds: { path_prefixes: ['/v1/'] } } },
    ],
    ['each field of several', /issuer: .*; .*key: /, 1, { issuer: 1, key: 1 }],
  ];
  for (const [name, field, index, members] of fields) {
    it(`names ${name}`, () => {
      const { chain: _, ...value } = { ...links()[index], chain: [], ...members };
      assert.throws(() => checkLemma(value, index), { code: 'schema_invalid', message: field });
    });
  }

  it('takes paths that are plain', () => {
    const bounds = { path_prefixes: ['/', '/v1', '/v1/documents'] };
    assert.ok(checkLemma({ ...links()[1], claims: { intent: 'x', bounds } }, 1));
  });
});

describe('verifying a chain names the link that fails, with its type and id', () => {
  const [root, delegation, runtime, run] = links();
  const other = (link: Lemma, fields: object) => ({ ...link, ...fields }) as Lemma;
  const foreign = keyNamed('foreign');
  const failing: [name: string, code: string, at: number, links: Lemma[]][] = [
    [
      'another issuer',
      'chain_parent_mismatch',
      2,
      [root, delegation, other(runtime, { issuer: foreign.id })],
    ],
    [
      'another parent',
      'chain_parent_mismatch',
      1,
      [root, other(delegation, { parent: foreign.id }), runtime],
    ],
    [
      'a key of small order',
      'key_weak',
      1,
      [
        root,
        other(delegation, { key: toBase64url(Uint8Array.from({ length: 32 }, (_, i) => +(i === 0))) }),
        runtime,
      ],
    ],
    ['a key that the root has', 'key_reused', 2, [root, delegation, other(runtime, { key: root.key })]],
    [
      'a signature of another link',
      'signature_invalid',
      0,
      [other(root, { signature: run.signature }), delegation],
    ],
    ...(
      [
        ['another subject', 'chain_subject_mismatch', { subject: `did:lemma:ppid_${'0'.repeat(64)}` }],
        ['a scope beyond', 'scope_escalation', { scope: ['pay.send'] }],
        ['an audience beyond', 'audience_escalation', { audience: [ORIGIN, 'https://other.example'] }],
        ['a life beyond', 'expiry_escalation', { expires_at: delegation.expires_at + 1 }],
      ] as const
    ).map(([name, code, fields]): (typeof failing)[number] => [name, code, 2, chain({ runtime: fields })]),
  ];
  for (const [name, code, at, bad] of failing) {
    it(`${name}: ${code}`, () => {
      const facts = { link: at, type: bad[at]?.type, id: bad[at]?.id };
      assert.throws(() => verifyChain(bad, trust), { code, facts });
    });
  }

  for (const [name, claims] of [
    ['org', { org: 'other', env: 'prod' }],
    ['env', { org: 'acme', env: 'dev' }],
  ] as const) {
    it(`a root of an ${name} that its issuer is not trusted for: root_untrusted, with what was claimed`, () => {
      const facts = { link: 0, issuer: keys.issuer.id, ...claims };
      assert.throws(() => verifyChain(chain({ root: { claims } }), trust), { code: 'root_untrusted', facts });
    });
  }

  it('lets the child of a root have any scope', () => {
    assert.ok(verifyChain(chain({ delegation: { scope: ['a.b'] }, runtime: { scope: ['a.b'] } }), trust));
  });

  it('gives the thumbprint of each key, and the leaf with its key', () => {
    const verified = verifyChain([root, delegation, runtime, run], trust);
    assert.deepEqual(verified.keyids, [keys.operator.id, keys.delegate.id, keys.runtime.id, keys.run.id]);
    assert.deepEqual([verified.leaf, verified.leafKey], [run, keys.run.public]);
  });

  it('has no run where there is none', () => {
    assert.equal(verifyChain([root, delegation, runtime], trust).run, null);
  });
});
