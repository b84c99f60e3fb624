import { getCompileCacheDir } from 'node:module';
import { dirname, relative, resolve } from 'node:path';

/** Variables by name, as `process.env` has them. */
export type Environment = Readonly<Record<string, string | undefined>>;

/** The process's environment. Nothing else in the project reads it; what needs it takes it as an argument. */
export function environment(): Environment {
  return { ...process.env };
}

/**
 * Lets threads keep compiled code where this one does; they learn of the folder from the environment alone. Without it the
 * store's thread would compile anew, and in a clone strip types anew, at each start: 140 ms and 27 MiB.
 */
export function shareCompileCache(): void {
  const folder = getCompileCacheDir();
  // Below what was asked for, by the version of Node.
  if (folder !== undefined) process.env.NODE_COMPILE_CACHE ??= dirname(folder);
}

/**
 * The folder that a person's relative paths are meant from. npm runs scripts in the package's own folder and keeps
 * the caller's in INIT_CWD; another package's script that calls us has already chosen its folder.
 */
export function userFolder(env: Environment, cwd: string = process.cwd()): string {
  return ranByOwnScript(env) && env.INIT_CWD ? resolve(env.INIT_CWD) : cwd;
}

/** How this program was called, so that commands which it prints can be copied: `lemma`, `npm run -s lemma --`, … */
export function invocation(
  env: Environment,
  script: string = process.argv[1] ?? '',
  cwd = process.cwd(),
): string {
  if (ranByOwnScript(env)) return `npm ${prefixOf(env, cwd)}run -s lemma --`;
  if (env.npm_command === 'exec') return 'npx lemma-authz';
  if (!script.endsWith('.ts')) return 'lemma';
  const shown = relative(cwd, script);
  return `node ${/^[\w./-]+$/.test(shown) ? shown : `'${shown}'`}`;
}

/** npm runs a script in the package's folder; who called it from another one must say so again. */
function prefixOf(env: Environment, cwd: string): string {
  const from = env.INIT_CWD;
  if (from === undefined || from === cwd) return '';
  return `--prefix ${/^[\w./-]+$/.test(cwd) ? cwd : `'${cwd}'`} `;
}

function ranByOwnScript(env: Environment): boolean {
  const script = env.npm_lifecycle_event;
  return (script === 'lemma' || script === 'demo') && env.npm_package_name === 'lemma-authz';
}

/** What `opa` needs of it: nothing of it may be there for a policy to read. */
export function opaEnvironment({ PATH }: Environment): Environment {
  return { PATH };
}

/** What a `git` that fetches needs of it: where programs are, and who it is to an ssh server. */
export function gitEnvironment({ PATH, HOME, SSH_AUTH_SOCK }: Environment): Environment {
  return { PATH, HOME, SSH_AUTH_SOCK };
}
