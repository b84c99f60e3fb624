import type { Database } from 'better-sqlite3';
import { StoreConflict } from './errors.ts';
import type { DocumentPage, NewDocument, StoredDocument, Tenant } from './model.ts';

export type DocumentRow = Omit<StoredDocument, 'body'> & { readonly body: string };

export const DOCUMENT_COLUMNS = 'kind, id, org, env, version, expires_at, body';
/** Expired ones that one write takes out along the way. */
export const SWEPT_AT_ONCE = 16;

/**
 * Writes a document whose version is still `version` (0: there is none, or an expired one), and gives the new version.
 *
 * Throws `StoreConflict`: somebody else wrote it meanwhile.
 */
export function putDocument(db: Database, document: NewDocument, now: number): number {
  const { kind, id, org, env, version, expires_at, body } = document;
  sweep(db, now);
  const known = getDocument(db, kind, id, now)?.version ?? 0;
  if (known !== version) throw moved(kind, id);
  db.prepare(`INSERT OR REPLACE INTO documents (${DOCUMENT_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?)`).run(
    kind,
    id,
    org,
    env,
    version + 1,
    expires_at,
    JSON.stringify(body),
  );
  return version + 1;
}

/** Throws `StoreConflict` where its version is another. */
export function removeDocument(db: Database, kind: string, id: string, version: number, now: number): void {
  if (getDocument(db, kind, id, now)?.version !== version) throw moved(kind, id);
  db.prepare('DELETE FROM documents WHERE kind = ? AND id = ?').run(kind, id);
}

/** Null where there is none, or where it has expired. */
export function getDocument(db: Database, kind: string, id: string, now: number): StoredDocument | null {
  const row = db
    .prepare<unknown[], DocumentRow>(
      `SELECT ${DOCUMENT_COLUMNS} FROM documents WHERE kind = ? AND id = ? AND (expires_at IS NULL OR expires_at > ?)`,
    )
    .get(kind, id, now);
  return row === undefined ? null : documentOf(row);
}

/** Those of a tenant by id, after `after`. */
export function listDocuments(
  db: Database,
  kind: string,
  { org, env }: Tenant,
  after: string,
  limit: number,
  now: number,
): DocumentPage {
  const documents = db
    .prepare<unknown[], DocumentRow>(
      `SELECT ${DOCUMENT_COLUMNS} FROM documents
       WHERE kind = ? AND org = ? AND env = ? AND id > ? AND (expires_at IS NULL OR expires_at > ?)
       ORDER BY id LIMIT ?`,
    )
    .all(kind, org, env, after, now, limit)
    .map(documentOf);
  return pageOf(documents, limit);
}

export function pageOf(documents: readonly StoredDocument[], limit: number): DocumentPage {
  return { documents, next_cursor: documents.length < limit ? null : (documents.at(-1)?.id ?? null) };
}

function sweep(db: Database, now: number): void {
  db.prepare(
    `DELETE FROM documents WHERE (kind, id) IN
       (SELECT kind, id FROM documents WHERE expires_at <= ? ORDER BY expires_at LIMIT ${SWEPT_AT_ONCE})`,
  ).run(now);
}

export function documentOf({ body, ...row }: DocumentRow): StoredDocument {
  return { ...row, body: JSON.parse(body) as unknown };
}

export function moved(kind: string, id: string): StoreConflict {
  return new StoreConflict('document_moved', `The ${kind} ${id} was changed by somebody else: read it again`);
}
