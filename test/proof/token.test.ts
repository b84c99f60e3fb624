import assert from 'node:assert/strict';
import { signEd25519 } from '#runtime';
import { toBase64url } from '../../src/crypto/base64url.ts';
import { createChainCache } from '../../src/proof/cache.ts';
import { verifyChain } from '../../src/proof/chain.ts';
import { checkTokenTimes, signToken, type TokenTerms, verifyToken, vouch } from '../../src/proof/token.ts';
import { createTrust } from '../../src/proof/trust.ts';
import type { Lemma } from '../../src/schema/lemma.ts';
import {
  chain,
  encode,
  hashOf,
  header,
  type Key,
  keyNamed,
  keys,
  link,
  NOW,
  ORIGIN,
} from '../support/kit.ts';

const issuerOf = (org: string, env: string, key: Key) => ({
  org,
  env,
  keys: [{ x: toBase64url(key.public) }],
});
const trust = createTrust([issuerOf('acme', 'prod', keys.issuer)]);

const bytes = (text: string) => new TextEncoder().encode(text);

/** A token over these characters of a payload, signed as the format says and nothing else checked. */
function sealed(payload: string, key = keys.issuer): string {
  return `lm_at_${payload}.${toBase64url(signEd25519(bytes(`lemma/token/v1\n${payload}`), key.seed))}`;
}

const unsigned = (links: readonly Lemma[]) =>
  links.map(({ signature: _signature, ...statement }) => statement);

/** A payload as a trusted authority would sign it, whatever it says. */
const payloadOf = (over: object = {}, links: readonly object[] = unsigned(chain())) => ({
  v: 1,
  id: 'lem_AAAAAAAAAAAAAAAAAAAAAA',
  issuer: keys.issuer.id,
  issued_at: NOW,
  not_before: NOW,
  expires_at: NOW + 60,
  scope: ['documents.read'],
  audience: [ORIGIN],
  links,
  ...over,
});
const saying = (over: object, links?: readonly object[]) => sealed(encode(payloadOf(over, links)));

function issued(links: readonly Lemma[], over: Partial<TokenTerms> = {}) {
  const terms = { scope: ['documents.read'], audience: [ORIGIN], issued_at: NOW, expires_at: NOW + 60 };
  return vouch(verifyChain(links, trust), { ...terms, ...over }, keys.issuer.id);
}

describe('what a token vouches for', () => {
  it('has an id of its own, shaped like a lemma’s', () => {
    const [a, b] = [issued(chain()), issued(chain())];
    assert.match(a.token.id, /^lem_[A-Za-z0-9_-]{22}$/);
    assert.notEqual(a.token.id, b.token.id);
  });

  it('is its issuer, its times and a leaf narrowed to its terms', () => {
    const { token, leaf } = issued(chain());
    const { id: _, ...facts } = token;
    assert.deepEqual(facts, {
      issuer: keys.issuer.id,
      issued_at: NOW,
      not_before: NOW,
      expires_at: NOW + 60,
    });
    assert.deepEqual([leaf.scope, leaf.audience, leaf.expires_at], [['documents.read'], [ORIGIN], NOW + 60]);
  });

  it('begins no earlier than the last link of its proof', () => {
    const { token } = issued(chain({ runtime: { not_before: NOW + 20 } }));
    assert.equal(token.not_before, NOW + 20);
  });
});

describe('a token', () => {
  it('stands for the chain that it was made of, as narrowed', () => {
    const links = chain({ run: {} });
    const vouched = issued(links);
    const found = verifyToken(signToken(vouched, keys.issuer.seed), trust);
    const without = ({ signature: _, ...rest }: Lemma) => structuredClone(rest);
    assert.deepEqual(found.links.map(without), links.map(without));
    assert.deepEqual(
      [found.token, found.keyids, found.leafKey, without(found.leaf)],
      [vouched.token, vouched.keyids, keys.run.public, without(vouched.leaf)],
    );
    assert.deepEqual(
      [found.root.id, found.runtime.id, found.run?.id],
      [vouched.root.id, vouched.runtime.id, vouched.run?.id],
    );
  });

  it('holds no signature of its proof', () => {
    const [payload = ''] = signToken(issued(chain()), keys.issuer.seed).slice('lm_at_'.length).split('.');
    assert.doesNotMatch(Buffer.from(payload, 'base64url').toString(), /signature/);
  });

  it('is signed as the format says', () => {
    const token = signToken(issued(chain()), keys.issuer.seed);
    assert.equal(token, sealed(token.slice('lm_at_'.length, token.indexOf('.'))));
  });

  it('may live 900 s, and be as long as a credential of 16 KiB makes it', () => {
    assert.equal(verifyToken(saying({ expires_at: NOW + 900 }), trust).token?.expires_at, NOW + 900);
    // 18,362 bytes of payload are 24,576 characters of token.
    const json = JSON.stringify(payloadOf());
    assert.ok(verifyToken(sealed(encode(json.padEnd(18_362))), trust));
    refused(sealed(encode(json.padEnd(18_363))), 'longer than 24576 characters');
  });

  function refused(token: string, message: string | RegExp, facts: object = {}, by = trust): void {
    assert.throws(() => verifyToken(token, by), { code: 'token_invalid', message, facts });
  }

  const good = saying({});
  const payload = good.slice('lm_at_'.length, good.indexOf('.'));
  const form = 'not of the form lm_at_<payload>.<signature>';
  const unheld = 'the signature does not hold';
  const forms: [name: string, token: string, message: string | RegExp, facts?: object][] = [
    ['with another prefix', `xx_at_${good.slice('lm_at_'.length)}`, form],
    ['without a signature', `lm_at_${payload}`, form],
    ['with a third part', `${good}.x`, form],
    ['whose payload is not base64url', sealed(`${payload}=`), 'the payload is not canonical base64url'],
    ['whose payload is empty', sealed(''), /^the text ends/],
    ['whose payload is no JSON', sealed(encode('{')), /^the text ends/],
    ['with a number that is not whole', sealed(encode('{"v":1.5}')), /^not a plain integer/],
    [
      'with a member twice',
      sealed(encode(JSON.stringify(payloadOf()).replace('{', '{"v":1,'))),
      '"v" stands twice',
    ],
    ['that no schema knows', sealed(encode({ ...payloadOf(), more: 1 })), 'more: unknown member'],
    ['whose signature is not base64url', `lm_at_${payload}.!`, unheld, { issuer: keys.issuer.id }],
    [
      'signed by another key than it names',
      sealed(payload, keyNamed('stranger')),
      unheld,
      { issuer: keys.issuer.id },
    ],
    [
      'signed for something else',
      `lm_at_${payload}.${toBase64url(signEd25519(bytes(payload), keys.issuer.seed))}`,
      unheld,
      { issuer: keys.issuer.id },
    ],
    [
      'of a key that nobody trusts',
      sealed(encode(payloadOf({ issuer: keyNamed('stranger').id })), keyNamed('stranger')),
      'no trusted key signed it',
      { issuer: keyNamed('stranger').id },
    ],
  ];
  for (const [name, token, message, facts] of forms) {
    it(`is refused ${name}`, () => refused(token, message, facts));
  }

  it('names each member that no schema knows', () => {
    const { scope: _, ...rest } = payloadOf({ more: 1 });
    assert.throws(() => verifyToken(sealed(encode(rest)), trust), { message: /; / });
  });

  const nested = (levels: number): object => (levels === 0 ? {} : { a: nested(levels - 1) });

  it('is read no deeper than a credential', () => {
    assert.throws(() => verifyToken(sealed(encode(nested(7))), trust), { message: /unknown member/ });
    assert.throws(() => verifyToken(sealed(encode(nested(8))), trust), { message: /deep/ });
  });

  const [root, delegation, runtime] = chain() as [Lemma, Lemma, Lemma];
  const outOfOrder = unsigned([delegation, root, runtime]);
  const beyond: [name: string, over: object, message: string, links?: readonly object[], facts?: object][] = [
    ['more scope than its proof', { scope: ['site.read'] }, 'more scope than its proof has'],
    [
      'more audience than its proof',
      { audience: [ORIGIN, 'https://other.example.com'] },
      'more audience than its proof has',
    ],
    ['a longer life than a token', { expires_at: NOW + 901 }, 'it lives longer than 900 s'],
    [
      'a longer life than one link of its proof',
      {},
      'it outlives its proof',
      unsigned(chain({ delegation: { expires_at: NOW + 59 } })),
    ],
    [
      'links in no order',
      {},
      'chain_order_invalid: delegation, root, runtime',
      outOfOrder,
      { chain: ['delegation', 'root', 'runtime'] },
    ],
    [
      'a link that is no lemma',
      {},
      'schema_invalid: type: must be root, delegation, runtime or run',
      [...unsigned([root, delegation]), { type: 'other' }],
      { link: 2 },
    ],
    [
      'a link’s signature',
      {},
      'links[1].signature: a token holds no signature of its proof',
      [...unsigned([root]), delegation, ...unsigned([runtime])],
    ],
  ];
  for (const [name, over, message, links, facts] of beyond) {
    it(`is refused with ${name}, whoever signed it`, () => refused(saying(over, links), message, facts));
  }

  it('ends with the first link of its proof at the latest', () => {
    const links = unsigned(chain({ delegation: { expires_at: NOW + 60 } }));
    assert.ok(verifyToken(saying({}, links), trust));
  });

  it('is refused where the key that signed it is trusted for another env', () => {
    const elsewhere = keyNamed('elsewhere');
    const both = createTrust([
      issuerOf('acme', 'prod', keys.issuer),
      issuerOf('acme', 'dev', elsewhere),
      issuerOf('rival', 'prod', elsewhere),
    ]);
    const token = sealed(encode(payloadOf({ issuer: elsewhere.id })), elsewhere);
    refused(token, 'no trusted key for acme/prod', { issuer: elsewhere.id }, both);
  });

  it('is refused where the root of its proof is trusted no more', () => {
    const gone = keyNamed('gone');
    const own = link('root', null, gone, keys.operator);
    const below = link('delegation', own, keys.operator, keys.delegate, { parent: hashOf(own) });
    const leaf = link('runtime', below, keys.delegate, keys.runtime);
    refused(saying({}, unsigned([own, below, leaf])), 'no trusted key for acme/prod', { issuer: gone.id });
  });
});

describe('the times of a token', () => {
  const facts = { id: 'lem_x', not_before: NOW, issued_at: NOW, expires_at: NOW + 60 };
  const check = (over: object, now = NOW) => checkTokenTimes({ issuer: 'k', ...facts, ...over }, now);
  const denies = (code: string, over: object, now = NOW) =>
    assert.throws(() => check(over, now), { code, facts: { ...facts, ...over, now } });

  it('hold from 30 s before its beginning to the second before its end', () => {
    check({}, NOW - 30);
    check({}, NOW + 59);
  });

  it('do not hold before that: token_invalid', () => {
    denies('token_invalid', { not_before: NOW + 31 });
    denies('token_invalid', { issued_at: NOW + 31 });
  });

  it('do not hold from its end on: token_expired, and how long ago', () => {
    denies('token_expired', {}, NOW + 60);
    assert.throws(() => check({}, NOW + 63), { message: 'the token ended 3 s ago' });
  });
});

describe('the memory of tokens', () => {
  const token = signToken(issued(chain()), keys.issuer.seed);

  it('knows a token by its exact characters', () => {
    const cache = createChainCache();
    assert.equal(cache.verifyToken(token, trust), cache.verifyToken(token, trust));
    assert.equal(cache.size, 1);
  });

  it('verifies it anew under another trust set', () => {
    const cache = createChainCache();
    cache.verifyToken(token, trust);
    const other = createTrust([issuerOf('acme', 'prod', keyNamed('new issuer'))]);
    assert.throws(() => cache.verifyToken(token, other), { code: 'token_invalid' });
  });

  it('gives a token to nobody who sends it as a credential, nor a credential for a token', () => {
    const cache = createChainCache();
    const credential = header(chain());
    cache.verifyToken(token, trust);
    cache.verify(credential, trust);
    assert.throws(() => cache.verify(token, trust), { code: 'encoding_invalid' });
    assert.throws(() => cache.verifyToken(credential, trust), { code: 'token_invalid' });
    assert.equal(cache.size, 2);
  });
});
