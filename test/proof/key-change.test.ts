import assert from 'node:assert/strict';
import { verifyEd25519 } from '#runtime';
import { fromBase64url } from '../../src/crypto/base64url.ts';
import { type KeyChange, keyChangeBytes, signKeyChange } from '../../src/proof/key-change.ts';
import { keys, SUBJECT } from '../support/kit.ts';

const change: KeyChange = {
  subject: SUBJECT,
  origin: 'https://site.example',
  org: 'acme',
  env: 'prod',
  key: 'the key',
  next: 'the next',
  ends: ['the key', 'another'],
  challenge: 'the challenge',
  expires_at: 60,
};

describe('what a site key signs to have others', () => {
  it('is its own kind of statement, in the form of RFC 8785', () => {
    assert.equal(
      new TextDecoder().decode(keyChangeBytes(change)),
      'lemma/key-change/v1\n{"challenge":"the challenge","ends":["the key","another"],"env":"prod","expires_at":60,' +
        `"key":"the key","next":"the next","org":"acme","origin":"https://site.example","subject":"${SUBJECT}"}`,
    );
  });

  it('is no more than its members', () => {
    assert.deepEqual(keyChangeBytes({ ...change, more: 1 } as KeyChange), keyChangeBytes(change));
  });

  it('is signed with that key', () => {
    const signature = fromBase64url(signKeyChange(change, keys.operator.seed)) ?? assert.fail();
    assert.ok(verifyEd25519(signature, keyChangeBytes(change), keys.operator.public));
  });
});
