import { existsSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import type { Command } from 'commander';
import { makeFolder } from '../config/make-folder.ts';
import type { Call, Result } from './command.ts';
import { CliError, EXIT } from './exit.ts';
import { shown } from './next-steps.ts';
import { type RepositoryFile, repositoryFiles } from './repository/files.ts';

export function define(command: Command): void {
  command.argument('<folder>', 'Folder to make it in: a new one, or an empty one');
  command.option('--force', 'Write into a folder that is not empty; what is there already is kept');
}

/** Writes a repository of policies, never over a file that is there. */
export async function run(call: Call): Promise<Result> {
  const named = call.args[0] ?? '';
  const root = resolve(call.folder, named);
  const name = shown(root, call.folder);
  if (call.options.force !== true) refuseUsed(root, name);
  const files = await repositoryFiles();
  const [written, kept] = writeNew(root, files);
  const { program } = call;
  return {
    data: { folder: root, written, kept },
    lines: [
      `${name}: ${written.length} files are written`,
      ...(kept.length === 0 ? [] : ['Kept as they were:', ...kept.map((file) => `  ${file}`)]),
      '',
      'Next:',
      `  cd ${name}`,
      '  git init && git config core.hooksPath .githooks',
      `  ${program} policy check`,
      `  ${program} policy test`,
    ],
  };
}

/** A repository that was just made by `git init` counts as empty. */
function refuseUsed(root: string, name: string): void {
  if (!existsSync(root)) return;
  if (!statSync(root).isDirectory())
    throw new CliError('folder_used', `${name} is a file: name a folder`, EXIT.misused);
  const there = readdirSync(root).filter((entry) => entry !== '.git');
  if (there.length === 0) return;
  const message = `${name} is not empty (${there.slice(0, 3).join(', ')}${there.length > 3 ? ', …' : ''}): name a new folder, or keep what is there with --force`;
  throw new CliError('folder_used', message, EXIT.misused, { folder: root });
}

function writeNew(root: string, files: readonly RepositoryFile[]): [written: string[], kept: string[]] {
  const written: string[] = [];
  const kept: string[] = [];
  for (const { path, text, executable = false } of files) {
    const file = join(root, path);
    makeFolder(dirname(file));
    try {
      writeFileSync(file, text, { flag: 'wx', mode: executable ? 0o755 : 0o644 });
      written.push(path);
    } catch (error) {
      if (!(error instanceof Error && 'code' in error && error.code === 'EEXIST')) throw error;
      kept.push(path);
    }
  }
  return [written, kept];
}
