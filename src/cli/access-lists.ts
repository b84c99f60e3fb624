import { type Answer, type ControlApi, cell, member } from './control-api.ts';
import { CliError } from './exit.ts';
import { type Terminal, table } from './terminal.ts';

/** All pages of a list of the control plane. Throws CliError where an answer has none. */
export async function everyPage(api: ControlApi, path: string, name: string): Promise<Answer[]> {
  const items: Answer[] = [];
  let cursor: unknown = null;
  do {
    const query = cursor === null ? '' : `?cursor=${encodeURIComponent(String(cursor))}`;
    const answer = await api.get(`${path}${query}`);
    const page = answer[name];
    if (!Array.isArray(page))
      throw new CliError('answer_invalid', `the control plane answered without ${name}`);
    items.push(...(page as Answer[]));
    cursor = answer.next_cursor ?? null;
  } while (cursor !== null);
  return items;
}

/** Members as columns, under their names where a person looks on; lists with commas between. */
export function columns(
  items: readonly Answer[],
  names: readonly string[],
  { interactive }: Terminal,
): string[] {
  const rows = items.map((item) =>
    names.map((name) => {
      const value = member(item, name);
      return Array.isArray(value) ? value.join(',') : cell(value);
    }),
  );
  return table(interactive ? [[...names], ...rows] : rows, interactive);
}
