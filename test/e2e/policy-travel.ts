import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { fromBase64url } from '../../src/crypto/base64url.ts';
import type { Bundle } from '../../src/policy/bundle.ts';
import { signBundle } from '../../src/policy/signature.ts';
import { writeTar } from '../../src/policy/tar.ts';
import { type NodeProcess, nodeProcess } from '../support/node-process.ts';
import type { Serving } from '../support/serving.ts';

/** Signs a bundle with the service's own key, and hands it over. */
export async function published(plane: Serving, bundle: Bundle): Promise<Bundle> {
  const seed = fromBase64url(readFileSync(join(plane.folder, '.lemma/keys/bundle.key'), 'utf8').trim());
  const signed = signBundle(bundle, seed ?? new Uint8Array());
  const bundle_base64 = gzipSync(writeTar(signed.files)).toString('base64');
  const { status, body } = await plane.control('/api/wallet/policies/publish', { bundle_base64 });
  if (status !== 200) throw new Error(JSON.stringify(body));
  return signed;
}

/** `lemma pdp` of these names, beside a control plane. */
export async function nodesBeside(plane: Serving, names: readonly string[]): Promise<NodeProcess[]> {
  const { body } = await plane.control('/api/wallet/keys');
  const pin = (body.keys as { use: string; kid: string }[]).find(({ use }) => use === 'authority')?.kid ?? '';
  const { folder, controlBase: control, operatorKey: token } = plane;
  return Promise.all(names.map((name) => nodeProcess({ folder, name, control, token, pin })));
}
