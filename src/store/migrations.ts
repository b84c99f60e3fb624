import { randomBytes } from 'node:crypto';
import type { Database } from 'better-sqlite3';
import { StoreOpenError } from './errors.ts';

/** `PRAGMA application_id`: "LEMA". */
const APPLICATION_ID = 0x4c454d41;

/**
 * Migration n brings schema n to n + 1. Never change one that was released: add another.
 *
 * `records_by_time` covers every filter of a query, so that a scan reads no record that it does not return.
 */
const MIGRATIONS: readonly string[] = [
  `
  CREATE TABLE events (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, epoch INTEGER NOT NULL, time INTEGER NOT NULL,
    org TEXT NOT NULL, env TEXT NOT NULL, type TEXT NOT NULL, runtime_id TEXT, payload TEXT NOT NULL
  ) STRICT;
  CREATE INDEX events_by_time ON events (org, env, time, seq);

  CREATE TABLE runtimes (
    org TEXT NOT NULL, env TEXT NOT NULL, runtime_id TEXT NOT NULL, agent_id TEXT NOT NULL, workspace_id TEXT NOT NULL,
    profile TEXT NOT NULL, subject TEXT NOT NULL, keys TEXT, registered_at INTEGER NOT NULL, seq INTEGER NOT NULL,
    PRIMARY KEY (org, env, runtime_id)
  ) STRICT, WITHOUT ROWID;
  CREATE TABLE runtime_states (
    org TEXT NOT NULL, env TEXT NOT NULL, runtime_id TEXT NOT NULL,
    status TEXT NOT NULL CHECK (status IN ('active', 'inactive', 'killed')),
    taint_epoch INTEGER NOT NULL CHECK (taint_epoch >= 0),
    PRIMARY KEY (org, env, runtime_id)
  ) STRICT, WITHOUT ROWID;
  CREATE TABLE revocations (
    org TEXT NOT NULL, env TEXT NOT NULL, kind TEXT NOT NULL CHECK (kind IN ('lemma', 'key')), value TEXT NOT NULL,
    PRIMARY KEY (org, env, kind, value)
  ) STRICT, WITHOUT ROWID;

  CREATE TABLE records (
    position INTEGER PRIMARY KEY, node TEXT NOT NULL, seq INTEGER NOT NULL, decision_id TEXT NOT NULL,
    time INTEGER NOT NULL, org TEXT NOT NULL, env TEXT NOT NULL, runtime_id TEXT, agent_id TEXT, workspace_id TEXT,
    subject TEXT, verdict TEXT NOT NULL, reason TEXT NOT NULL, route TEXT, line BLOB NOT NULL
  ) STRICT;
  CREATE UNIQUE INDEX records_by_seq ON records (node, seq);
  CREATE INDEX records_by_decision ON records (decision_id);
  CREATE INDEX records_by_time ON records
    (org, env, time, position, runtime_id, agent_id, workspace_id, subject, verdict, reason, route);
  CREATE TABLE chains (node TEXT PRIMARY KEY, seq INTEGER NOT NULL, hash TEXT NOT NULL) STRICT, WITHOUT ROWID;
  CREATE TABLE checkpoints (
    node TEXT NOT NULL, seq INTEGER NOT NULL, document TEXT NOT NULL, PRIMARY KEY (node, seq)
  ) STRICT, WITHOUT ROWID;

  CREATE TABLE nonces (
    keyid TEXT NOT NULL, nonce TEXT NOT NULL, created INTEGER NOT NULL, PRIMARY KEY (keyid, nonce)
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX nonces_by_age ON nonces (created);
  CREATE TABLE budgets (
    lemma_id TEXT PRIMARY KEY, used INTEGER NOT NULL, expires_at INTEGER NOT NULL
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX budgets_by_age ON budgets (expires_at);

  CREATE TABLE bundles (
    sha256 TEXT PRIMARY KEY, name TEXT NOT NULL, revision TEXT NOT NULL, serial INTEGER NOT NULL, files BLOB NOT NULL,
    activated_at INTEGER, activated_seq INTEGER, UNIQUE (name, revision)
  ) STRICT;
  `,
  `
  CREATE TABLE prunings (node TEXT PRIMARY KEY, seq INTEGER NOT NULL, document TEXT NOT NULL) STRICT, WITHOUT ROWID;
  CREATE TABLE signing_keys (
    use TEXT NOT NULL CHECK (use IN ('authority', 'checkpoint', 'bundle')), kid TEXT NOT NULL, x TEXT NOT NULL,
    status TEXT NOT NULL CHECK (status IN ('current', 'previous', 'retired')),
    since INTEGER NOT NULL, until INTEGER, endorsement TEXT, PRIMARY KEY (use, kid)
  ) STRICT, WITHOUT ROWID;
  `,
  `
  CREATE TABLE documents (
    kind TEXT NOT NULL, id TEXT NOT NULL, org TEXT NOT NULL, env TEXT NOT NULL, version INTEGER NOT NULL,
    expires_at INTEGER, body TEXT NOT NULL, PRIMARY KEY (kind, id)
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX documents_by_tenant ON documents (kind, org, env, id);
  CREATE INDEX documents_by_age ON documents (expires_at) WHERE expires_at IS NOT NULL;
  `,
  // By age as they come, not by key within a second: of each nonce one page less is written, anywhere in the index.
  `
  CREATE TABLE spent_nonces (
    id INTEGER PRIMARY KEY, keyid TEXT NOT NULL, nonce TEXT NOT NULL, created INTEGER NOT NULL, UNIQUE (keyid, nonce)
  ) STRICT;
  INSERT INTO spent_nonces (keyid, nonce, created) SELECT keyid, nonce, created FROM nonces ORDER BY created;
  DROP TABLE nonces;
  ALTER TABLE spent_nonces RENAME TO nonces;
  CREATE INDEX nonces_by_age ON nonces (created);
  `,
  `
  ALTER TABLE runtime_states ADD COLUMN revived_epoch INTEGER;
  ALTER TABLE runtime_states ADD COLUMN revived_at INTEGER;
  CREATE TABLE revocations_next (
    org TEXT NOT NULL, env TEXT NOT NULL, kind TEXT NOT NULL CHECK (kind IN ('lemma', 'key', 'subject')),
    value TEXT NOT NULL, PRIMARY KEY (org, env, kind, value)
  ) STRICT, WITHOUT ROWID;
  INSERT INTO revocations_next SELECT org, env, kind, value FROM revocations;
  DROP TABLE revocations;
  ALTER TABLE revocations_next RENAME TO revocations;
  `,
  // A log from before has one block, which may hold anything (src/store/blocks.ts).
  `
  CREATE TABLE record_blocks (
    first INTEGER PRIMARY KEY, last INTEGER NOT NULL, min_time INTEGER NOT NULL, max_time INTEGER NOT NULL, bits BLOB
  ) STRICT;
  CREATE INDEX record_blocks_by_max ON record_blocks (max_time, min_time, first, last);
  CREATE INDEX record_blocks_by_min ON record_blocks (min_time, max_time, first, last);
  INSERT INTO record_blocks SELECT min(position), max(position), min(time), max(time), NULL FROM records
    HAVING count(*) > 0;
  `,
  // Their filters were made by another hash: those blocks may hold anything.
  `
  UPDATE record_blocks SET bits = NULL;
  `,
];

/** The schema that this version writes. */
export const SCHEMA_VERSION = MIGRATIONS.length;

/**
 * Brings the database to schema `to`, one transaction a step; an empty file becomes a new store, born at `now` (ms).
 *
 * Throws `StoreOpenError` for a newer schema, or a database of somebody else.
 */
export function migrate(db: Database, now: number, to = SCHEMA_VERSION): void {
  const from = checkSchema(db);
  if (from === 0) db.transaction(() => found(db, now)).immediate();
  for (const [index, sql] of MIGRATIONS.slice(0, to).entries()) {
    if (index < from) continue;
    db.transaction(() => {
      db.exec(sql);
      db.prepare("UPDATE meta SET value = ? WHERE key = 'schema'").run(String(index + 1));
    }).immediate();
  }
}

/** The schema that a database has; 0: it is empty. Throws `StoreOpenError` for a newer one, or a database of somebody else. */
export function checkSchema(db: Database): number {
  const version = versionOf(db);
  if (version <= SCHEMA_VERSION) return version;
  throw new StoreOpenError(
    'newer_schema',
    `${db.name} was written by a newer Lemma (schema ${version}; this one knows up to ${SCHEMA_VERSION}): update Lemma, or restore a backup from before`,
  );
}

function versionOf(db: Database): number {
  const tables = db.prepare("SELECT count(*) FROM sqlite_master WHERE type = 'table'").pluck().get();
  if (tables === 0) return 0;
  if (db.pragma('application_id', { simple: true }) !== APPLICATION_ID) throw notOurs(db);
  const version = Number(db.prepare("SELECT value FROM meta WHERE key = 'schema'").pluck().get());
  if (!Number.isInteger(version) || version < 0) throw notOurs(db);
  return version;
}

function notOurs(db: Database): StoreOpenError {
  return new StoreOpenError(
    'not_ours',
    `${db.name} is not a Lemma database: move it away, or change \`data\``,
  );
}

function found(db: Database, now: number): void {
  db.pragma(`application_id = ${APPLICATION_ID}`);
  db.exec(
    'CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID',
  );
  const put = db.prepare('INSERT OR IGNORE INTO meta (key, value) VALUES (?, ?)');
  put.run('schema', '0');
  put.run('store_id', randomBytes(16).toString('base64url'));
  put.run('birth', String(now));
}
