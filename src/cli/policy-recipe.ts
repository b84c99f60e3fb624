import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import type { Command } from 'commander';
import { makeFolder } from '../config/make-folder.ts';
import { isPolicyFile, isRego, isTestFile, jsonText } from '../policy/policy-files.ts';
import type { Call, Result } from './command.ts';
import { CliError, EXIT } from './exit.ts';
import { OWN_POLICIES, policyFolder } from './policy-folder.ts';
import { table } from './terminal.ts';

const RECIPES = join(OWN_POLICIES, 'recipes');

export function define(command: Command): void {
  command
    .argument('[name]', 'The recipe; without one: which there are')
    .argument('[path]', 'Folder of policies to take it into (default: ./policies)');
}

/** Takes a recipe's rules, tests and data into policies: all of it, or nothing where something of it is there already. */
export async function run(call: Call): Promise<Result> {
  const [name, path] = call.args;
  if (name === undefined) return listed(call);
  const files = filesOf(name);
  const root = policyFolder(call, path);
  if (relative(OWN_POLICIES, root) === '')
    throw new CliError(
      'folder_missing',
      'there is no folder ./policies: name yours, or make one by `lemma policy init`',
      EXIT.misused,
    );
  const changes = files.map((file) => changeOf(root, name, file));
  for (const { file, text } of changes) {
    makeFolder(dirname(join(root, file)));
    writeFileSync(join(root, file), text);
  }
  const shown = relative(call.folder, root) || '.';
  return {
    data: { recipe: name, path: root, files: changes.map(({ file }) => file) },
    lines: [
      ...changes.map(({ file, added }) => `${added ? 'added' : 'changed'}  ${shown}/${file}`),
      `Its data is an example: make it yours, then \`${call.program} policy check ${shown}\` and \`test\``,
    ],
  };
}

function listed({ terminal }: Call): Result {
  const recipes = readdirSync(RECIPES)
    .sort()
    .map((name) => ({ name, ...aboutOf(name) }));
  const rows = recipes.map(({ name, profile, summary }) => [name, profile, summary]);
  return { data: { recipes }, lines: table(rows, terminal.interactive) };
}

/** Its profile, and the first line of its rules. */
function aboutOf(name: string): { profile: string; summary: string } {
  const rego = filesOf(name).find((file) => isRego(file) && !isTestFile(file)) ?? '';
  const [first = ''] = readFileSync(join(RECIPES, name, rego), 'utf8').split('\n', 1);
  return { profile: dirname(rego), summary: first.replace(/^# /, '') };
}

/** Paths below the recipe's folder, as below the policies'. */
function filesOf(name: string): string[] {
  const known = readdirSync(RECIPES).sort();
  if (!known.includes(name))
    throw new CliError('recipe_unknown', `there is no recipe ${name}: ${known.join(', ')}`, EXIT.misused);
  return readdirSync(join(RECIPES, name), { recursive: true, encoding: 'utf8' })
    .map((file) => file.replaceAll('\\', '/'))
    .filter((file) => file.includes('/') && isPolicyFile(file.slice(file.lastIndexOf('/') + 1)))
    .sort();
}

interface Change {
  readonly file: string;
  readonly text: string;
  readonly added: boolean;
}

function changeOf(root: string, name: string, file: string): Change {
  const text = readFileSync(join(RECIPES, name, file), 'utf8');
  const target = join(root, file);
  if (!existsSync(target)) return { file, text, added: true };
  if (isRego(file))
    throw new CliError(
      'recipe_taken',
      `${file} is there already: the recipe ${name} is taken, or take it away`,
    );
  const merged = merge(read(target, file), JSON.parse(text) as unknown, file);
  return { file, text: jsonText(merged), added: false };
}

function read(path: string, file: string): unknown {
  try {
    return JSON.parse(readFileSync(path, 'utf8')) as unknown;
  } catch (error) {
    throw new CliError('file_error', `${file}: ${error instanceof Error ? error.message : error}`);
  }
}

/** Members of both; lists become one. Throws for a value that is there and is another: it is somebody's. */
function merge(there: unknown, more: unknown, place: string): unknown {
  if (there === undefined) return more;
  if (Array.isArray(there) && Array.isArray(more)) return [...new Set([...there, ...more])];
  if (isObject(there) && isObject(more)) {
    const added = Object.entries(more).map(([key, value]) => [
      key,
      merge(Object.hasOwn(there, key) ? there[key] : undefined, value, `${place}: ${key}`),
    ]);
    return { ...there, ...(Object.fromEntries(added) as object) };
  }
  if (there === more) return there;
  throw new CliError('recipe_taken', `${place} is there already with another value: rename or remove it`);
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
