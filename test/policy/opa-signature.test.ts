import assert from 'node:assert/strict';
import { generateKeyPairSync, type KeyObject, sign } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import fc from 'fast-check';
import { publicKeyOf } from '#runtime';
import { EMBEDDED_TRUST, loadEmbedded } from '../../src/policy/embedded.ts';
import { compileEngine } from '../../src/policy/engine.ts';
import { p256Thumbprint, signForOpa, verifyForOpa } from '../../src/policy/opa-signature.ts';
import { PolicyRegistry } from '../../src/policy/registry.ts';
import { packRegoOnly, type RegoOnly, regoOnly } from '../../src/policy/rego-only.ts';
import { signBundle, verifyBundle } from '../../src/policy/signature.ts';
import { opaFolder } from '../support/opa.ts';
import { PATIENT_MS } from './compiler/support.ts';
import { allowedInput, bytes, denial, fixture, memoryArchive, withFile } from './support.ts';

const FILE = '.signatures.json';
const DATA = 'data.json';
const KEYS = generateKeyPairSync('ec', { namedCurve: 'prime256v1' });
const OTHER = generateKeyPairSync('ec', { namedCurve: 'prime256v1' });
const CLAIMS = { keyid: 'lemma', scope: 'read' };

const probe = fixture('probe');
const plain = regoOnly(probe);
const signed = signForOpa(plain, KEYS.privateKey, CLAIMS);

function having(bundle: RegoOnly, path: string, content: Uint8Array | null): RegoOnly {
  const files = new Map(bundle.files);
  if (content === null) files.delete(path);
  else files.set(path, content);
  return { ...bundle, files };
}

function jwtOf(bundle: RegoOnly): string {
  const file = JSON.parse(new TextDecoder().decode(bundle.files.get(FILE))) as { signatures: string[] };
  return file.signatures[0] ?? '';
}

function partOf(bundle: RegoOnly, index: 0 | 1): Record<string, unknown> {
  const text = jwtOf(bundle).split('.')[index] ?? '';
  return JSON.parse(Buffer.from(text, 'base64url').toString()) as Record<string, unknown>;
}

/** Signed rightly, but for what is changed in the header or the payload. */
function forged(header: object, payload: object): RegoOnly {
  const parts = [
    { ...partOf(signed, 0), ...header },
    { ...partOf(signed, 1), ...payload },
  ];
  const text = parts.map((part) => Buffer.from(JSON.stringify(part)).toString('base64url')).join('.');
  const key = { key: KEYS.privateKey, dsaEncoding: 'ieee-p1363' } as const;
  const jwt = `${text}.${sign('sha256', Buffer.from(text), key).toString('base64url')}`;
  return having(signed, FILE, bytes({ signatures: [jwt] }));
}

describe("OPA's signature of a Rego-only bundle", () => {
  const verify = (bundle: RegoOnly, key: KeyObject = KEYS.publicKey, scope: string | undefined = 'read') =>
    verifyForOpa(bundle, { algorithm: 'ES256', key, scope });
  const refuses = (bundle: RegoOnly, message: RegExp, key?: KeyObject, scope?: string) =>
    assert.throws(() => verify(bundle, key, scope), denial('bundle_rejected', message));
  const files = partOf(signed, 1).files as { name: string; hash: string; algorithm: string }[];

  it('verifies with the public key', () => {
    assert.deepEqual(verify(signed), { keyid: 'lemma', scope: 'read' });
  });

  it('names ES256 and the key in its header', () => {
    assert.deepEqual(partOf(signed, 0), { alg: 'ES256', kid: 'lemma', typ: 'JWT' });
  });

  it('replaces one that stands there', () => {
    assert.deepEqual(verify(signForOpa(signed, KEYS.privateKey, CLAIMS)), verify(signed));
  });

  it('knows a key by one name, private or public (RFC 7638)', () => {
    assert.equal(p256Thumbprint(KEYS.privateKey), p256Thumbprint(KEYS.publicKey));
  });

  it('does not mind how JSON is laid out', () => {
    const data = JSON.stringify(JSON.parse(new TextDecoder().decode(signed.files.get(DATA))));
    assert.equal(verify(having(signed, DATA, bytes(data))).keyid, 'lemma');
  });

  it('minds how a number is written', () => {
    const one = signForOpa(having(plain, DATA, bytes('{"a": 1}')), KEYS.privateKey, CLAIMS);
    refuses(having(one, DATA, bytes('{"a": 1.0}')), /data\.json differs/);
  });

  it('refuses a stripped one', () => refuses(having(signed, FILE, null), /has no \.signatures\.json/));
  it('refuses an empty list', () => refuses(having(signed, FILE, bytes({ signatures: [] })), /malformed/));
  it('refuses an empty object', () => refuses(having(signed, FILE, bytes({})), /malformed/));
  it('refuses two', () => {
    refuses(having(signed, FILE, bytes({ signatures: [jwtOf(signed), jwtOf(signed)] })), /malformed/);
  });
  it('refuses one for another plugin', () => {
    refuses(having(signed, FILE, bytes({ signatures: [jwtOf(signed)], plugin: 'mine' })), /malformed/);
  });
  it('refuses what is no JWT', () => refuses(having(signed, FILE, bytes({ signatures: ['a.b'] })), /no JWT/));
  it('refuses a foreign key', () => refuses(signed, /not of this key/, OTHER.publicKey));
  it('refuses another scope', () => refuses(signed, /another scope/, KEYS.publicKey, 'write'));
  it('refuses a scope where none is asked for', () => {
    assert.throws(() => verify(signed, KEYS.publicKey, ''), denial('bundle_rejected', /another scope/));
  });
  for (const alg of ['none', 'HS256', 'ES384'])
    it(`refuses ${alg}`, () => refuses(forged({ alg }, {}), /malformed header/));
  it('refuses a critical extension', () => refuses(forged({ crit: ['b64'] }, {}), /malformed header/));
  it('refuses a payload that was exchanged', () => {
    const [header, , mark] = jwtOf(signed).split('.');
    const other = Buffer.from(JSON.stringify({ ...CLAIMS, files: [] })).toString('base64url');
    refuses(
      having(signed, FILE, bytes({ signatures: [[header, other, mark].join('.')] })),
      /not of this key/,
    );
  });
  it('refuses a file with another content', () => {
    refuses(having(signed, 'lemma/low/probe.rego', bytes('package lemma.low')), /probe\.rego differs/);
  });
  it('refuses a file more', () => {
    refuses(
      having(signed, 'lemma/low/x.rego', bytes('package lemma.low')),
      /not signed: lemma\/low\/x\.rego/,
    );
  });
  it('refuses a file less', () => refuses(having(signed, 'lemma/low/probe.rego', null), /lacks a file/));
  it('refuses a file that is named twice', () => {
    refuses(forged({}, { files: [...files, ...files] }), /names a file twice/);
  });
  it('refuses a weaker digest', () => {
    refuses(forged({}, { files: files.map((file) => ({ ...file, algorithm: 'MD5' })) }), /malformed payload/);
  });

  describe('and what Lemma trusts', () => {
    const seed = new Uint8Array(32).fill(7);
    const keys = [publicKeyOf(seed)];
    const carrying = withFile(probe, FILE, signed.files.get(FILE) ?? null);

    it('are apart: it stands for none of ours', () => {
      assert.throws(
        () => verifyBundle(carrying, keys, 0),
        denial('bundle_rejected', /has no \.lemma-signature/),
      );
    });

    it('it counts as a file of the bundle', () => assert.notEqual(carrying.sha256, probe.sha256));

    it('it cannot be stripped from a bundle that we signed', () => {
      const stripped = withFile(signBundle(carrying, seed), FILE, null);
      assert.throws(() => verifyBundle(stripped, keys, 0), denial('bundle_rejected', /sha256 differs/));
    });

    it('it cannot be added to one that we signed', () => {
      const added = withFile(signBundle(probe, seed), FILE, carrying.files.get(FILE) ?? null);
      assert.throws(() => verifyBundle(added, keys, 0), denial('bundle_rejected', /sha256 differs/));
    });

    it('it cannot be added to a pinned one', async () => {
      const [low] = await loadEmbedded();
      assert.ok(low);
      const registry = new PolicyRegistry(memoryArchive());
      const added = withFile(low, FILE, carrying.files.get(FILE) ?? null);
      await assert.rejects(registry.activate([added], EMBEDDED_TRUST), denial('bundle_rejected', /pinned/));
    });
  });

  describe('in a stock opa', function () {
    this.timeout(PATIENT_MS);
    const folder = opaFolder();
    const at = (name: string) => join(folder.path, name);

    before(async () => {
      await writeFile(at('key.pem'), KEYS.privateKey.export({ type: 'sec1', format: 'pem' }));
      for (const [name, { publicKey }] of [['key.pub', KEYS] as const, ['other.pub', OTHER] as const])
        await writeFile(at(name), publicKey.export({ type: 'spki', format: 'pem' }));
    });

    /** `opa build` verifies what it reads, and ends. */
    async function load(bundle: RegoOnly, { key = 'key.pub', scope = 'read' } = {}) {
      await writeFile(at('given.tar.gz'), packRegoOnly(bundle));
      const how = ['--verification-key', key, '--signing-alg', 'ES256', '--scope', scope];
      return folder.run('build', '-b', 'given.tar.gz', ...how, '-o', 'out.tar.gz');
    }

    async function loads(bundle: RegoOnly): Promise<void> {
      assert.deepEqual(await load(bundle), { code: 0, said: '', out: '' });
    }

    async function fails(bundle: RegoOnly, message: RegExp, how = {}): Promise<void> {
      const { code, said } = await load(bundle, how);
      assert.deepEqual([code, message.test(said)], [1, true], said);
    }

    it('verifies', () => loads(signed));

    it('verifies the embedded ones', async () => {
      for (const bundle of await loadEmbedded())
        await loads(signForOpa(regoOnly(bundle), KEYS.privateKey, CLAIMS));
    });

    it('agrees on the digest of any JSON', async () => {
      const documents = fc.sample(fc.json({ maxDepth: 4 }), { numRuns: 200, seed: 7 });
      // What Go and JavaScript write differently, order, or read as one.
      const odd = ['[1.0, 1e2, 1E+2, -0.5, 123456789012345678901234567890]', '{"\u{1f600}": 1, "\uffee": 2}'];
      const strings = [
        '"\\u2028\\u2029<>&\\u007f\\b\\f\\n\\u0001\\u001f\\/"',
        '{"__proto__": {"a": 1}, "1": 2}',
      ];
      const data = `{"lemma": {"low": [${[...documents, ...odd, ...strings].join(', ')}]}}`;
      await loads(signForOpa(having(plain, DATA, bytes(data)), KEYS.privateKey, CLAIMS));
    });

    it('refuses a stripped one', () => fails(having(signed, FILE, null), /missing \.signatures\.json/));
    it('refuses a foreign key', () => fails(signed, /failed to verify JWT/, { key: 'other.pub' }));
    it('refuses another scope', () => fails(signed, /scope mismatch/, { scope: 'write' }));
    it('refuses a file with another content', () =>
      fails(having(signed, 'lemma/low/probe.rego', bytes('package lemma.low\n')), /digest mismatch/));
    it('refuses a file more', () =>
      fails(having(signed, 'lemma/low/x.rego', bytes('package lemma.low\n')), /not included/));
    it('refuses a file less', () =>
      fails(having(signed, 'lemma/low/probe.rego', null), /not found in the target bundle/));

    it('signs what we verify', async () => {
      await writeFile(at('plain.tar.gz'), packRegoOnly(plain));
      const claims = { keyid: 'theirs', scope: 'read' };
      await writeFile(at('claims.json'), JSON.stringify(claims));
      const how = ['--signing-key', 'key.pem', '--signing-alg', 'ES256', '--claims-file', 'claims.json'];
      const { code, said } = await folder.run('sign', '-b', 'plain.tar.gz', ...how);
      assert.equal(code, 0, said);
      const theirs = having(plain, FILE, new Uint8Array(await readFile(at(FILE))));
      assert.equal(verify(theirs).scope, 'read');
    });

    describe('that pulls it by its configuration', () => {
      const input = allowedInput('high');

      async function decide(bundle: RegoOnly) {
        await writeFile(at('pulled.tar.gz'), packRegoOnly(bundle));
        await writeFile(at('input.json'), JSON.stringify(input));
        const config = {
          keys: {
            lemma: {
              algorithm: 'ES256',
              key: KEYS.publicKey.export({ type: 'spki', format: 'pem' }),
            },
          },
          bundles: {
            high: {
              resource: `file://${at('pulled.tar.gz')}`,
              signing: { keyid: 'lemma', scope: 'read' },
            },
          },
        };
        await writeFile(at('opa.json'), JSON.stringify(config));
        const how = ['-c', 'opa.json', '--decision', 'lemma/high/decision', '--timeout', '20s'];
        return folder.run('exec', ...how, 'input.json');
      }

      const high = async () => (await loadEmbedded()).find(({ name }) => name === 'high') ?? assert.fail();

      it('gives the decision of our engine', async () => {
        const bundle = await high();
        const { out } = await decide(signForOpa(regoOnly(bundle), KEYS.privateKey, CLAIMS));
        const { result } = (await compileEngine(bundle)).evaluate(bytes(input));
        assert.deepEqual((JSON.parse(out) as { result: { result: unknown }[] }).result[0]?.result, result);
      });

      it('gives none without the signature', async () => {
        const { code, said } = await decide(regoOnly(await high()));
        assert.deepEqual([code === 0, /missing \.signatures\.json/.test(said)], [false, true], said);
      });
    });
  });
});
