import { randomBytes } from 'node:crypto';
import { StoreOpenError } from '../errors.ts';
import { one, type Sql } from './sql.ts';

/** PostgreSQL 13: the first that tells what became of a transaction by its full number (`pg_xact_status`). */
const OLDEST_SERVER = 130_000;

/** Text sorts by bytes, as SQLite's does. Ids, cursors and listings depend on it. */
const TEXT = 'text COLLATE "C"';

/**
 * Migration n brings schema n to n + 1. Never change one that was released: add another. They follow SQLite's
 * (src/store/migrations.ts) in what they hold.
 *
 * A query's filters are columns of indices that go on by time: each alone is one descent and a page, however rare it is;
 * so is each with the denies, which are few and looked for.
 * `chains` counts what is there of a node: files don't shrink when rows go, so that their size does not tell.
 */
const MIGRATIONS: readonly string[] = [
  `
  CREATE TABLE events (
    seq bigint PRIMARY KEY, epoch bigint NOT NULL, time bigint NOT NULL,
    org ${TEXT} NOT NULL, env ${TEXT} NOT NULL, type ${TEXT} NOT NULL, runtime_id ${TEXT}, payload text NOT NULL
  );
  CREATE INDEX events_by_time ON events (org, env, time, seq);

  CREATE TABLE runtimes (
    org ${TEXT} NOT NULL, env ${TEXT} NOT NULL, runtime_id ${TEXT} NOT NULL, agent_id ${TEXT} NOT NULL,
    workspace_id ${TEXT} NOT NULL, profile ${TEXT} NOT NULL, subject ${TEXT} NOT NULL, keys text,
    registered_at bigint NOT NULL, seq bigint NOT NULL, PRIMARY KEY (org, env, runtime_id)
  );
  CREATE TABLE runtime_states (
    org ${TEXT} NOT NULL, env ${TEXT} NOT NULL, runtime_id ${TEXT} NOT NULL,
    status ${TEXT} NOT NULL CHECK (status IN ('active', 'inactive', 'killed')),
    taint_epoch bigint NOT NULL CHECK (taint_epoch >= 0), PRIMARY KEY (org, env, runtime_id)
  );
  CREATE TABLE revocations (
    org ${TEXT} NOT NULL, env ${TEXT} NOT NULL, kind ${TEXT} NOT NULL CHECK (kind IN ('lemma', 'key')),
    value ${TEXT} NOT NULL, PRIMARY KEY (org, env, kind, value)
  );

  CREATE TABLE records (
    position bigint PRIMARY KEY, node ${TEXT} NOT NULL, seq bigint NOT NULL, decision_id ${TEXT} NOT NULL,
    time bigint NOT NULL, org ${TEXT} NOT NULL, env ${TEXT} NOT NULL, runtime_id ${TEXT}, agent_id ${TEXT},
    workspace_id ${TEXT}, subject ${TEXT}, verdict ${TEXT} NOT NULL, reason ${TEXT} NOT NULL, route ${TEXT},
    line text NOT NULL
  );
  CREATE UNIQUE INDEX records_by_seq ON records (node, seq);
  CREATE INDEX records_by_decision ON records (decision_id, position);
  CREATE INDEX records_by_time ON records (org, env, time, position);
  CREATE INDEX records_by_runtime ON records (org, env, runtime_id, time, position);
  CREATE INDEX records_by_agent ON records (org, env, agent_id, time, position);
  CREATE INDEX records_by_workspace ON records (org, env, workspace_id, time, position);
  CREATE INDEX records_by_subject ON records (org, env, subject, time, position);
  CREATE INDEX records_by_verdict ON records (org, env, verdict, time, position);
  CREATE INDEX records_by_reason ON records (org, env, reason, time, position);
  CREATE INDEX records_by_route ON records (org, env, route, time, position);
  CREATE INDEX records_denied_by_agent ON records (org, env, agent_id, time, position) WHERE verdict = 'deny';
  CREATE INDEX records_denied_by_workspace ON records (org, env, workspace_id, time, position) WHERE verdict = 'deny';
  CREATE INDEX records_denied_by_subject ON records (org, env, subject, time, position) WHERE verdict = 'deny';
  CREATE INDEX records_denied_by_route ON records (org, env, route, time, position) WHERE verdict = 'deny';
  CREATE TABLE chains (
    node ${TEXT} PRIMARY KEY, seq bigint NOT NULL, hash text NOT NULL, records bigint NOT NULL, bytes bigint NOT NULL
  );
  CREATE TABLE checkpoints (
    node ${TEXT} NOT NULL, seq bigint NOT NULL, document text NOT NULL, PRIMARY KEY (node, seq)
  );
  CREATE TABLE prunings (node ${TEXT} PRIMARY KEY, seq bigint NOT NULL, document text NOT NULL);

  CREATE TABLE nonces (
    keyid ${TEXT} NOT NULL, nonce ${TEXT} NOT NULL, created bigint NOT NULL, PRIMARY KEY (keyid, nonce)
  );
  CREATE INDEX nonces_by_age ON nonces (created);
  CREATE TABLE budgets (lemma_id ${TEXT} PRIMARY KEY, used bigint NOT NULL, expires_at bigint NOT NULL);
  CREATE INDEX budgets_by_age ON budgets (expires_at);

  CREATE TABLE bundles (
    sha256 ${TEXT} PRIMARY KEY, name ${TEXT} NOT NULL, revision ${TEXT} NOT NULL, serial bigint NOT NULL,
    files bytea NOT NULL, activated_at bigint, activated_seq bigint, UNIQUE (name, revision)
  );
  CREATE TABLE signing_keys (
    use ${TEXT} NOT NULL CHECK (use IN ('authority', 'checkpoint', 'bundle')), kid ${TEXT} NOT NULL, x text NOT NULL,
    status ${TEXT} NOT NULL CHECK (status IN ('current', 'previous', 'retired')),
    since bigint NOT NULL, until bigint, endorsement text, PRIMARY KEY (use, kid)
  );
  CREATE TABLE documents (
    kind ${TEXT} NOT NULL, id ${TEXT} NOT NULL, org ${TEXT} NOT NULL, env ${TEXT} NOT NULL, version bigint NOT NULL,
    expires_at bigint, body text NOT NULL, PRIMARY KEY (kind, id)
  );
  CREATE INDEX documents_by_tenant ON documents (kind, org, env, id);
  CREATE INDEX documents_by_age ON documents (expires_at) WHERE expires_at IS NOT NULL;
  `,
  `
  ALTER TABLE runtime_states ADD COLUMN revived_epoch bigint, ADD COLUMN revived_at bigint;
  ALTER TABLE revocations DROP CONSTRAINT revocations_kind_check,
    ADD CONSTRAINT revocations_kind_check CHECK (kind IN ('lemma', 'key', 'subject'));
  `,
];

/** The schema that this version writes. */
export const SCHEMA_VERSION = MIGRATIONS.length;

/**
 * Brings the database to `SCHEMA_VERSION` in one transaction, under a lock: of nodes that start together one migrates, the
 * others wait and find it done. A new one is born at `now` (ms); null: only one that is there will do.
 *
 * Throws `StoreOpenError`: a newer schema, somebody else's tables, an old server, a database that is not UTF-8, or none there.
 */
export async function migrate(sql: Sql, schema: string, shown: string, now: number | null): Promise<void> {
  await checkServer(sql, shown);
  await sql.run('BEGIN');
  try {
    await sql.all('SELECT pg_advisory_xact_lock(hashtextextended($1, 0))', [`lemma:migrate:${schema}`]);
    const from = await versionOf(sql, schema, shown);
    if (from > SCHEMA_VERSION) {
      throw new StoreOpenError(
        'newer_schema',
        `${shown} was written by a newer Lemma (schema ${from}; this one knows up to ${SCHEMA_VERSION}): update Lemma, or restore a dump from before`,
      );
    }
    if (from === 0 && now === null)
      throw new StoreOpenError(
        'unusable',
        `${shown} holds nothing any more: put it back, then restart this process`,
      );
    if (from === 0 && now !== null) await found(sql, schema, now);
    for (const text of MIGRATIONS.slice(from)) await sql.run(text);
    if (from < SCHEMA_VERSION)
      await sql.run("UPDATE meta SET value = $1 WHERE key = 'schema'", [String(SCHEMA_VERSION)]);
    await sql.run('COMMIT');
  } catch (error) {
    await sql.run('ROLLBACK').catch(() => undefined);
    throw error;
  }
}

async function checkServer(sql: Sql, shown: string): Promise<void> {
  const row = await one<{ version: number; encoding: string }>(
    sql,
    `SELECT current_setting('server_version_num')::int AS version, current_setting('server_encoding') AS encoding`,
  );
  if ((row?.version ?? 0) < OLDEST_SERVER)
    throw new StoreOpenError('unusable', `${shown} is older than PostgreSQL 13: use a newer one`);
  if (row?.encoding !== 'UTF8')
    throw new StoreOpenError('unusable', `${shown} is not in UTF8: create it with ENCODING 'UTF8'`);
}

/** 0: there is nothing in the schema. */
async function versionOf(sql: Sql, schema: string, shown: string): Promise<number> {
  const tables = await sql.all<{ name: string }>(
    'SELECT c.relname AS name FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = $1',
    [schema],
  );
  if (tables.length === 0) return 0;
  const notOurs = new StoreOpenError(
    'not_ours',
    `schema ${schema} of ${shown} is not Lemma's: name another one (?schema=…), or another database`,
  );
  const meta = await sql.all<{ name: string }>(
    `SELECT a.attname AS name FROM pg_attribute a WHERE a.attrelid = to_regclass('meta') AND a.attnum > 0 ORDER BY a.attnum`,
  );
  if (meta.map(({ name }) => name).join() !== 'key,value') throw notOurs;
  const rows = await sql.all<{ key: string; value: string }>('SELECT key, value FROM meta');
  const values = new Map(rows.map(({ key, value }) => [key, value]));
  const version = Number(values.get('schema'));
  if (values.get('application') !== 'lemma' || !Number.isInteger(version) || version < 1) throw notOurs;
  return version;
}

async function found(sql: Sql, schema: string, now: number): Promise<void> {
  const known = await one(sql, 'SELECT 1 FROM pg_namespace WHERE nspname = $1', [schema]);
  // Not `IF NOT EXISTS`: that needs the right to create one also where it is there.
  if (known === null) await sql.run(`CREATE SCHEMA ${schema}`);
  await sql.run(`CREATE TABLE meta (key ${TEXT} PRIMARY KEY, value text NOT NULL)`);
  await sql.run(
    `INSERT INTO meta (key, value) VALUES ('application', 'lemma'), ('schema', '0'), ('store_id', $1), ('birth', $2)`,
    [randomBytes(16).toString('base64url'), String(now)],
  );
}
