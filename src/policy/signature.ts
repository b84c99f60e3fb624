import { publicKeyOf, signEd25519, verifyEd25519 } from '#runtime';
import { fromBase64url, toBase64url } from '../crypto/base64url.ts';
import { canonicalJson } from '../crypto/jcs.ts';
import { readJson } from '../crypto/json.ts';
import { thumbprint } from '../crypto/thumbprint.ts';
import { Denial } from '../reason.ts';
import { type BundleSignature, bundleSignatureSchema, SIGNATURE_FILE } from '../schema/bundle.ts';
import { checker } from '../schema/validate.ts';
import { type Bundle, bundleOf } from './bundle.ts';

const DOMAIN = 'lemma/bundle-signature/v1\n';

const checkSignature = checker(bundleSignatureSchema);
const encoder = new TextEncoder();

/**
 * The same bundle with our signature beside it; one that stood there is replaced.
 *
 * @param seed 32 bytes: the Ed25519 private key of RFC 8032
 * @param expiresAt seconds since 1970; from then on the bundle cannot be activated
 */
export function signBundle(bundle: Bundle, seed: Uint8Array, expiresAt?: number): Bundle {
  const claims = {
    v: 1,
    keyid: thumbprint(publicKeyOf(seed)),
    name: bundle.name,
    revision: bundle.revision,
    serial: bundle.serial,
    sha256: bundle.sha256,
    ...(expiresAt === undefined ? {} : { expires_at: expiresAt }),
  } as const;
  const signature = toBase64url(signEd25519(messageOf(claims), seed));
  const file = encoder.encode(`${JSON.stringify({ ...claims, signature }, null, 2)}\n`);
  return bundleOf(new Map([...bundle.files, [SIGNATURE_FILE, file]]));
}

/**
 * Verifies the signature file against the bundle as read.
 *
 * @param keys trusted public keys, 32 bytes each
 * @param now seconds since 1970
 * @throws Denial `bundle_rejected`: no signature, not one of these keys, another bundle's, expired
 */
export function verifyBundle(bundle: Bundle, keys: readonly Uint8Array[], now: number): BundleSignature {
  const signed = signatureOf(bundle);
  const key = keys.find((candidate) => thumbprint(candidate) === signed.keyid);
  if (key === undefined)
    throw rejected(bundle, 'is signed by a key that is not trusted here', { keyid: signed.keyid });
  const { signature, ...claims } = signed;
  const bytes = fromBase64url(signature);
  if (bytes === null || !verifyEd25519(bytes, messageOf(claims), key))
    throw rejected(bundle, 'has a signature that does not verify');
  for (const member of ['name', 'revision', 'serial', 'sha256'] as const) {
    if (signed[member] === bundle[member]) continue;
    const facts = { member, signed: signed[member], found: bundle[member] };
    throw rejected(bundle, `is not what was signed: ${member} differs`, facts);
  }
  if (signed.expires_at !== undefined && now >= signed.expires_at) {
    throw rejected(bundle, 'is past the end of its signature', { expires_at: signed.expires_at });
  }
  return signed;
}

function signatureOf(bundle: Bundle): BundleSignature {
  const file = bundle.files.get(SIGNATURE_FILE);
  if (file === undefined) throw rejected(bundle, `has no ${SIGNATURE_FILE}; sign it with a trusted key`);
  const checked = checkSignature(parsed(file));
  if (checked.ok) return checked.value;
  const problem = checked.problems.map((p) => `${p.field}: ${p.message}`).join('; ');
  throw rejected(bundle, `has a malformed ${SIGNATURE_FILE}: ${problem}`);
}

function parsed(file: Uint8Array): unknown {
  try {
    const { value, duplicate } = readJson(file, { maxDepth: 4, numbers: 'integer' });
    return duplicate === null ? value : undefined;
  } catch {
    return undefined;
  }
}

function messageOf(claims: object): Uint8Array {
  return encoder.encode(DOMAIN + canonicalJson(claims));
}

function rejected(bundle: Bundle, message: string, facts: Denial['facts'] = {}): Denial {
  const { name, revision, sha256 } = bundle;
  return new Denial('bundle_rejected', `bundle ${name} ${revision} ${message}`, {
    name,
    revision,
    sha256,
    ...facts,
  });
}
