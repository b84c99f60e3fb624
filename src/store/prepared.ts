import type { Database, Statement } from 'better-sqlite3';

/** Texts are ours: a few for each set of filters. */
const KEPT_AT_MOST = 256;

const known = new WeakMap<Database, Map<string, Statement>>();

/** The statement of a text, made once for each database: a query of many short scans would spend a fifth of its time on that. */
export function prepared<Row>(db: Database, text: string): Statement<unknown[], Row> {
  const statements = known.get(db) ?? new Map<string, Statement>();
  known.set(db, statements);
  const found = statements.get(text);
  if (found !== undefined) return found as Statement<unknown[], Row>;
  if (statements.size >= KEPT_AT_MOST) statements.clear();
  const statement = db.prepare<unknown[], Row>(text);
  statements.set(text, statement as unknown as Statement);
  return statement;
}
