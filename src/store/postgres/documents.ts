import {
  DOCUMENT_COLUMNS,
  type DocumentRow,
  documentOf,
  moved,
  pageOf,
  SWEPT_AT_ONCE,
} from '../documents.ts';
import type { DocumentPage, NewDocument, StoredDocument, Tenant } from '../model.ts';
import { one, type Sql } from './sql.ts';

const ALIVE = '(expires_at IS NULL OR expires_at > $3)';

/** As src/store/documents.ts. Throws `StoreConflict`: somebody else wrote it meanwhile. */
export async function putDocument(sql: Sql, document: NewDocument, now: number): Promise<number> {
  const { kind, id, org, env, version, expires_at, body } = document;
  const known = (await getDocument(sql, kind, id, now))?.version ?? 0;
  if (known !== version) throw moved(kind, id);
  await sweep(sql, now);
  await sql.run(
    `INSERT INTO documents (${DOCUMENT_COLUMNS}) VALUES ($1, $2, $3, $4, $5, $6, $7)
     ON CONFLICT (kind, id) DO UPDATE SET org = excluded.org, env = excluded.env, version = excluded.version,
       expires_at = excluded.expires_at, body = excluded.body`,
    [kind, id, org, env, version + 1, expires_at, JSON.stringify(body)],
  );
  return version + 1;
}

/** Throws `StoreConflict` where its version is another. */
export async function removeDocument(
  sql: Sql,
  kind: string,
  id: string,
  version: number,
  now: number,
): Promise<void> {
  if ((await getDocument(sql, kind, id, now))?.version !== version) throw moved(kind, id);
  await sql.run('DELETE FROM documents WHERE kind = $1 AND id = $2', [kind, id]);
}

/** Null where there is none, or where it has expired. */
export async function getDocument(
  sql: Sql,
  kind: string,
  id: string,
  now: number,
): Promise<StoredDocument | null> {
  const row = await one<DocumentRow>(
    sql,
    `SELECT ${DOCUMENT_COLUMNS} FROM documents WHERE kind = $1 AND id = $2 AND ${ALIVE}`,
    [kind, id, now],
  );
  return row === null ? null : documentOf(row);
}

/** Those of a tenant by id, after `after`. */
export async function listDocuments(
  sql: Sql,
  kind: string,
  { org, env }: Tenant,
  after: string,
  limit: number,
  now: number,
): Promise<DocumentPage> {
  const rows = await sql.all<DocumentRow>(
    `SELECT ${DOCUMENT_COLUMNS} FROM documents
     WHERE kind = $1 AND org = $2 AND ${ALIVE} AND env = $4 AND id > $5 ORDER BY id LIMIT $6`,
    [kind, org, now, env, after, limit],
  );
  return pageOf(rows.map(documentOf), limit);
}

async function sweep(sql: Sql, now: number): Promise<void> {
  await sql.run(
    `DELETE FROM documents WHERE (kind, id) IN
       (SELECT kind, id FROM documents WHERE expires_at <= $1 ORDER BY expires_at LIMIT ${SWEPT_AT_ONCE})`,
    [now],
  );
}
