import { type KeyObject, sign, verify } from 'node:crypto';
import { sha256 } from '#runtime';
import { fitsAlgorithm, type OpaKeyRead } from '../config/opa-keys.ts';
import { fromBase64url, toBase64url } from '../crypto/base64url.ts';
import { canonicalJson } from '../crypto/jcs.ts';
import { readJson } from '../crypto/json.ts';
import { Denial } from '../reason.ts';
import {
  OPA_SIGNATURES_FILE,
  type OpaAlgorithm,
  type OpaSignaturePayload,
  opaSignatureHeaderSchema,
  opaSignaturePayloadSchema,
  opaSignaturesSchema,
} from '../schema/bundle.ts';
import { type Checked, checker } from '../schema/validate.ts';
import { opaHash } from './opa-hash.ts';
import type { RegoOnly } from './rego-only.ts';

/**
 * OPA's bundle signature (`.signatures.json`, https://www.openpolicyagent.org/docs/management-bundles/#signature-format).
 * What Lemma signs for stock OPA has ES256 (RFC 7518 section 3.4); of stock `opa build` it takes `OPA_ALGORITHMS`.
 */
export interface OpaClaims {
  /** Under which OPA's configuration has the public key. */
  readonly keyid: string;
  /** Must be that of OPA's configuration; none must be none. */
  readonly scope?: string;
}

export interface OpaSigned {
  readonly keyid: string | null;
  readonly scope: string | null;
}

/** What is signed: a bundle of whatever kind. */
type Signed = Pick<RegoOnly, 'name' | 'revision' | 'files'>;

const checkFile = checker(opaSignaturesSchema);
const checkHeader = checker(opaSignatureHeaderSchema);
const checkPayload = checker(opaSignaturePayloadSchema);

/** RFC 7638 of a P-256 key, public or private. */
export function p256Thumbprint(key: KeyObject): string {
  const { crv, kty, x, y } = key.export({ format: 'jwk' });
  return toBase64url(sha256(utf8(canonicalJson({ crv, kty, x, y }))));
}

/** The same bundle with OPA's signature inside; one that stood there is replaced. `key`: a P-256 private key. */
export function signForOpa(bundle: RegoOnly, key: KeyObject, { keyid, scope }: OpaClaims): RegoOnly {
  const header = { alg: 'ES256', kid: keyid, typ: 'JWT' };
  const payload = { files: filesOf(bundle), keyid, ...(scope === undefined ? {} : { scope }) };
  const signed = [header, payload].map((part) => toBase64url(utf8(JSON.stringify(part)))).join('.');
  const signature = sign('sha256', utf8(signed), { key, dsaEncoding: 'ieee-p1363' });
  const file = { signatures: [`${signed}.${toBase64url(signature)}`] };
  const bytes = utf8(`${JSON.stringify(file, null, 2)}\n`);
  return { ...bundle, files: new Map([...bundle.files, [OPA_SIGNATURES_FILE, bytes]]) };
}

/**
 * The same with whichever of these keys the signature names; where it names none, each of its algorithm may be the one.
 *
 * @param verifiers by the names that signatures know them by
 * @throws Denial `bundle_rejected`
 */
export function verifyByName(bundle: Signed, verifiers: ReadonlyMap<string, OpaKeyRead>): OpaSigned {
  const { alg, kid } = headerOf(bundle);
  const named = kid ?? payloadOf(bundle).keyid;
  if (named === undefined) {
    const fitting = [...verifiers.values()].filter(({ algorithm }) => algorithm === alg);
    const found = fitting.find(({ key }) => isSignedBy(bundle, alg, key)) ?? fitting[0];
    if (found !== undefined) return verifyForOpa(bundle, found);
    throw rejected(bundle, `is signed with ${alg}, for which no key is trusted here`);
  }
  const verifier = verifiers.get(named);
  if (verifier !== undefined) return verifyForOpa(bundle, verifier);
  throw rejected(
    bundle,
    `is signed by a key named "${named}", which bundles.opa_keys lacks: name it there, or sign with --verification-key-id`,
    { keyid: named },
  );
}

/**
 * Verifies as OPA does: one JWT of this key, this scope, and exactly the files that are there.
 *
 * @throws Denial `bundle_rejected`
 */
export function verifyForOpa(bundle: Signed, { algorithm, key, scope }: OpaKeyRead): OpaSigned {
  const { alg, kid } = headerOf(bundle);
  if (alg !== algorithm) throw rejected(bundle, `is signed with ${alg}, where its key is for ${algorithm}`);
  if (!isSignedBy(bundle, alg, key)) throw rejected(bundle, 'has a signature that is not of this key');
  const payload = payloadOf(bundle);
  const facts = { signed: payload.scope ?? null, asked: scope ?? null };
  if ((payload.scope ?? '') !== (scope ?? '')) throw rejected(bundle, 'is signed for another scope', facts);
  checkFiles(bundle, payload.files);
  return { keyid: kid ?? payload.keyid ?? null, scope: payload.scope ?? null };
}

function headerOf(bundle: Signed) {
  return partOf(bundle, 'header', partsOf(bundle)[0], checkHeader);
}

function payloadOf(bundle: Signed): OpaSignaturePayload {
  return partOf(bundle, 'payload', partsOf(bundle)[1], checkPayload);
}

function isSignedBy(bundle: Signed, alg: OpaAlgorithm, key: KeyObject): boolean {
  const [head, body, mark] = partsOf(bundle);
  const signature = fromBase64url(mark);
  if (signature === null || !fitsAlgorithm(alg, key)) return false;
  if (alg === 'ES256' && signature.length !== 64) return false;
  const digest = alg === 'EdDSA' ? null : 'sha256';
  return verify(digest, utf8(`${head}.${body}`), { key, dsaEncoding: 'ieee-p1363' }, signature);
}

function checkFiles(bundle: Signed, signed: OpaSignaturePayload['files']): void {
  const left = new Map(signed.map(({ name, hash }) => [name, hash]));
  if (left.size !== signed.length) throw rejected(bundle, 'has a signature that names a file twice');
  for (const { name: file, hash } of filesOf(bundle)) {
    const expected = left.get(file);
    left.delete(file);
    if (expected === undefined) throw rejected(bundle, `holds a file that is not signed: ${file}`, { file });
    if (expected !== hash) throw rejected(bundle, `is not what was signed: ${file} differs`, { file });
  }
  const [missing] = left.keys();
  if (missing !== undefined) throw rejected(bundle, `lacks a file that was signed: ${missing}`);
}

function filesOf({ files }: Signed): OpaSignaturePayload['files'] {
  return [...files]
    .filter(([path]) => path !== OPA_SIGNATURES_FILE)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, bytes]) => ({ name, hash: opaHash(name, bytes), algorithm: 'SHA-256' }));
}

function partsOf(bundle: Signed): [header: string, payload: string, signature: string] {
  const bytes = bundle.files.get(OPA_SIGNATURES_FILE);
  if (bytes === undefined) throw rejected(bundle, `has no ${OPA_SIGNATURES_FILE}`);
  const { signatures } = documentOf(bundle, OPA_SIGNATURES_FILE, bytes, checkFile);
  const [header, payload, signature, ...more] = signatures[0]?.split('.') ?? [];
  if (header !== undefined && payload !== undefined && signature !== undefined && more.length === 0)
    return [header, payload, signature];
  throw rejected(bundle, `has a malformed ${OPA_SIGNATURES_FILE}: no JWT`);
}

function partOf<T>(bundle: Signed, what: string, text: string, check: (value: unknown) => Checked<T>): T {
  const bytes = fromBase64url(text);
  if (bytes === null) throw rejected(bundle, `has a malformed signature: its ${what} is not base64url`);
  return documentOf(bundle, `${what} of the signature`, bytes, check);
}

function documentOf<T>(
  bundle: Signed,
  what: string,
  bytes: Uint8Array,
  check: (value: unknown) => Checked<T>,
): T {
  const checked = check(parsed(bytes));
  if (checked.ok) return checked.value;
  const problem = checked.problems.map(({ field, message }) => `${field}: ${message}`).join('; ');
  throw rejected(bundle, `has a malformed ${what}: ${problem}`);
}

/** Undefined for what is not JSON, and for a key that stands twice. */
function parsed(bytes: Uint8Array): unknown {
  try {
    const { value, duplicate } = readJson(bytes, { maxDepth: 16, numbers: 'exact' });
    return duplicate === null ? value : undefined;
  } catch {
    return undefined;
  }
}

function utf8(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}

function rejected({ name, revision }: Signed, message: string, facts: Denial['facts'] = {}): Denial {
  return new Denial('bundle_rejected', `bundle ${name} ${revision} ${message}`, { name, revision, ...facts });
}
