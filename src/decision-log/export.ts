import type { Checkpoint, LogEnd, RecordQuery, Tenant, Within } from '../store/model.ts';
import type { Store } from '../store/store.ts';

const PAGE = 500;
const CHECKPOINTS = 200;

/** Where an export goes on: after a position; or, of a filtered one, which is by time, within a window of positions. */
export interface ExportPlace {
  readonly after: number;
  /** Null: the window is done, or was not begun. */
  readonly window: { readonly upTo: number; readonly cursor: string | null } | null;
}

/** Lines that follow each other, and the place after them. */
export interface ExportedPage {
  readonly lines: readonly string[];
  readonly next: ExportPlace;
}

type ExportFilters = Omit<RecordQuery, 'cursor' | 'limit' | 'order' | 'after' | 'up_to' | 'org' | 'env'>;

/**
 * Records that pass the filters, up to the last one there is at the beginning, page by page. Without filters they come in
 * the order of commit, else by time. Going on from the last place gives what was committed since: each record once, in one
 * of them.
 */
async function* exportPages(
  store: Pick<Store, 'streamRecords' | 'queryRecords' | 'logEnd'>,
  tenant: Tenant,
  filters: ExportFilters,
  from: ExportPlace | null,
): AsyncGenerator<ExportedPage, void, undefined> {
  let place = from ?? { after: 0, window: null };
  const upTo = place.window?.upTo ?? (await store.logEnd()).position;
  if (Object.keys(filters).length === 0) {
    while (place.after < upTo) {
      const page = await store.streamRecords(tenant, place.after, PAGE);
      const records = page.records.filter(({ position }) => position <= upTo);
      place = { after: page.done ? upTo : Math.min(page.next, upTo), window: null };
      yield { lines: records.map(({ line }) => line), next: place };
    }
    return;
  }
  for (let cursor = place.window?.cursor ?? null; place.after < upTo; ) {
    const { after } = place;
    const window = { ...filters, ...(after > 0 && { after }), up_to: upTo };
    const page = await store.queryRecords({
      ...tenant,
      ...window,
      order: 'asc',
      limit: PAGE,
      ...(cursor !== null && { cursor }),
    });
    cursor = page.next_cursor;
    place = cursor === null ? { after: upTo, window: null } : { after, window: { upTo, cursor } };
    yield { lines: page.lines, next: place };
  }
}

/** A line, with the place after it where it ends a page; or, after a page without lines, the place alone. */
export interface ExportItem {
  readonly line?: string;
  readonly place?: string;
}

/** `exportPages` line by line. `after`: a place that an earlier one gave; null: from the start. */
export async function* exportItems(
  store: Parameters<typeof exportPages>[0],
  tenant: Tenant,
  filters: ExportFilters,
  after: string | null,
): AsyncGenerator<ExportItem, void, undefined> {
  for await (const { lines, next } of exportPages(
    store,
    tenant,
    filters,
    after === null ? null : placeOf(after),
  )) {
    const place = placeText(next);
    for (const [at, line] of lines.entries()) yield at < lines.length - 1 ? { line } : { line, place };
    if (lines.length === 0) yield { place };
  }
}

/** `p`, or `p~q~cursor`: as it stands in a cursor of the API. */
function placeText({ after, window }: ExportPlace): string {
  return window === null ? `${after}` : `${after}~${window.upTo}~${window.cursor ?? ''}`;
}

/** Null for what `placeText` does not give. */
function placeOf(text: string): ExportPlace | null {
  const [, after, upTo, cursor] = /^(\d{1,16})(?:~(\d{1,16})~([\d.]*))?$/.exec(text) ?? [];
  if (after === undefined) return null;
  const window =
    upTo === undefined ? null : { upTo: Number(upTo), cursor: cursor === '' ? null : (cursor ?? null) };
  return { after: Number(after), window };
}

type Source = Pick<Store, 'streamRecords' | 'checkpointsAfter' | 'logEnd'>;

/**
 * The log with what proves it, as it is at this moment; `verifyChain` reads these lines. Beside the records:
 * `{"pruned":…}`, first, says where each chain begins; `{"checkpoint":…}` stands right after the record that it vouches
 * for; `{"withheld":…}` for a record of another tenant; `{"end":…}`, last, names the heads.
 */
export async function* provenLines(
  store: Source,
  within: Within,
): AsyncGenerator<{ readonly line: string }, void, undefined> {
  const end = await store.logEnd();
  for (const pruned of end.prunings) yield statement({ pruned });
  const vouching = new Map(end.chains.map(({ node, checkpoint }) => [node, reader(store, node, checkpoint)]));
  for await (const { node, seq, line } of recordsUpTo(store, within, end.position)) {
    const due = vouching.get(node);
    // Those of records that are not there come first: what is missing is then told by the next record.
    if (due !== undefined) yield* due(seq - 1);
    yield { line };
    if (due !== undefined) yield* due(seq);
  }
  for (const due of vouching.values()) yield* due(Number.MAX_SAFE_INTEGER);
  yield statement({ end: endOf(end) });
}

async function* recordsUpTo(store: Source, within: Within, position: number) {
  for (let after = 0; after < position; ) {
    const page = await store.streamRecords(within, after, PAGE, true);
    for (const record of page.records) if (record.position <= position) yield record;
    after = page.done ? position : page.next;
  }
}

type Due = (seq: number) => AsyncGenerator<{ readonly line: string }, void, undefined>;

/** Gives a node's checkpoints up to a record, in order, each once; none after `last`, which came later. */
function reader(store: Source, node: string, last: number | null): Due {
  let page: Checkpoint[] = [];
  let read = -1;
  return async function* (seq) {
    for (;;) {
      if (page.length === 0 && read < (last ?? -1)) {
        page = await store.checkpointsAfter(node, read, CHECKPOINTS);
        read = page.at(-1)?.seq ?? Number.MAX_SAFE_INTEGER;
      }
      const next = page[0];
      if (next === undefined || next.seq > seq || next.seq > (last ?? -1)) return;
      page.shift();
      yield statement({ checkpoint: next });
    }
  };
}

function endOf({ position, chains }: LogEnd) {
  const heads = chains.filter(({ seq }) => seq > 0).map(({ node, seq, hash }) => ({ node, seq, hash }));
  return { v: 1, position, heads };
}

function statement(value: object): { readonly line: string } {
  return { line: JSON.stringify(value) };
}
