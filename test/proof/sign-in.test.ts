import assert from 'node:assert/strict';
import { verifyEd25519 } from '#runtime';
import { fromBase64url } from '../../src/crypto/base64url.ts';
import { type SignIn, signInBytes, signSignIn } from '../../src/proof/sign-in.ts';
import { keys, SUBJECT } from '../support/kit.ts';

const signIn: SignIn = {
  subject: SUBJECT,
  origin: 'https://site.example',
  org: 'acme',
  env: 'prod',
  key: 'the key',
  challenge: 'the challenge',
  expires_at: 60,
};

describe('what a site key signs to sign in', () => {
  it('is its own kind of statement, in the form of RFC 8785', () => {
    assert.equal(
      new TextDecoder().decode(signInBytes(signIn)),
      'lemma/session/v1\n{"challenge":"the challenge","env":"prod","expires_at":60,"key":"the key",' +
        `"org":"acme","origin":"https://site.example","subject":"${SUBJECT}"}`,
    );
  });

  it('is no more than its members', () => {
    assert.deepEqual(signInBytes({ ...signIn, more: 1 } as SignIn), signInBytes(signIn));
  });

  it('is signed with that key', () => {
    const signature = fromBase64url(signSignIn(signIn, keys.operator.seed)) ?? assert.fail();
    assert.ok(verifyEd25519(signature, signInBytes(signIn), keys.operator.public));
  });
});
