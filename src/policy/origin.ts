/** Where policies come from that are built here cannot be read: no git, no answer, no such ref or folder. */
export class OriginFailed extends Error {
  override readonly name = 'OriginFailed';
}

/** A version cannot be taken as it is: links, names or sizes that are no policies'. */
export class TreeRefused extends Error {
  override readonly name = 'TreeRefused';
}

/** Who made a version, and the first line about it; empty where nobody says. Of whoever may write there: to be shown, never to be believed. */
export interface VersionAbout {
  readonly author: string;
  readonly subject: string;
}

export interface PolicyTree {
  /** Equal for two versions when all of their policies is. */
  readonly id: string;
  /** Rego, data and manifests, by path below the policies' folder. */
  readonly files: ReadonlyMap<string, Uint8Array>;
}

/** Versions of policies, each by an id of hex digits: commits of a branch, or contents of a folder. Each call throws OriginFailed. */
export interface PolicyOrigin {
  /** Looks, and gives the version that is there now. */
  latest(): Promise<string>;
  /** Whether a version is another or may come after it. */
  follows(version: string, earlier: string): Promise<boolean>;
  /** Keeps what a version needs from being thrown away. */
  keep(version: string): Promise<void>;
  about(version: string): Promise<VersionAbout>;
  /** Throws TreeRefused. */
  tree(version: string): Promise<PolicyTree>;
}

/** Bounds on what a version brings; a bundle has closer ones. */
const TREE_LIMITS = { files: 1024, fileBytes: 8 << 20, totalBytes: 16 << 20 } as const;
export const TREE_BYTES = TREE_LIMITS.totalBytes;

const PATH = /^[A-Za-z0-9._-]{1,100}(?:\/[A-Za-z0-9._-]{1,100})*$/;

interface Listed {
  readonly path: string;
  /** Bytes. */
  readonly size: number;
  /** Whether it is the file itself, not a link or anything else. */
  readonly plain: boolean;
}

/** Throws TreeRefused for what is no policy's, before it is read. */
export function checkListed(files: readonly Listed[]): void {
  for (const { path, plain } of files) {
    if (!plain) throw new TreeRefused(`${oneLine(path)} is a link or a submodule: put the file itself there`);
    if (!PATH.test(path) || path.split('/').some((part) => part === '.' || part === '..'))
      throw new TreeRefused(`${oneLine(path)} is no name for a policy's file: use A-Z a-z 0-9 . _ -`);
  }
  const { files: most, fileBytes, totalBytes } = TREE_LIMITS;
  if (files.length > most) throw new TreeRefused(`it has ${files.length} files of policies, over ${most}`);
  const large = files.find(({ size }) => size > fileBytes);
  if (large !== undefined) throw new TreeRefused(`${large.path} has ${large.size} bytes, over ${fileBytes}`);
  const total = files.reduce((sum, { size }) => sum + size, 0);
  if (total > totalBytes) throw new TreeRefused(`its policies have ${total} bytes, over ${totalBytes}`);
}

/** What others wrote, as one line. */
export function oneLine(text: string): string {
  const line = text.replaceAll(/[\p{Cc}\p{Cf}\u2028\u2029]+/gu, ' ').trim();
  return line.length > 300 ? `${line.slice(0, 300)}…` : line;
}
