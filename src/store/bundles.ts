import type { Database } from 'better-sqlite3';
import { StoreConflict } from './errors.ts';
import type { BundleInfo, NewBundle } from './model.ts';

type Row = Omit<BundleInfo, 'active'> & { readonly active: number };

const COLUMNS = `sha256, name, revision, serial, activated_at,
  activated_seq IS NOT NULL AND activated_seq = (SELECT max(activated_seq) FROM bundles b WHERE b.name = bundles.name) AS active`;

/** Keeps a bundle; the same again changes nothing. Throws `StoreConflict`: that name and revision has another digest. */
export function putBundle(db: Database, bundle: NewBundle): void {
  const { sha256, name, revision, serial, files } = bundle;
  const known = db
    .prepare<unknown[], string>('SELECT sha256 FROM bundles WHERE name = ? AND revision = ?')
    .pluck();
  const other = known.get(name, revision);
  if (other !== undefined && other !== sha256) throw differs(bundle, other);
  db.prepare(
    'INSERT OR IGNORE INTO bundles (sha256, name, revision, serial, files) VALUES (?, ?, ?, ?, ?)',
  ).run(sha256, name, revision, serial, files);
}

export function getBundle(db: Database, sha256: string): (BundleInfo & NewBundle) | null {
  const row = db
    .prepare<unknown[], Row & { readonly files: Uint8Array }>(
      `SELECT ${COLUMNS}, files FROM bundles WHERE sha256 = ?`,
    )
    .get(sha256);
  return row === undefined ? null : { ...row, active: row.active === 1 };
}

export function listBundles(db: Database): BundleInfo[] {
  return db
    .prepare<unknown[], Row>(`SELECT ${COLUMNS} FROM bundles ORDER BY name, serial`)
    .all()
    .map((row) => ({ ...row, active: row.active === 1 }));
}

export function differs({ name, revision }: NewBundle, other: string): StoreConflict {
  return new StoreConflict(
    'bundle_differs',
    `Bundle ${name} ${revision} is stored with digest ${other}: a changed bundle needs a new revision`,
  );
}
