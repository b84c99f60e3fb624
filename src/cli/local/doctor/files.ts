import { chmodSync, lstatSync, readdirSync, type Stats } from 'node:fs';
import { join } from 'node:path';
import type { Ailment } from './ailment.ts';
import { markExposed } from './exposed.ts';

const SECRET = /(?:\.proof\.json|\.credential|\.key|^session\.json|^firewall\.json|^control\.secret)$/;

/** Folders and files that others may read, and links where a file must be. Looks at nothing's content. */
export function fileAilments(folders: readonly string[]): Ailment[] {
  if (process.platform === 'win32') return [];
  return [...new Set(folders)].flatMap((folder) => {
    const stats = statsOf(folder);
    if (stats === null) return [];
    if (stats.isSymbolicLink()) return [linked(folder)];
    const names = readable(folder).filter((name) => SECRET.test(name));
    return [
      ...open(folder, stats, 0o700, 'folder_open'),
      ...names.flatMap((name) => {
        const path = join(folder, name);
        const file = statsOf(path);
        if (file === null) return [];
        return file.isSymbolicLink() ? [linked(path)] : open(path, file, 0o600, 'file_open');
      }),
    ];
  });
}

function open(path: string, stats: Stats, mode: number, code: string): Ailment[] {
  if ((stats.mode & 0o077) === 0) return [];
  const wanted = mode.toString(8);
  return [
    {
      code,
      path,
      severity: 'error',
      message: `${path} is open to others (mode ${(stats.mode & 0o777).toString(8)})`,
      mend: `chmod ${wanted} ${path}; if others were here, replace the secrets in it`,
      fix() {
        // Looked at again: a link must not lead the change elsewhere.
        if (lstatSync(path).isSymbolicLink()) throw new Error(`${path} has become a link`);
        chmodSync(path, mode);
        if (code === 'file_open') markExposed(path);
        return `${path} has mode ${wanted}; if others were here, replace the secrets in it`;
      },
    },
  ];
}

function linked(path: string): Ailment {
  return {
    code: 'file_link',
    path,
    severity: 'error',
    message: `${path} is a symbolic link`,
    mend: 'put the file or folder itself there',
  };
}

function statsOf(path: string): Stats | null {
  return lstatSync(path, { throwIfNoEntry: false }) ?? null;
}

function readable(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}
