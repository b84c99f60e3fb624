import { equal, ok } from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { type Bundle, bundleOf, readBundleTar } from '../../../src/policy/bundle.ts';
import { meter } from '../../../src/policy/meter.ts';
import { verifyBundle } from '../../../src/policy/signature.ts';
import { readTar } from '../../../src/policy/tar.ts';
import { Denial, InputError } from '../../../src/reason.ts';
import { DATA_FILE, MANIFEST_FILE, SIGNATURE_FILE } from '../../../src/schema/bundle.ts';
import { keyNamed, NOW } from '../../support/kit.ts';
import { refusing, type Target } from '../target.ts';

const real = readBundleTar(readFileSync(new URL('../../policy/fixtures/told.tar.gz', import.meta.url)));
const key = keyNamed('publisher').public;

/** What the first byte chooses: each layer of a bundle, by itself, so that changes come to it whole. */
const LAYERS: readonly ((bytes: Uint8Array) => void)[] = [
  (bytes) => void refusing(() => readBundleTar(bytes), InputError),
  (bytes) => {
    const files = refusing(() => readTar(bytes), InputError);
    if (files === undefined) return;
    const total = files.reduce((sum, [, content]) => sum + content.length, 0);
    ok(total <= bytes.length, 'more came out of an archive than went in');
    refusing(() => bundleOf(new Map(files)), InputError);
  },
  (bytes) => void withFile(MANIFEST_FILE, bytes),
  (bytes) => void withFile(DATA_FILE, bytes),
  (bytes) => {
    const signed = withFile(SIGNATURE_FILE, bytes);
    if (signed !== undefined)
      equal(
        refusing(() => verifyBundle(signed, [key], NOW), Denial),
        undefined,
        'a forged signature holds',
      );
  },
  (bytes) => {
    const metered = refusing(() => meter(bytes), InputError);
    ok(
      metered === undefined || WebAssembly.validate(metered as Uint8Array<ArrayBuffer>),
      'what was metered is no module any more',
    );
  },
];

function withFile(path: string, bytes: Uint8Array): Bundle | undefined {
  return refusing(() => bundleOf(new Map([...real.files, [path, bytes]])), InputError);
}

export const bundle: Target = {
  name: 'bundle',
  maxBytes: 8_000,
  words: [
    '.manifest',
    'data.json',
    'policy.wasm',
    'ustar',
    '"roots":["lemma/low"]',
    '"wasm":[',
    '"metadata":{"lemma":',
    '"serial":',
    '"revision":',
    '{"lemma":{"low":{}}}',
    '\0asm\x01\0\0\0',
    '\u0001',
    '\u000b',
    '00000000000',
    '77777777777',
    '../',
    '"keyid":"',
    '"sha256":"',
  ],
  run(input) {
    const [layer = 0] = input;
    LAYERS[layer % LAYERS.length]?.(input.subarray(1));
  },
};
