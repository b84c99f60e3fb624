import assert from 'node:assert/strict';
import { toBase64url } from '../../src/crypto/base64url.ts';
import { verifyChain } from '../../src/proof/chain.ts';
import { decodeCredential } from '../../src/proof/decode.ts';
import { checkTimes } from '../../src/proof/time.ts';
import { createTrust } from '../../src/proof/trust.ts';
import type { Lemma } from '../../src/schema/lemma.ts';
import { chain, header, keyNamed, keys, link, NOW, type Type } from '../support/kit.ts';

const trust = createTrust([{ org: 'acme', env: 'prod', keys: [{ x: toBase64url(keys.issuer.public) }] }]);
const verify = (links: readonly Lemma[]) => verifyChain(decodeCredential(header(links)), trust);
const HOUR = 3_600;
const DAY = 24 * HOUR;

/** Root, this many delegations, a runtime, and a run: each with a key of its own. */
function deep(delegations: number): Lemma[] {
  const links = [link('root', null, keys.issuer, keys.operator)];
  let signer = keys.operator;
  for (let i = 0; i < delegations; i += 1) {
    const holder = keyNamed(`delegate ${i}`);
    links.push(link('delegation', links.at(-1) as Lemma, signer, holder));
    signer = holder;
  }
  links.push(link('runtime', links.at(-1) as Lemma, signer, keys.runtime));
  return [...links, link('run', links.at(-1) as Lemma, keys.runtime, keys.run)];
}

/** A chain in which one link lives this long, seconds, and what is above it as long as it may. */
function living(type: Type, life: number): Lemma[] {
  const most: Record<Type, number> = { root: 366 * DAY, delegation: 90 * DAY, runtime: DAY, run: HOUR / 4 };
  const window = (one: Type) => {
    const lasts = one === type ? life : most[one];
    return { issued_at: NOW, not_before: NOW, expires_at: NOW + lasts };
  };
  const { root, delegation, runtime, run } = {
    root: window('root'),
    delegation: window('delegation'),
    runtime: window('runtime'),
    run: window('run'),
  };
  return chain({ root, delegation, runtime, run });
}

describe('the life of a link', () => {
  const lives: [type: Type, at: number, most: number][] = [
    ['root', 0, 366 * DAY],
    ['delegation', 1, 90 * DAY],
    ['runtime', 2, DAY],
    ['run', 3, 15 * 60],
  ];
  for (const [type, at, most] of lives) {
    it(`of a ${type} may be ${most} s`, () => assert.ok(verify(living(type, most))));
    it(`of a ${type} may not be a second more, and the link is named`, () => {
      const links = living(type, most + 1);
      const facts = { link: at, type, id: links[at]?.id };
      assert.throws(() => verify(links), { code: 'ttl_too_long', facts });
    });
  }

  it('has room in the life of the link above it, which may be as long', () => {
    const window = { not_before: NOW, expires_at: NOW + HOUR };
    assert.ok(verify(chain({ delegation: window, runtime: window })));
  });

  for (const [name, window] of [
    ['begin a second before', { not_before: NOW - 1, expires_at: NOW + HOUR }],
    ['end a second after', { not_before: NOW, expires_at: NOW + HOUR + 1 }],
  ] as const) {
    it(`may not ${name} the link above it`, () => {
      const delegation = { not_before: NOW, expires_at: NOW + HOUR };
      assert.throws(() => verify(chain({ delegation, runtime: window })), { code: 'expiry_escalation' });
    });
  }

  it('is at least a second', () => {
    assert.ok(verify(chain({ runtime: { not_before: NOW, expires_at: NOW + 1 } })));
    assert.throws(() => verify(chain({ runtime: { not_before: NOW, expires_at: NOW } })), {
      code: 'schema_invalid',
      facts: { link: 2 },
    });
  });
});

describe('the time of a link', () => {
  const [root, delegation, runtime] = chain() as [Lemma, Lemma, Lemma];
  const at = (fields: Partial<Pick<Lemma, 'issued_at' | 'not_before' | 'expires_at'>>) => [
    root,
    delegation,
    { ...runtime, ...fields } as Lemma,
  ];

  for (const member of ['not_before', 'issued_at'] as const) {
    it(`${member} may be 30 s ahead`, () => checkTimes(at({ [member]: NOW + 30 }), NOW));
    it(`${member} may not be 31 s ahead, and the link is named with its times`, () => {
      const { type, id, issued_at, not_before, expires_at } = { ...runtime, [member]: NOW + 31 } as Lemma;
      const facts = { link: 2, type, id, not_before, issued_at, expires_at, now: NOW };
      assert.throws(() => checkTimes(at({ [member]: NOW + 31 }), NOW), {
        code: 'proof_not_yet_valid',
        facts,
      });
    });
  }

  it('expires_at is the first second at which it no longer holds', () => {
    checkTimes(at({ expires_at: NOW + 1 }), NOW);
    assert.throws(() => checkTimes(at({ expires_at: NOW }), NOW), { code: 'proof_expired' });
  });

  it('of the link nearer to the root speaks first', () => {
    const links = [root, { ...delegation, expires_at: NOW }, { ...runtime, not_before: NOW + 31 }];
    assert.throws(() => checkTimes(links as Lemma[], NOW), { code: 'proof_expired' });
  });
});

describe('the depth of a chain', () => {
  it('may be three delegations, and five links above the leaf', () => {
    const links = deep(3);
    const { delegations } = verify(links);
    assert.deepEqual(
      delegations.map(({ id }) => id),
      links.slice(1, 4).map(({ id }) => id),
    );
  });

  it('may not be four delegations', () => {
    const types = ['root', 'delegation', 'delegation', 'delegation', 'delegation', 'runtime'];
    const facts = { chain: types };
    assert.throws(() => verify(deep(4).slice(0, -1)), { code: 'chain_too_deep', facts });
  });

  it('may not be six links above the leaf, whatever they are', () => {
    const [root, delegation, runtime, run] = chain({ run: {} });
    const links = [root, delegation, runtime, run, run, run, run];
    assert.throws(() => decodeCredential(header(links)), { code: 'chain_too_deep' });
  });

  it('may be five links above the leaf as far as their number goes', () => {
    const [root, delegation, runtime, run] = chain({ run: {} });
    const links = [root, delegation, runtime, run, run, run];
    assert.throws(() => decodeCredential(header(links)), { code: 'chain_order_invalid' });
  });
});

describe('the order of a chain', () => {
  const [root, delegation, runtime, run] = chain({ run: {} }) as [Lemma, Lemma, Lemma, Lemma];
  const wrong: [name: string, code: string, links: Lemma[]][] = [
    ['no root', 'chain_incomplete', [delegation, runtime]],
    ['no delegation', 'chain_incomplete', [root, runtime]],
    ['no runtime', 'chain_incomplete', [root, delegation]],
    ['a run without a runtime', 'chain_incomplete', [root, delegation, run]],
    ['two roots', 'chain_order_invalid', [root, root, delegation, runtime]],
    ['a link before the root', 'chain_order_invalid', [delegation, root, runtime]],
    ['two runtimes', 'chain_order_invalid', [root, delegation, runtime, runtime]],
    ['two runs', 'chain_order_invalid', [root, delegation, runtime, run, run]],
    ['a run before the runtime', 'chain_order_invalid', [root, delegation, run, runtime]],
    ['a link after the run', 'chain_order_invalid', [root, delegation, runtime, run, delegation]],
  ];
  for (const [name, code, links] of wrong) {
    it(`${name}: ${code}, with what came`, () => {
      const facts = { chain: links.map(({ type }) => type) };
      assert.throws(() => decodeCredential(header(links)), { code, facts });
    });
  }

  it('is looked at before any signature, for links that were never in a credential', () => {
    assert.throws(() => verifyChain([], trust), { code: 'chain_order_invalid' });
    assert.throws(() => verifyChain([delegation, runtime], trust), { code: 'chain_order_invalid' });
    assert.throws(() => verifyChain([root, delegation], trust), { code: 'chain_incomplete' });
  });
});
