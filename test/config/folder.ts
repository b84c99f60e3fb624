import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { ConfigError } from '../../src/config/error.ts';
import { type LoadedConfig, type LoadOptions, loadConfig } from '../../src/config/load.ts';

/** A folder of its own with these files; `remove` takes it away. */
export function folderWith(files: Readonly<Record<string, string>>) {
  const path = mkdtempSync(join(tmpdir(), 'lemma-config-'));
  const write = (name: string, text: string) => {
    mkdirSync(dirname(join(path, name)), { recursive: true });
    writeFileSync(join(path, name), text);
  };
  for (const [name, text] of Object.entries(files)) write(name, text);
  return { path, write, remove: () => rmSync(path, { recursive: true, force: true }) };
}

type Wishes = Partial<Omit<LoadOptions, 'cwd'>>;

/** Loads from a folder with these files. */
export function load(
  files: Readonly<Record<string, string>>,
  wishes: Wishes = {},
): LoadedConfig & { folder: string } {
  const folder = folderWith(files);
  try {
    const loaded = loadConfig({ flags: {}, env: {}, ...wishes, cwd: folder.path });
    return { ...loaded, folder: folder.path };
  } finally {
    folder.remove();
  }
}

/** The lines of the error that loading gives. */
export function complaints(files: Readonly<Record<string, string>>, wishes: Wishes = {}): string[] {
  try {
    load(files, wishes);
  } catch (error) {
    if (error instanceof ConfigError) return error.message.split('\n');
    throw error;
  }
  return [];
}

export const ROUTE = `  - id: documents.read
    host: api.example.com
    path: /v1/documents/{id}
    methods: [GET]
    api: documents
    action: documents.read
    scope: [documents.read]
    audience: https://api.example.com
    risk: low
`;
