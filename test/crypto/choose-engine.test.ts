import assert from 'node:assert/strict';
import { chooseEngine } from '../../src/crypto/choose-engine.ts';
import type { Ed25519Engine } from '../../src/crypto/ed25519-engine.ts';
import { noble } from '../../src/crypto/ed25519-noble.ts';
import { openssl } from '../../src/crypto/ed25519-openssl.ts';
import { ed25519Engine } from '../../src/crypto/runtime-node.ts';
import { engines } from './engines.ts';

const fails = (): Ed25519Engine => {
  throw new Error('no binary for this platform');
};

function choose(...loaders: (() => Ed25519Engine)[]): { chosen: string; reports: string[] } {
  const reports: string[] = [];
  const { name } = chooseEngine(loaders, noble, (problem) => reports.push(problem));
  return { chosen: name, reports };
}

describe('chooseEngine', () => {
  it('takes the first that loads, in silence', () => {
    assert.deepEqual(
      choose(() => openssl, fails),
      { chosen: 'openssl', reports: [] },
    );
  });

  it('goes on when one does not load', () => {
    assert.equal(choose(fails, () => openssl).chosen, 'openssl');
  });

  it('says why one did not load', () => {
    assert.match(choose(fails, () => openssl).reports.join(), /no binary for this platform/);
  });

  it('ends with the last resort', () => {
    assert.equal(choose(fails, fails).chosen, 'noble');
  });

  it('passes over an engine that accepts everything', () => {
    const credulous: Ed25519Engine = { ...openssl, verify: () => true };
    assert.match(
      choose(() => credulous).reports.join(),
      /openssl does not keep to the profile \(S is below the order\)/,
    );
  });

  it('passes over an engine that refuses keys of mixed order', () => {
    const mixed = '811449e224a37132aeb5bb638c1722c1c9b216989d2eb0265eb45e1b8ab53224';
    const narrow: Ed25519Engine = {
      ...openssl,
      verify: (s, m, key) => Buffer.from(key).toString('hex') !== mixed && openssl.verify(s, m, key),
    };
    assert.match(choose(() => narrow).reports.join(), /a key of mixed order is a key/);
  });

  it('gives Node the fastest engine there is', () => {
    assert.equal(ed25519Engine, engines[0]?.name);
  });
});
