import type { Within } from '../store/model.ts';
import type { Store } from '../store/store.ts';

/** An exact stored line, and the cursor that an interrupted export goes on from. */
export interface ExportedLine {
  readonly line: string;
  readonly cursor: number;
}

const PAGE = 500;

/**
 * The log in the order of commit, page by page, as fast as the reader takes it; ends at the last record there is. A
 * line plus `\n` is NDJSON. Only an export of everything (`within` 'any') holds whole chains for `verifyChain`.
 */
export async function* exportLines(
  store: Pick<Store, 'streamRecords'>,
  within: Within,
  cursor = 0,
): AsyncGenerator<ExportedLine, void, undefined> {
  let after = cursor;
  let done = false;
  while (!done) {
    const page = await store.streamRecords(within, after, PAGE);
    for (const { line, position } of page.records) yield { line, cursor: position };
    after = page.next;
    done = page.done;
  }
}
