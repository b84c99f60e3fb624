import type { Command } from 'commander';
import { type OpaClaims, p256Thumbprint, signForOpa } from '../policy/opa-signature.ts';
import type { RegoOnly } from '../policy/rego-only.ts';
import { type Call, textOption } from './command.ts';
import { misuse } from './exit.ts';
import { readOpaKey } from './policy-keys.ts';

/** Who signs Rego-only bundles so that stock OPA believes them. */
export interface OpaSigner {
  readonly claims: OpaClaims;
  /** What OPA must be told, for a person. */
  readonly advice: string;
  sign(bundle: RegoOnly): RegoOnly;
}

export function defineOpaSigning(command: Command): void {
  command
    .option(
      '--opa-key <file>',
      'P-256 private key in PEM (mode 0600): signs a Rego-only bundle for OPA, ES256',
    )
    .option('--opa-key-id <id>', "The key's name in OPA's configuration (default: its RFC 7638 thumbprint)")
    .option('--opa-scope <scope>', "The scope that OPA's configuration asks for (default: none)");
}

/** Null without `--opa-key`. Throws CliError, KeyFileError. */
export function opaSigner(call: Call): OpaSigner | null {
  const file = textOption(call.options, 'opaKey');
  const id = textOption(call.options, 'opaKeyId');
  const scope = textOption(call.options, 'opaScope');
  if (file === undefined) {
    if (id === undefined && scope === undefined) return null;
    throw misuse('--opa-key-id and --opa-scope go with --opa-key');
  }
  if (id === '' || scope === '') throw misuse('--opa-key-id and --opa-scope must not be empty');
  const key = readOpaKey(call, file);
  const claims = { keyid: id ?? p256Thumbprint(key), ...(scope === undefined ? {} : { scope }) };
  const signing = `signing: {keyid: ${claims.keyid}${scope === undefined ? '' : `, scope: ${scope}`}}`;
  return {
    claims,
    advice: `In OPA's configuration: keys: {${claims.keyid}: {algorithm: ES256, key: <PEM>}}, and for the bundle ${signing}`,
    sign: (bundle) => signForOpa(bundle, key, claims),
  };
}
