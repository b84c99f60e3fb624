import assert from 'node:assert/strict';
import { publicKeyOf } from '#runtime';
import type { Bundle } from '../../src/policy/bundle.ts';
import { signBundle, verifyBundle } from '../../src/policy/signature.ts';
import { SIGNATURE_FILE } from '../../src/schema/bundle.ts';
import { bytes, denial, fixture, republished, withFile } from './support.ts';

const SEED = new Uint8Array(32).fill(7);
const KEY = publicKeyOf(SEED);
const OTHER_SEED = new Uint8Array(32).fill(8);
const OTHER_KEY = publicKeyOf(OTHER_SEED);
const NOW = 1_790_000_000;

describe('bundle signature', () => {
  const probe = fixture('probe');
  const signed = signBundle(probe, SEED, NOW + 60);

  function claimsOf(bundle: Bundle): Record<string, unknown> {
    return JSON.parse(new TextDecoder().decode(bundle.files.get(SIGNATURE_FILE))) as Record<string, unknown>;
  }

  function withClaims(change: object): Bundle {
    return withFile(signed, SIGNATURE_FILE, bytes({ ...claimsOf(signed), ...change }));
  }

  function carriedTo(bundle: Bundle): Bundle {
    return withFile(bundle, SIGNATURE_FILE, signed.files.get(SIGNATURE_FILE) ?? null);
  }

  const refuses = (bundle: Bundle, message: RegExp, keys = [KEY], now = NOW) =>
    assert.throws(() => verifyBundle(bundle, keys, now), denial('bundle_rejected', message));

  it('verifies with the key, among others', () => {
    assert.equal(verifyBundle(signed, [OTHER_KEY, KEY], NOW).sha256, probe.sha256);
  });

  it('leaves the digest as it was', () => {
    assert.equal(signed.sha256, probe.sha256);
  });

  it('needs no end', () => {
    assert.equal(verifyBundle(signBundle(probe, SEED), [KEY], NOW).expires_at, undefined);
  });

  it('refuses a bundle without one', () => refuses(probe, /has no/));
  it('refuses a stripped one', () => refuses(withFile(signed, SIGNATURE_FILE, null), /has no/));
  it('refuses an empty file', () => refuses(withFile(signed, SIGNATURE_FILE, bytes('')), /malformed/));
  it('refuses an unknown member', () => refuses(withClaims({ alg: 'none' }), /malformed/));
  it('refuses a foreign key', () => refuses(signBundle(probe, OTHER_SEED), /not trusted/));
  it('refuses everything without keys', () => refuses(signed, /not trusted/, []));
  it('refuses a foreign signature under a trusted key id', () => {
    const { signature } = claimsOf(signBundle(probe, OTHER_SEED, NOW + 60));
    refuses(withClaims({ signature }), /does not verify/);
  });

  it('is good until the second before its end', () => {
    assert.equal(verifyBundle(signed, [KEY], NOW + 59).revision, probe.revision);
  });

  it('refuses it at its end', () => refuses(signed, /past the end/, [KEY], NOW + 60));

  for (const [member, value] of [
    ['serial', 2],
    ['revision', 'low-2'],
    ['name', 'high'],
    ['sha256', '0'.repeat(64)],
    ['expires_at', NOW + 61],
  ]) {
    it(`covers ${member}`, () => refuses(withClaims({ [String(member)]: value }), /does not verify/));
  }

  it('refuses to cover another serial', () => {
    refuses(carriedTo(republished(probe, 2, probe.revision)), /not what was signed: serial/);
  });

  it('refuses to cover another revision', () => {
    refuses(carriedTo(republished(probe, 1, 'low-other')), /not what was signed: revision/);
  });

  for (const path of probe.files.keys()) {
    if (path === '.manifest') continue;
    it(`refuses a bundle with another ${path}`, () => {
      const content = path === 'data.json' ? bytes({ lemma: { low: { settings: {} } } }) : bytes('# other');
      refuses(withFile(signed, path, content), /not what was signed: sha256/);
    });
  }

  it('refuses a bundle with a file more', () => {
    refuses(
      withFile(signed, 'lemma/low/more.rego', bytes('package lemma.low')),
      /not what was signed: sha256/,
    );
  });
});
