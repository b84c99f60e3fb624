import type { Cursors } from '../authority/cursor.ts';
import { PAGE_LIMIT } from '../schema/api.ts';
import { type PageQuery, pageQuerySchema } from '../schema/api-access.ts';
import type { Tenant } from '../store/model.ts';
import type { OperationId } from './operations.ts';
import { reader } from './read.ts';

const readPage = reader<PageQuery>(pageQuerySchema);

/** Which page of a list is asked for. `cursor`: the id that it begins after. Throws InputError. */
export function pageOf(
  cursors: Cursors,
  list: OperationId,
  tenant: Tenant,
  query: unknown,
): { readonly cursor?: string; readonly limit: number } {
  const { cursor, limit } = readPage(query);
  return {
    ...(cursor === undefined ? {} : { cursor: cursors.open(questionOf(list, tenant), cursor) }),
    limit: Number(limit ?? PAGE_LIMIT.usual),
  };
}

/** `next_cursor` of a page. */
export function nextOf(
  cursors: Cursors,
  list: OperationId,
  tenant: Tenant,
  last: string | null,
): string | null {
  return last === null ? null : cursors.seal(questionOf(list, tenant), last);
}

function questionOf(list: OperationId, { org, env }: Tenant): string {
  return JSON.stringify([list, org, env]);
}
