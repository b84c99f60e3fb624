import assert from 'node:assert/strict';
import { generateKeyPairSync, type KeyObject } from 'node:crypto';
import { join } from 'node:path';
import { readOpaKeys } from '../../src/config/opa-keys.ts';
import { complaints, load } from './folder.ts';

const RSA = generateKeyPairSync('rsa', { modulusLength: 2048 });
const SHORT = generateKeyPairSync('rsa', { modulusLength: 1024 });
const EC = generateKeyPairSync('ec', { namedCurve: 'prime256v1' });

const pem = (key: KeyObject) =>
  String(key.export({ type: key.type === 'public' ? 'spki' : 'pkcs8', format: 'pem' }));
const keys = (entry: object) => `bundles: ${JSON.stringify({ opa_keys: { ci: entry } })}\n`;

describe('bundles.opa_keys', () => {
  it('are taken from files beside the configuration', () => {
    const { config, folder } = load({
      'lemma.yaml': keys({ algorithm: 'RS256', key: 'ci.pem', scope: 'read' }),
      'ci.pem': pem(RSA.publicKey),
    });
    assert.deepEqual(config.bundles.opa_keys, {
      ci: { algorithm: 'RS256', key: join(folder, 'ci.pem'), scope: 'read' },
    });
  });

  it('are taken in PEM', () => {
    const { config } = load({ 'lemma.yaml': keys({ algorithm: 'ES256', key: pem(EC.publicKey) }) });
    assert.equal(readOpaKeys(config).keys.get('ci')?.key.asymmetricKeyType, 'ec');
  });

  it('change the revision of the configuration', () => {
    const revision = (text: string) => load({ 'lemma.yaml': text }).revision;
    assert.notEqual(revision(keys({ algorithm: 'ES256', key: pem(EC.publicKey) })), revision(''));
  });

  const refused: readonly [what: string, entry: object, file: string, complaint: RegExp][] = [
    ['a file that is not there', { algorithm: 'RS256', key: 'none.pem' }, '', /no such file: .*none\.pem/],
    ['a private key', { algorithm: 'RS256', key: 'ci.pem' }, pem(RSA.privateKey), /give the public one/],
    ['no key', { algorithm: 'RS256', key: 'ci.pem' }, 'x', /must be a public key in PEM/],
    [
      'a key of another kind',
      { algorithm: 'EdDSA', key: 'ci.pem' },
      pem(EC.publicKey),
      /an Ed25519 key for EdDSA/,
    ],
    ['a short RSA key', { algorithm: 'RS256', key: 'ci.pem' }, pem(SHORT.publicKey), /2048 bits or more/],
    [
      'a shared secret',
      { algorithm: 'HS256', key: 'secret' },
      '',
      /algorithm: must be one of RS256, ES256, EdDSA/,
    ],
  ];
  for (const [what, entry, file, complaint] of refused) {
    it(`refuse ${what}, by name`, () => {
      const [first = ''] = complaints({ 'lemma.yaml': keys(entry), 'ci.pem': file });
      assert.match(first, /bundles\.opa_keys\.ci\./);
      assert.match(first, complaint);
    });
  }
});
