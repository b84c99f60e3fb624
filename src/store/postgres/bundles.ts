import { differs } from '../bundles.ts';
import type { BundleInfo, NewBundle } from '../model.ts';
import { one, type Sql } from './sql.ts';

const COLUMNS = `sha256, name, revision, serial, activated_at,
  coalesce(activated_seq = (SELECT max(activated_seq) FROM bundles b WHERE b.name = bundles.name), false) AS active`;

/** Keeps a bundle; the same again changes nothing. Throws `StoreConflict`: that name and revision has another digest. */
export async function putBundle(sql: Sql, bundle: NewBundle): Promise<void> {
  const { sha256, name, revision, serial, files } = bundle;
  const known = await one<{ sha256: string }>(
    sql,
    'SELECT sha256 FROM bundles WHERE name = $1 AND revision = $2',
    [name, revision],
  );
  if (known !== null && known.sha256 !== sha256) throw differs(bundle, known.sha256);
  await sql.run(
    `INSERT INTO bundles (sha256, name, revision, serial, files) VALUES ($1, $2, $3, $4, $5)
     ON CONFLICT (sha256) DO NOTHING`,
    [sha256, name, revision, serial, Buffer.from(files)],
  );
}

export async function getBundle(sql: Sql, sha256: string): Promise<(BundleInfo & NewBundle) | null> {
  const found = await one<BundleInfo & NewBundle>(
    sql,
    `SELECT ${COLUMNS}, files FROM bundles WHERE sha256 = $1`,
    [sha256],
  );
  return found === null ? null : { ...found, files: new Uint8Array(found.files) };
}

export function listBundles(sql: Sql): Promise<BundleInfo[]> {
  return sql.all(`SELECT ${COLUMNS} FROM bundles ORDER BY name, serial`);
}
