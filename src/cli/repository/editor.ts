import { jsonText } from '../../policy/policy-files.ts';
import type { RepositoryFile } from './files.ts';

/** For the OPA extension: stock `opa check` types each policy's input by its schema, as `lemma policy check` does. */
const VSCODE = {
  'opa.roots': [`\${workspaceFolder}/policies`],
  'opa.bundleMode': false,
  'opa.strictMode': true,
  'opa.schema': `\${workspaceFolder}/schemas/input.json`,
  'opa.languageServers': ['regal'],
  '[rego]': { 'editor.formatOnSave': true, 'editor.insertSpaces': false },
  'json.schemas': [{ fileMatch: ['/input*.json'], url: './schemas/input.json' }],
};

/** The folders are named by profile, the packages `lemma.<profile>`. */
const REGAL = `# For Regal's linter and language server.
project:
  roots:
    - policies
capabilities:
  from:
    # What a policy may call: no clock, no network, no randomness.
    file: capabilities.json
rules:
  idiomatic:
    directory-package-mismatch:
      level: ignore
`;

export const EDITOR_FILES: readonly RepositoryFile[] = [
  { path: '.vscode/settings.json', text: jsonText(VSCODE) },
  { path: '.vscode/extensions.json', text: jsonText({ recommendations: ['tsandall.opa'] }) },
  { path: '.regal/config.yaml', text: REGAL },
];
