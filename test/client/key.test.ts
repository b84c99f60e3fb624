import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { verifyEd25519 } from '#runtime';
import { signedHeaders } from '../../src/client/attach.ts';
import { generateKey, headerValue, keyFromSeed, keyOf, readCredential } from '../../src/client/index.ts';
import { toBase64url } from '../../src/crypto/base64url.ts';
import { signPop } from '../../src/proof/sign-pop.ts';
import { signedBytes } from '../../src/proof/signing.ts';
import type { Lemma } from '../../src/schema/lemma.ts';
import { chain, credential, keys, NOW } from '../support/kit.ts';

interface Facts {
  readonly keys: Record<string, { readonly seed: string; readonly x: string; readonly thumbprint: string }>;
  readonly links: readonly { readonly lemma: Lemma; readonly signed_bytes: string }[];
}
const facts = JSON.parse(readFileSync(new URL('../vectors/bytes.json', import.meta.url), 'utf8')) as Facts;
const message = new TextEncoder().encode('lemma');

/** What a platform without WebCrypto's Ed25519 does. */
async function without<T>(subtle: unknown, act: () => Promise<T>): Promise<T> {
  const real = globalThis.crypto;
  const poorer = { getRandomValues: real.getRandomValues.bind(real), subtle };
  Object.defineProperty(globalThis, 'crypto', { value: poorer, configurable: true });
  try {
    return await act();
  } finally {
    Object.defineProperty(globalThis, 'crypto', { value: real, configurable: true });
  }
}

const unsupported = () =>
  Promise.reject(new DOMException('Unrecognized algorithm name', 'NotSupportedError'));

describe('keys of an agent', () => {
  for (const [name, { seed, x, thumbprint }] of Object.entries(facts.keys)) {
    it(`${name} of the vectors, in WebCrypto, out of which it cannot be taken`, async () => {
      const key = await keyFromSeed(Uint8Array.from(Buffer.from(seed, 'hex')));
      assert.deepEqual([toBase64url(key.publicKey), key.kid, key.extractable], [x, thumbprint, false]);
      assert.ok(verifyEd25519(await key.sign(message), message, key.publicKey));
    });
  }

  it('come of the text that the command line writes', async () => {
    const seed = keys.runtime.seed;
    assert.equal((await keyFromSeed(`${toBase64url(seed)}\n`)).kid, keys.runtime.id);
  });

  it('of another length are refused', async () => {
    for (const seed of ['', 'AAAA', new Uint8Array(31)]) await assert.rejects(keyFromSeed(seed), /32 bytes/);
  });

  it('are made anew each time, and kept by WebCrypto', async () => {
    const [one, other] = [await generateKey(), await generateKey()];
    assert.notEqual(one.kid, other.kid);
    assert.equal(one.extractable, false);
    assert.ok(verifyEd25519(await one.sign(message), message, one.publicKey));
  });

  for (const [name, subtle] of [
    ['is none', undefined],
    ['has no Ed25519', { generateKey: unsupported, importKey: unsupported }],
  ] as const) {
    it(`are made here where WebCrypto ${name}`, async () => {
      const key = await without(subtle, generateKey);
      assert.equal(key.extractable, true);
      assert.ok(verifyEd25519(await key.sign(message), message, key.publicKey));
      const seeded = await without(subtle, () => keyFromSeed(keys.run.seed));
      assert.equal(seeded.kid, keys.run.id);
    });
  }

  it('may be a pair that the caller keeps', async () => {
    const pair = await crypto.subtle.generateKey({ name: 'Ed25519' }, false, ['sign', 'verify']);
    const key = await keyOf(pair as Parameters<typeof keyOf>[0]);
    assert.ok(verifyEd25519(await key.sign(message), message, key.publicKey));
  });

  it('of another kind are refused', async () => {
    const pair = await crypto.subtle.generateKey({ name: 'ECDSA', namedCurve: 'P-256' }, false, [
      'sign',
      'verify',
    ]);
    await assert.rejects(keyOf(pair as Parameters<typeof keyOf>[0]), /must be an Ed25519 key pair/);
  });
});

describe('what a key signs', () => {
  it('is byte for byte what the vectors say of each link', () => {
    for (const { lemma, signed_bytes } of facts.links)
      assert.equal(new TextDecoder().decode(signedBytes(lemma)), signed_bytes);
  });

  it('of a request is what the same seed signs without WebCrypto', async () => {
    const present = readCredential(credential(chain()));
    const body = new TextEncoder().encode('{}');
    const request = { method: 'PUT', url: 'https://api.example.com:443/v1/a?b', body };
    const key = await keyFromSeed(keys.runtime.seed);
    const signed = await signedHeaders({ ...request, credential: present, key, now: NOW * 1000 });
    const nonce = /nonce="([\w-]+)"/.exec(signed['x-lemma-pop'] ?? '')?.[1] ?? '';
    const proof = headerValue(present);
    assert.deepEqual(signed, signPop({ ...request, proof, seed: keys.runtime.seed, created: NOW, nonce }));
  });
});
