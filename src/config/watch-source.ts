import type { BundleSetting } from '../schema/config.ts';
import { isServer } from './bundle-server.ts';
import { watchBundles } from './watch-bundles.ts';

export type WatchedSource = Pick<BundleSetting, 'source' | 'rego' | 'every_ms'>;

export interface SourceWatch {
  /** Watches another `bundles.source` from now on. */
  follow(source: WatchedSource): void;
  close(): void;
}

/**
 * A folder of bundles or policies tells when it has changed; a repository or a server is asked again and again, a while after the last answer. The
 * first time is at once in both cases: it may have changed after it was last read.
 */
export function watchSource(first: WatchedSource, onChange: () => Promise<unknown>): SourceWatch {
  let asking: NodeJS.Timeout | undefined;
  let turn = 0;

  const ask = async (source: WatchedSource, mine: number): Promise<void> => {
    if (!isAsked(source) || mine !== turn) return;
    await onChange();
    if (mine === turn) asking = setTimeout(ask, source.every_ms, source, mine).unref();
  };
  const begin = (source: WatchedSource) => {
    clearTimeout(asking);
    void ask(source, ++turn);
  };
  const folder = watchBundles(folderOf(first), () => void onChange());
  begin(first);
  return {
    follow(next) {
      folder.follow(folderOf(next));
      begin(next);
    },
    close() {
      turn++;
      clearTimeout(asking);
      folder.close();
    },
  };
}

/** Whether it does not tell by itself that it has changed. */
export function isAsked({ source, rego }: Pick<BundleSetting, 'source' | 'rego'>): boolean {
  return rego === null ? isServer(source) : rego.kind === 'git';
}

/** What never changes has no folder. */
function folderOf({ source, rego }: WatchedSource): string {
  if (rego === null) return isServer(source) ? 'embedded' : source;
  return rego.kind === 'folder' ? rego.path : 'embedded';
}
