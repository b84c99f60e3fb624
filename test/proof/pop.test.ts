import assert from 'node:assert/strict';
import { sha256, signEd25519 } from '#runtime';
import { toBase64url } from '../../src/crypto/base64url.ts';
import { type InnerList, serializeInnerList, serializeItem } from '../../src/crypto/structured-field.ts';
import { verifyChain } from '../../src/proof/chain.ts';
import { checkPop } from '../../src/proof/pop.ts';
import { signPop } from '../../src/proof/sign-pop.ts';
import { signatureBase } from '../../src/proof/signature-base.ts';
import { createTrust } from '../../src/proof/trust.ts';
import type { Lemma } from '../../src/schema/lemma.ts';
import type { BodyFacts, Presented, Route, SignedMessage } from '../../src/schema/request.ts';
import { chain, keys, NOW } from '../support/kit.ts';

const trust = createTrust([{ org: 'acme', env: 'prod', keys: [{ x: toBase64url(keys.issuer.public) }] }]);
const verified = (parts: Parameters<typeof chain>[0] = {}) => verifyChain(chain(parts), trust);
const bytes = (text: string) => new TextEncoder().encode(text);
const digestOf = (text: string) =>
  `sha-256=${serializeItem({ type: 'bytes', value: sha256(bytes(text)), params: [] })}`;

/** The same digest, its first byte changed. */
function changedByte(digest: string): string {
  const raw = Buffer.from(digest.slice('sha-256=:'.length, -1), 'base64');
  raw[0] = (raw[0] ?? 0) ^ 1;
  return `sha-256=:${raw.toString('base64')}:`;
}

const NO_BODY: BodyFacts = { state: 'none', bytes: new Uint8Array() };
const body = (text: string): BodyFacts => ({ state: 'complete', bytes: bytes(text) });

const route = (asks: Route['body']) => ({ body: asks }) as Route;

const message = (more: Partial<SignedMessage> = {}): SignedMessage => ({
  method: 'PUT',
  authority: 'api.example.com',
  path: '/v1/documents/42',
  query: '?',
  contentDigest: null,
  proof: 'the proof',
  body: NO_BODY,
  ...more,
});

const COMPONENTS = ['@method', '@authority', '@path', '@query', 'x-lemma-proof'];
const COVERING = [...COMPONENTS, 'content-digest'];

type Param = InnerList['params'][number];
const text = (value: string) => ({ type: 'string' as const, value });
const PARAMS: readonly Param[] = [
  { key: 'created', value: { type: 'integer', value: NOW } },
  { key: 'nonce', value: text('n'.repeat(22)) },
  { key: 'keyid', value: text(keys.runtime.id) },
  { key: 'alg', value: text('ed25519') },
  { key: 'tag', value: text('lemma-pop') },
];

/** These parameters, with some replaced or, where undefined, left out. */
function params(changes: Record<string, Param['value'] | undefined>): Param[] {
  const kept = PARAMS.filter(({ key }) => !(key in changes));
  const put = Object.entries(changes).flatMap(([key, value]) =>
    value === undefined ? [] : [{ key, value }],
  );
  return [...kept, ...put];
}

interface Made {
  readonly components?: readonly string[];
  readonly params?: readonly Param[];
  readonly message?: SignedMessage;
  /** What is put in place of an item of the signed list. */
  readonly items?: (items: InnerList['items']) => InnerList['items'];
}

/** The signed list and its signature, by the runtime's key. */
function made({ components = COMPONENTS, params = PARAMS, message: signed = message(), items }: Made = {}) {
  const plain = components.map((name) => ({ ...text(name), params: [] }));
  const input: InnerList = { items: items?.(plain) ?? plain, params: [...params] };
  const signature = signEd25519(bytes(signatureBase(input, components, signed)), keys.runtime.seed);
  return {
    input: serializeInnerList(input),
    signature: serializeItem({ type: 'bytes', value: signature, params: [] }),
  };
}

type Parts = ReturnType<typeof made>;
const ours = ({ input, signature }: Parts): Presented => presented(`input=${input}, signature=${signature}`);
const presented = (value: string): Presented => ({ kind: 'proof', value: '', pop: { form: 'lemma', value } });
const rfc9421 = (input: string, signature: string): Presented => ({
  kind: 'proof',
  value: '',
  pop: { form: 'rfc9421', input, signature },
});

function check(given: Presented, sent = message(), { asks = 'digest', now = NOW } = {}) {
  return checkPop(verified(), given, sent, route(asks as Route['body']), now);
}

const refuses = (code: string, run: () => unknown, facts?: object) =>
  assert.throws(run, facts === undefined ? { code } : { code, facts });

describe('a PoP', () => {
  it('that holds gives what was signed', () => {
    assert.deepEqual(check(ours(made())), {
      created: NOW,
      nonce: 'n'.repeat(22),
      keyid: keys.runtime.id,
      bodyCovered: false,
    });
  });

  it('says that it covers the body', () => {
    const sent = message({ contentDigest: digestOf('x'), body: body('x') });
    assert.equal(check(ours(made({ components: COVERING, message: sent })), sent)?.bodyCovered, true);
  });

  for (const [name, components] of [
    ['another order', [...COMPONENTS].reverse()],
    ['the digest first', ['content-digest', ...COMPONENTS]],
  ] as const) {
    it(`may list its components in ${name}`, () => {
      const sent = message({ contentDigest: digestOf('x'), body: body('x') });
      const signed = name === 'another order' ? message() : sent;
      assert.ok(check(ours(made({ components, message: signed })), signed));
    });
  }

  it('may list its parameters in any order', () => {
    assert.ok(check(ours(made({ params: [...PARAMS].reverse() }))));
  });

  for (const [member, value] of [
    ['method', 'POST'],
    ['authority', 'other.example'],
    ['path', '/v1/documents/43'],
    ['query', '?a=1'],
    ['proof', 'another proof'],
  ] as const) {
    it(`holds for its ${member} alone`, () => {
      refuses('pop_invalid', () => check(ours(made()), message({ [member]: value })));
    });
  }

  describe('and its time', () => {
    const at = (created: number) =>
      ours(made({ params: params({ created: { type: 'integer', value: created } }) }));
    const facts = (created: number) => ({ created, now: NOW });

    it('may be 60 s ago', () => assert.ok(check(at(NOW - 60))));
    it('may not be 61 s ago', () => refuses('pop_stale', () => check(at(NOW - 61)), facts(NOW - 61)));
    it('may be 30 s ahead', () => assert.ok(check(at(NOW + 30))));
    it('may not be 31 s ahead', () => refuses('pop_stale', () => check(at(NOW + 31)), facts(NOW + 31)));
  });

  describe('must be well made', () => {
    const list = (names: readonly string[]) => made({ components: names });
    const withParams = (changes: Parameters<typeof params>[0]) => made({ params: params(changes) });
    const nonce = (value: string) => withParams({ nonce: text(value) });
    const wrong: [name: string, parts: () => Parts][] = [
      ...COMPONENTS.map((one): [string, () => Parts] => [
        `without ${one}`,
        () => list(COMPONENTS.filter((name) => name !== one)),
      ]),
      ['with a component of its own', () => list([...COMPONENTS, '@scheme'])],
      ['with a component twice', () => list([...COMPONENTS, '@path'])],
      [
        'with a component twice in place of another',
        () => list(['@method', '@method', '@path', '@query', 'x-lemma-proof']),
      ],
      [
        'with a component that has a parameter',
        () =>
          made({
            items: (items) =>
              items.map((item, i) =>
                i === 2
                  ? { ...item, params: [{ key: 'req', value: { type: 'boolean', value: true } }] }
                  : item,
              ),
          }),
      ],
      [
        'with a component that is a token',
        () =>
          made({
            items: (items) => [...items.slice(0, 4), { type: 'token', value: 'x-lemma-proof', params: [] }],
          }),
      ],
      ...PARAMS.map(({ key }): [string, () => Parts] => [
        `without ${key}`,
        () => withParams({ [key]: undefined }),
      ]),
      ['with a parameter of its own', () => withParams({ expires: { type: 'integer', value: NOW + 9 } })],
      [
        'with a parameter of its own in place of one',
        () => withParams({ alg: undefined, expires: { type: 'integer', value: NOW + 9 } }),
      ],
      ['with a created that is a text', () => withParams({ created: text(String(NOW)) })],
      [
        'with a created that is a fraction',
        () => withParams({ created: { type: 'decimal', value: NOW + 0.5 } }),
      ],
      ['with a nonce that is a number', () => withParams({ nonce: { type: 'integer', value: 1 } })],
      ['with a nonce of 21 characters', () => nonce('n'.repeat(21))],
      ['with a nonce of 89 characters', () => nonce('n'.repeat(89))],
      ['with a nonce that is not base64url at its end', () => nonce(`${'n'.repeat(22)}=`)],
      ['with a nonce that is not base64url at its start', () => nonce(`+${'n'.repeat(22)}`)],
      ['with a keyid that is a token', () => withParams({ keyid: { type: 'token', value: 'x' } })],
      ['with the keyid of the delegate', () => withParams({ keyid: text(keys.delegate.id) })],
      ['with another algorithm', () => withParams({ alg: text('rsa-pss-sha512') })],
      ['with an algorithm that is a token', () => withParams({ alg: { type: 'token', value: 'ed25519' } })],
      ['with another tag', () => withParams({ tag: text('lemma') })],
      ['with a tag that is a token', () => withParams({ tag: { type: 'token', value: 'lemma-pop' } })],
    ];
    for (const [name, parts] of wrong)
      it(`not ${name}`, () => refuses('pop_invalid', () => check(ours(parts()))));

    for (const length of [22, 88]) {
      it(`with a nonce of ${length} characters at the limit`, () =>
        assert.equal(check(ours(nonce('n'.repeat(length))))?.nonce.length, length));
    }

    it('not with the digest of a request that has none', () => {
      refuses('pop_invalid', () => check(ours(made({ components: COVERING }))));
    });
  });

  describe('in X-Lemma-PoP', () => {
    const { input, signature } = made();
    const good: [name: string, value: string][] = [
      ['may have the signature first', `signature=${signature}, input=${input}`],
    ];
    for (const [name, value] of good) it(name, () => assert.ok(check(presented(value))));

    const bad: [name: string, value: string][] = [
      ['no input', `signature=${signature}`],
      ['no signature', `input=${input}`],
      ['a member of its own', `input=${input}, signature=${signature}, more=1`],
      ['the input twice', `input=${input}, input=${input}, signature=${signature}`],
      ['an input that is no list', `input=1, signature=${signature}`],
      ['a signature that is a list', `input=${input}, signature=(${signature})`],
      ['a signature that is a text', `input=${input}, signature="x"`],
      ['a signature with a parameter', `input=${input}, signature=${signature};a=1`],
      ['other names', `sig=${input}, signature=${signature}`],
      ['no syntax', `input=(`],
      ['nothing', ''],
    ];
    for (const [name, value] of bad)
      it(`is refused with ${name}`, () => refuses('pop_invalid', () => check(presented(value))));

    for (const [name, value] of [
      ['a list', `(${signature})`],
      ['a text', '"x"'],
    ] as const) {
      it(`names a signature that is ${name}`, () => {
        assert.throws(() => check(presented(`input=${input}, signature=${value}`)), {
          message: 'signature: not a byte sequence',
        });
      });
    }
  });

  describe('in the fields of RFC 9421', () => {
    const { input, signature } = made();
    const foreign = '("@method");created=1;tag="other"';
    const good: [name: string, input: string, signature: string][] = [
      ['under any label', `sig1=${input}`, `sig1=${signature}`],
      ['beside a label of another tag', `a=${foreign}, sig1=${input}`, `a=:AAAA:, sig1=${signature}`],
      ['beside a signature that nothing names', `sig1=${input}`, `b=:AAAA:, sig1=${signature}`],
      ['beside a label without a tag', `a=("@method"), sig1=${input}`, `sig1=${signature}`],
    ];
    for (const [name, inputs, signatures] of good)
      it(`holds ${name}`, () => assert.ok(check(rfc9421(inputs, signatures))));

    const bad: [name: string, input: string, signature: string][] = [
      ['no label of ours', `a=${foreign}`, `a=${signature}`],
      ['two labels of ours', `a=${input}, b=${input}`, `a=${signature}, b=${signature}`],
      ['one label twice', `a=${foreign}, a=${input}`, `a=${signature}`],
      ['no signature under the label', `a=${input}`, `b=${signature}`],
      ['two signatures under the label', `a=${input}`, `a=${signature}, a=${signature}`],
      ['a signature that is a list', `a=${input}`, `a=(${signature})`],
      ['an input that is no list', 'a=1;tag="lemma-pop"', `a=${signature}`],
      ['a list without syntax', 'a=(', `a=${signature}`],
      ['a signature without syntax', `a=${input}`, 'a=:'],
    ];
    for (const [name, inputs, signatures] of bad)
      it(`is refused with ${name}`, () => refuses('pop_invalid', () => check(rfc9421(inputs, signatures))));
  });

  describe('that is missing', () => {
    const without = (kind: Presented['kind']): Presented => ({ kind, value: '', pop: null });
    const asking = (at: number) => {
      const bounds = { bounds: { pop: true } };
      const parts = {
        delegation: {},
        runtime: {},
        run: {},
        [['', 'delegation', 'runtime', 'run'][at] ?? '']: { claims: bounds },
      };
      return verified(parts);
    };

    it('is not asked of a bearer credential', () => assert.equal(check(without('credential')), null));
    it('is asked of X-Lemma-Proof', () => refuses('pop_required', () => check(without('proof'))));

    for (const link of [1, 2, 3]) {
      it(`is asked for by the bounds of link ${link}, which is named`, () => {
        const run = () => checkPop(asking(link), without('credential'), message(), route('none'), NOW);
        refuses('pop_required', run, { link });
      });
    }

    it('is not asked for by bounds of something else', () => {
      const bounded = verified({ runtime: { claims: { bounds: { methods: ['PUT'] } } } });
      assert.equal(checkPop(bounded, without('credential'), message(), route('none'), NOW), null);
    });
  });

  describe('and a body', () => {
    const covered = (digest: string, facts: BodyFacts) => {
      const sent = message({ contentDigest: digest, body: facts });
      return [ours(made({ components: COVERING, message: sent })), sent] as const;
    };
    const bare = (facts: BodyFacts) => [ours(made()), message({ body: facts })] as const;

    for (const state of ['truncated', 'unseen'] as const) {
      const facts: BodyFacts = { state, bytes: null };
      for (const asks of ['digest', 'json'] as const) {
        it(`${state}, where the route asks for its ${asks}: body_truncated`, () => {
          const run = () => check(...covered(digestOf('x'), facts), { asks });
          refuses('body_truncated', run, { body: state });
        });
      }
      it(`${state}, where the route does not ask: holds when it is covered`, () => {
        assert.ok(check(...covered(digestOf('x'), facts), { asks: 'none' }));
      });
      it(`${state}, where the route does not ask: does not when it is not covered`, () => {
        refuses('pop_body_mismatch', () => check(...bare(facts), { asks: 'none' }));
      });
    }

    it('that nobody saw, under a digest of 31 bytes: pop_body_mismatch', () => {
      const short = `sha-256=:${Buffer.alloc(31).toString('base64')}:`;
      const run = () => check(...covered(short, { state: 'unseen', bytes: null }), { asks: 'none' });
      refuses('pop_body_mismatch', run);
    });

    it('that was replaced together with its digest: pop_invalid', () => {
      const [signed] = covered(digestOf('x'), body('x'));
      const sent = message({ contentDigest: digestOf('y'), body: body('y') });
      refuses('pop_invalid', () => check(signed, sent));
    });

    it('that is not covered: pop_body_mismatch', () => {
      refuses('pop_body_mismatch', () => check(...bare(body('x'))));
    });

    it('that is none may be covered', () => assert.ok(check(...covered(digestOf(''), NO_BODY))));

    const sha256Of = digestOf('x');
    const digests: [name: string, value: string, holds: boolean][] = [
      ['of another body', digestOf('y'), false],
      ['of which one byte is another', changedByte(sha256Of), false],
      ['beside another algorithm', `sha-512=:AAAA:, ${sha256Of}`, true],
      ['of another algorithm alone', 'sha-512=:AAAA:', false],
      ['beside one that is no byte sequence', `sha-512=1, ${sha256Of}`, false],
      ['beside a list', `sha-512=(1), ${sha256Of}`, false],
      [
        'of 31 bytes',
        `sha-256=:${Buffer.from(sha256(bytes('x')))
          .subarray(0, 31)
          .toString('base64')}:`,
        false,
      ],
      [
        'of 33 bytes',
        `sha-256=:${Buffer.concat([sha256(bytes('x')), Buffer.from([0])]).toString('base64')}:`,
        false,
      ],
      ['that stands twice', `${sha256Of}, ${sha256Of}`, false],
      ['as a list', `sha-256=(${sha256Of.slice(8)})`, false],
      ['without syntax', 'sha-256=:', false],
      ['that is empty', '', false],
    ];
    for (const [name, value, holds] of digests) {
      it(`under a digest ${name}: ${holds ? 'holds' : 'pop_body_mismatch'}`, () => {
        const run = () => check(...covered(value, body('x')));
        if (holds) assert.ok(run());
        else refuses('pop_body_mismatch', run);
      });
    }
  });

  it('is invalid before it is stale, and stale before its body is looked at', () => {
    const old = { params: params({ created: { type: 'integer', value: NOW - 99 } }) };
    refuses('pop_invalid', () => check(ours(made(old)), message({ path: '/' })));
    refuses('pop_stale', () =>
      check(ours(made(old)), message({ body: { state: 'truncated', bytes: null } })),
    );
  });
});

describe('signing a PoP', () => {
  const links = chain() as readonly Lemma[];
  const sign = (more: Partial<Parameters<typeof signPop>[0]> = {}) =>
    signPop({
      method: 'PUT',
      url: 'https://api.example.com/v1/documents/42',
      proof: 'the proof',
      seed: keys.runtime.seed,
      created: NOW,
      ...more,
    });
  const inHeaders = (headers: Record<string, string>) => presented(headers['x-lemma-pop'] ?? '');
  const holds = (headers: Record<string, string>, sent: SignedMessage) =>
    checkPop(verifyChain(links, trust), inHeaders(headers), sent, route('digest'), NOW);

  it('makes one that holds, for a request without a body', () => {
    const headers = sign();
    assert.deepEqual(Object.keys(headers), ['x-lemma-proof', 'x-lemma-pop']);
    assert.equal(headers['x-lemma-proof'], 'the proof');
    assert.equal(holds(headers, message())?.bodyCovered, false);
  });

  it('makes one that holds, for a request with a body', () => {
    const headers = sign({ body: bytes('x') });
    assert.equal(headers['content-digest'], digestOf('x'));
    const sent = message({ contentDigest: digestOf('x'), body: body('x') });
    assert.equal(holds(headers, sent)?.bodyCovered, true);
  });

  it('covers no digest of an empty body', () => {
    const headers = sign({ body: new Uint8Array() });
    assert.deepEqual(['content-digest' in headers, holds(headers, message())?.bodyCovered], [false, false]);
  });

  for (const [url, sent] of [
    ['https://api.example.com/v1/documents/42?a=1&b', { query: '?a=1&b' }],
    ['https://api.example.com/v1/documents/42?', { query: '?' }],
    ['https://api.example.com:443/v1/documents/42', {}],
    ['http://api.example.com/v1/documents/42', {}],
    ['http://api.example.com:443/v1/documents/42', { authority: 'api.example.com:443' }],
    ['https://api.example.com:8443/', { authority: 'api.example.com:8443', path: '/' }],
  ] as const) {
    it(`takes ${url} apart as a server does`, () => assert.ok(holds(sign({ url }), message(sent))));
  }

  it('takes the nonce that it is given', () => {
    const nonce = 'given-'.repeat(5);
    assert.equal(holds(sign({ nonce }), message())?.nonce, nonce);
  });

  it('makes another nonce each time', () => {
    const nonces = [sign(), sign()].map((headers) => holds(headers, message())?.nonce);
    assert.equal(new Set(nonces).size, 2);
  });
});
