import type { QueryResultRow } from 'pg';

/** A connection that statements go to, one after another. Names in their text are columns and ours; values are bound. */
export interface Sql {
  all<R extends QueryResultRow>(text: string, values?: readonly unknown[]): Promise<R[]>;
  /** How many rows were touched. */
  run(text: string, values?: readonly unknown[]): Promise<number>;
}

/** The first row, or null. */
export async function one<R extends QueryResultRow>(
  sql: Sql,
  text: string,
  values: readonly unknown[] = [],
): Promise<R | null> {
  const [row] = await sql.all<R>(text, values);
  return row ?? null;
}

/** `@name` to `$n`, so that one text serves both databases. */
export function numbered(
  text: string,
  bound: Readonly<Record<string, unknown>>,
): [text: string, values: unknown[]] {
  const names: string[] = [];
  const withNumbers = text.replaceAll(/@([A-Za-z_]+)/g, (_, name: string) => {
    if (!names.includes(name)) names.push(name);
    return `$${names.indexOf(name) + 1}`;
  });
  return [withNumbers, names.map((name) => bound[name])];
}
