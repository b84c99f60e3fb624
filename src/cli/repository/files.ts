import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { CAPABILITIES_FILE } from '../../policy/compiler/capabilities.ts';
import { isPolicyFile, jsonText } from '../../policy/policy-files.ts';
import { PROFILES } from '../../schema/common.ts';
import { policyInputSchema } from '../../schema/input.ts';
import { policyResultSchema } from '../../schema/result.ts';
import { OWN_POLICIES } from '../policy-folder.ts';
import { version } from '../version.ts';
import { githubWorkflow, gitlabPipeline } from './ci.ts';
import { EDITOR_FILES } from './editor.ts';
import { PRE_COMMIT } from './hook.ts';
import { README } from './readme.ts';

export interface RepositoryFile {
  /** With `/`, below the repository. */
  readonly path: string;
  readonly text: string;
  readonly executable?: boolean;
}

/** A repository of policies: the package's own, and what an author works on them with. */
export async function repositoryFiles(): Promise<RepositoryFile[]> {
  const release = version();
  return [
    ...(await ownPolicies()),
    { path: 'schemas/input.json', text: jsonText(policyInputSchema) },
    { path: 'schemas/result.json', text: jsonText(policyResultSchema) },
    { path: 'capabilities.json', text: await readFile(CAPABILITIES_FILE, 'utf8') },
    ...EDITOR_FILES,
    { path: '.github/workflows/policy.yml', text: githubWorkflow(release) },
    { path: '.gitlab-ci.yml', text: gitlabPipeline(release) },
    { path: '.githooks/pre-commit', text: PRE_COMMIT, executable: true },
    // A bundle is its bytes: they must not depend on whose machine it is built on.
    { path: '.gitattributes', text: '* text=auto eol=lf\n' },
    { path: '.gitignore', text: '/build/\n' },
    { path: 'README.md', text: README },
  ];
}

async function ownPolicies(): Promise<RepositoryFile[]> {
  const files: RepositoryFile[] = [];
  for (const folder of [...PROFILES, 'lib']) {
    const names = (await readdir(join(OWN_POLICIES, folder))).filter(isPolicyFile).sort();
    for (const name of names) {
      const text = await readFile(join(OWN_POLICIES, folder, name), 'utf8');
      files.push({ path: `policies/${folder}/${name}`, text });
    }
  }
  return files;
}
