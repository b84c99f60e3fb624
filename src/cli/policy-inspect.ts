import type { Command } from 'commander';
import { readJson } from '../crypto/json.ts';
import type { Bundle } from '../policy/bundle.ts';
import { EMBEDDED_PINS } from '../policy/pins.ts';
import {
  type BundleSignature,
  bundleSignatureSchema,
  OPA_SIGNATURES_FILE,
  SIGNATURE_FILE,
} from '../schema/bundle.ts';
import { checker } from '../schema/validate.ts';
import type { Call, Result } from './command.ts';
import { type BundleFile, readBundles } from './policy-bundle-files.ts';
import { explained } from './policy-errors.ts';

export function define(command: Command): void {
  command.argument('<bundle>', 'A bundle (folder or tar.gz), or a folder of bundles');
}

/** What a bundle says of itself. Whether its signature holds is for `verify` to say. */
export function run(call: Call): Promise<Result> {
  return explained(async () => {
    const [path = ''] = call.args;
    const found = (await readBundles(call.folder, path)).map(viewOf);
    return { data: { bundles: found }, lines: found.flatMap((view) => linesOf(view, call.program)) };
  });
}

function viewOf({ path, bundle }: BundleFile) {
  const { name, revision, serial, sha256, manifest } = bundle;
  const { reasons, ...meta } = manifest.metadata.lemma;
  return {
    path,
    name,
    revision,
    serial,
    sha256,
    roots: manifest.roots,
    meta,
    reasons,
    signature: signatureOf(bundle),
    embedded: EMBEDDED_PINS[name] === sha256,
  };
}

type Signature =
  | { readonly state: 'none' | 'malformed' | 'opa' }
  | ({ readonly state: 'unverified' } & BundleSignature);

const checkSignature = checker(bundleSignatureSchema);

function signatureOf({ files }: Bundle): Signature {
  const bytes = files.get(SIGNATURE_FILE);
  if (bytes === undefined) return { state: files.has(OPA_SIGNATURES_FILE) ? 'opa' : 'none' };
  const checked = checkSignature(parsed(bytes));
  return checked.ok ? { state: 'unverified', ...checked.value } : { state: 'malformed' };
}

function parsed(bytes: Uint8Array): unknown {
  try {
    return readJson(bytes, { maxDepth: 4, numbers: 'integer' }).value;
  } catch {
    return undefined;
  }
}

function linesOf(view: ReturnType<typeof viewOf>, program: string): string[] {
  const row = (label: string, text: string) => `  ${label.padEnd(9)} ${text}`;
  const reasons = Object.entries(view.reasons);
  return [
    `${view.name} ${view.revision}`,
    row('path', view.path),
    row('serial', String(view.serial)),
    row('sha256', view.sha256),
    row('roots', view.roots.join(', ')),
    ...reasons.map(([code, place], i) => row(i === 0 ? 'reasons' : '', `${code.padEnd(16)} ${place}`)),
    row('signature', signatureLine(view, program)),
  ];
}

function signatureLine({ signature, embedded }: ReturnType<typeof viewOf>, program: string): string {
  switch (signature.state) {
    case 'none':
      return embedded ? "none; one of this package's own, known by its digest" : 'none';
    case 'opa':
      return `OPA's (check it with \`${program} policy verify --opa-key\`)`;
    case 'malformed':
      return 'malformed: sign it anew';
    case 'unverified': {
      const { keyid, expires_at: end } = signature;
      const until = end === undefined ? '' : `, until ${end}`;
      return `by key ${keyid}${until} (check it with \`${program} policy verify\`)`;
    }
  }
}
