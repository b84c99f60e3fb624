import { createHash } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import { extname } from 'node:path';
import { gzipSync } from 'node:zlib';

/** A file of the console as it is served. */
export interface ConsoleFile {
  readonly type: string;
  readonly tag: string;
  readonly bytes: Buffer;
  /** Null where it would not be smaller. */
  readonly gzip: Buffer | null;
}

export interface ConsoleFiles {
  /** By page: `agent-ops`, `wallet`. */
  readonly pages: ReadonlyMap<string, ConsoleFile>;
  /** By name; a name holds a digest of what it names. */
  readonly assets: ReadonlyMap<string, ConsoleFile>;
}

/** Where `npm run console` puts it, and the published package has it. */
const FOLDER = new URL('../console/built/', import.meta.url);
const PAGES = ['agent-ops', 'wallet'] as const;
const TYPES: Readonly<Record<string, string>> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.svg': 'image/svg+xml',
};

/** Null: it was never built. Held in memory: some hundred kilobytes. */
export async function readConsole(folder: URL = FOLDER): Promise<ConsoleFiles | null> {
  const names = await readdir(new URL('console/', folder)).catch((error: unknown) => {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return null;
    throw error;
  });
  if (names === null) return null;
  const read = async (key: string, path: string) => [key, await fileAt(new URL(path, folder))] as const;
  return {
    pages: new Map(await Promise.all(PAGES.map((name) => read(name, `${name}.html`)))),
    assets: new Map(await Promise.all(names.map((name) => read(name, `console/${name}`)))),
  };
}

async function fileAt(url: URL): Promise<ConsoleFile> {
  const bytes = await readFile(url);
  const packed = gzipSync(bytes, { level: 9 });
  return {
    type: TYPES[extname(url.pathname)] ?? 'application/octet-stream',
    tag: `"${createHash('sha256').update(bytes).digest('base64url').slice(0, 27)}"`,
    bytes,
    gzip: packed.length < bytes.length ? packed : null,
  };
}
