import type { FolderSource, GitSource } from '../schema/config.ts';

const EXAMPLE = 'git+https://git.example.com/acme/policies.git#main';
/** Names that git takes and no shell, option or refspec could be made of (git-check-ref-format). */
const REF = /^(?!.*(?:\.\.|\/\/|\/\.|\.lock(?:\/|$)|[./]$))[A-Za-z0-9_][A-Za-z0-9._/+-]{0,199}$/;
const HOST = /^(?:[A-Za-z0-9][A-Za-z0-9.-]{0,252}|\[[0-9a-f:.]{2,45}\])$/;
const USER = /^[A-Za-z0-9_][A-Za-z0-9._-]{0,63}$/;
const FOLDER =
  /^(?!\.\.?(?:\/|$))(?!.*\/\.\.?(?:\/|$))[A-Za-z0-9._-]{1,100}(?:\/[A-Za-z0-9._-]{1,100}){0,15}$/;

const FOLDER_SCHEME = 'rego+file:';

/** Whether `bundles.source` is meant to be policies that are built here. */
export function isRegoSource(text: string): boolean {
  return text.startsWith('git+') || text.startsWith('rego+');
}

/** Of such a text: `rego+file:./policies`, or a repository. A path may be relative. */
export function parseRegoSource(text: string): GitSource | FolderSource | string {
  if (!text.startsWith('rego+')) return parseGitSource(text);
  const url = URL.parse(text);
  const path = url === null || url.host !== '' || /[?#]/.test(text) ? null : decoded(url.pathname);
  return text.startsWith(FOLDER_SCHEME) && path !== null && path !== ''
    ? { kind: 'folder', path }
    : `must be a folder of policies as in ${FOLDER_SCHEME}./policies`;
}

/**
 * `git+file:///srv/policies.git#main`, `git+file:./repo#main`, `git+https://host/repo.git?path=policies#main`,
 * `git+ssh://git@host/repo.git#refs/tags/v1`. A short name is a branch's.
 *
 * @returns what is wrong with it, where it is none
 */
export function parseGitSource(text: string): GitSource | string {
  const url = URL.parse(text);
  const protocol = /^git\+(file|https|ssh):$/.exec(url?.protocol ?? '')?.[1];
  if (url === null || protocol === undefined || /[\0-\x20\x7f]/.test(text))
    return `must be git+file:, git+https: or git+ssh: with a branch: ${EXAMPLE}`;
  if (url.password !== '') return 'must hold no password: use git+ssh, with the key of the user that serves';
  const ref = refOf(url.hash.slice(1));
  if (ref === null) return `must name a branch, or refs/tags/<tag>, behind #: ${EXAMPLE}`;
  const path = folderOf(url.searchParams);
  if (path === undefined) return 'may have ?path=<folder of the policies>, a plain relative one, and no more';
  const place = placeOf(protocol as GitSource['protocol'], url);
  return place === null
    ? `must name a repository, as in ${EXAMPLE} or git+file:///srv/policies.git#main`
    : { kind: 'git', ...place, ref, path };
}

function refOf(name: string): string | null {
  if (!REF.test(name)) return null;
  if (/^refs\/(?:heads|tags)\/./.test(name)) return name;
  return name.startsWith('refs/') ? null : `refs/heads/${name}`;
}

function folderOf(query: URLSearchParams): string | null | undefined {
  const given = [...query];
  if (given.length === 0) return null;
  const [[name, value] = ['', '']] = given;
  return given.length === 1 && name === 'path' && FOLDER.test(value) ? value : undefined;
}

function placeOf(protocol: GitSource['protocol'], url: URL): Pick<GitSource, 'protocol' | 'url'> | null {
  const path = decoded(url.pathname);
  if (path === null || path === '' || path === '/') return null;
  if (protocol === 'file') return url.host === '' && url.username === '' ? { protocol, url: path } : null;
  const user = protocol === 'ssh' && url.username !== '' ? `${url.username}@` : '';
  if (!HOST.test(url.hostname) || (url.username !== '' && !USER.test(url.username))) return null;
  if (protocol === 'https' && url.username !== '') return null;
  return { protocol, url: `${protocol}://${user}${url.host}${url.pathname}` };
}

function decoded(text: string): string | null {
  try {
    const path = decodeURIComponent(text);
    return /[\0-\x1f\x7f]/.test(path) ? null : path;
  } catch {
    return null;
  }
}
