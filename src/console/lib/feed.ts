import { useCallback, useEffect, useRef, useState } from 'preact/hooks';
import type { DecisionRecord } from '../../schema/decision.ts';
import { type ApiError, get, type Query, queryText } from './api.ts';
import { type DecisionRow, filtersIn, rowOf } from './decisions.ts';
import { emptyBuffer, type FeedBuffer, fill, KEPT, mend, passOver, show, take } from './feed-buffer.ts';
import { asApiError } from './query.ts';
import { follow, type StreamEvent, type StreamState } from './sse.ts';

const DECISIONS = '/api/wallet/runtimes/decisions';
const PAGE = 200;
/** Of what a stream did not bring. */
const LARGE_PAGE = 1000;
/** A page that is drawn ten times a second looks alive; each drawing costs the same, however many came. */
const DRAWN_MS = 100;
/** Without a stream the page asks so often. */
export const ASKED_MS = 3000;
/** So long a first page waits for the stream. */
const FIRST_MS = 400;
/** Records are stored in an order that is not quite that of their times. */
const SLACK_MS = 2000;

/** `asking`: no stream comes through; the page asks for what is new. */
export type FeedState = StreamState | 'asking';

export interface Feed {
  /** The latest first. */
  readonly rows: readonly DecisionRow[];
  /** Those that came since it was held, however many are kept. */
  readonly waiting: number;
  /** Those that were here, and made room for newer ones. */
  readonly letGo: number;
  /** Whether others, uncounted, were passed over. */
  readonly gap: boolean;
  readonly state: FeedState;
  /** How many events the stream is behind, where it said so. */
  readonly behind: number | null;
  readonly error: ApiError | null;
  readonly loading: boolean;
  readonly more: boolean;
  readonly loadOlder: () => void;
}

const NOTHING = { rows: [] as readonly DecisionRow[], waiting: 0, letGo: 0, gap: false };

/** `cursor`: to older ones; undefined before the first page came. */
type Buffer = FeedBuffer<DecisionRow> & { cursor: string | null | undefined };

/**
 * Decisions of these filters, and each new one as it is made. What is there is asked for when the stream has begun, so that
 * none falls between them. `held`: what comes waits, and nothing moves.
 */
export function useFeed(query: string, held: boolean): Feed {
  const [shown, setShown] = useState(NOTHING);
  const [state, setState] = useState<FeedState>('connecting');
  const [behind, setBehind] = useState<number | null>(null);
  const [error, setError] = useState<ApiError | null>(null);
  const [loading, setLoading] = useState(true);
  const [more, setMore] = useState(false);
  const buffer = useRef<Buffer>({ ...emptyBuffer(), cursor: undefined });
  const holding = useRef(held);
  const timer = useRef<ReturnType<typeof setTimeout> | undefined>(undefined);

  const draw = useCallback(() => {
    timer.current = undefined;
    const now = buffer.current;
    if (!holding.current) show(now);
    const { rows, waiting, missed, letGo, gap, cursor } = now;
    setShown({ rows, waiting: waiting.length + missed, letGo, gap });
    setMore(typeof cursor === 'string' && rows.length < KEPT);
  }, []);
  const drawSoon = useCallback(() => {
    timer.current ??= setTimeout(draw, DRAWN_MS);
  }, [draw]);

  useEffect(() => {
    holding.current = held;
    drawSoon();
  }, [held, drawSoon]);

  useEffect(() => {
    const abort = new AbortController();
    const filters = filtersIn(new URLSearchParams(query));
    const own: Buffer = { ...emptyBuffer(), cursor: undefined };
    buffer.current = own;
    setShown(NOTHING);
    setError(null);
    setLoading(true);
    setMore(false);
    setBehind(null);

    let asking = false;
    let again = false;
    /** Asks for what is not here: the first page, or what came since the latest that is. Gives whether that was answered. */
    const ask = async (): Promise<boolean | null> => {
      // What is under way may have been answered before what this is to bring.
      if (asking) again = true;
      if (asking) return null;
      asking = true;
      try {
        await bringNewer(own, filters, abort.signal);
        setError(null);
        setLoading(false);
        draw();
        return true;
      } catch (failed) {
        if (abort.signal.aborted) return null;
        const error = asApiError(failed);
        // What is here stays: that the server does not answer is said beside it.
        if (error.code !== 'offline' || own.cursor === undefined) setError(error);
        setLoading(false);
        return false;
      } finally {
        asking = false;
        if (again && !abort.signal.aborted) void ask();
        again = false;
      }
    };
    let streams = true;
    /** In the place of a stream. */
    const askInstead = async () => {
      if (streams || document.visibilityState !== 'visible') return;
      const answered = await ask();
      if (answered !== null && !streams) setState(answered ? 'asking' : 'waiting');
    };

    const onEvents = (events: readonly StreamEvent[]) => {
      const rows: DecisionRow[] = [];
      for (const { event, data } of events) {
        if (event === 'decision') rows.push(rowOf(JSON.parse(data) as DecisionRecord));
        if (event !== 'lag') continue;
        const { behind: late } = JSON.parse(data) as { readonly behind: number };
        setBehind(late === 0 ? null : late);
        // It would read all of them only to let go of most.
        if (late > KEPT) return restart();
      }
      take(own, rows);
      drawSoon();
    };
    const onState = (next: StreamState, failed: ApiError | null) => {
      setState((before) => (next === 'waiting' && before === 'asking' ? before : next));
      switch (next) {
        case 'live':
          streams = true;
          setBehind(null);
          clearTimeout(first);
          // Also after a page came: it may be from before the stream began.
          void ask();
          return;
        case 'waiting':
          streams = false;
          void askInstead();
          return;
        case 'refused':
          setError(failed);
          return;
        case 'connecting':
      }
    };
    const { until, ...live } = filters;
    // What has an end in the past gets nothing new.
    const ended = until !== null && until !== undefined;
    const start = () =>
      ended ? () => undefined : follow({ path: `${DECISIONS}/stream${queryText(live)}`, onEvents, onState });
    let close = start();
    /** From the end of the log; what is between is asked for, as far as it would be kept. */
    const restart = () => {
      close();
      close = start();
    };
    // Asked for once there is a stream, it need not be asked for twice.
    const first = setTimeout(ask, ended ? 0 : FIRST_MS);
    const asker = setInterval(askInstead, ASKED_MS);
    return () => {
      abort.abort();
      close();
      clearTimeout(first);
      clearInterval(asker);
      clearTimeout(timer.current);
      timer.current = undefined;
    };
  }, [query, draw, drawSoon]);

  const busy = useRef(false);
  const loadOlder = useCallback(() => {
    const own = buffer.current;
    if (typeof own.cursor !== 'string' || busy.current || own.rows.length >= KEPT) return;
    busy.current = true;
    const filters = filtersIn(new URLSearchParams(query));
    void page(filters, own.cursor, PAGE).then(
      ({ rows, cursor }) => {
        busy.current = false;
        if (own !== buffer.current) return;
        fill(own, rows);
        own.cursor = cursor;
        draw();
      },
      (failed: unknown) => {
        busy.current = false;
        setError(asApiError(failed));
      },
    );
  }, [query, draw]);

  return { ...shown, state, behind, error, loading, more, loadOlder };
}

type Filters = ReturnType<typeof filtersIn>;

/** The first page; later what came since the latest that is here, but no more than would be kept. */
async function bringNewer(buffer: Buffer, filters: Filters, signal: AbortSignal): Promise<void> {
  if (buffer.cursor === undefined) {
    const first = await page(filters, null, PAGE, signal);
    buffer.cursor = first.cursor;
    return fill(buffer, first.rows);
  }
  const rows: DecisionRow[] = [];
  let cursor: string | null = null;
  const query = { ...filters, since: later(filters.since, buffer.newest) };
  do {
    const next: Page = await page(query, cursor, LARGE_PAGE, signal);
    rows.push(...next.rows);
    cursor = next.cursor;
  } while (cursor !== null && rows.length < KEPT);
  mend(buffer, rows);
  if (cursor !== null) passOver(buffer, rows.at(-1)?.time ?? 0);
}

function later(asked: Query[string], newest: number | null): Query[string] {
  if (newest === null) return asked;
  const from = newest - SLACK_MS;
  return typeof asked === 'string' && Date.parse(asked) > from ? asked : new Date(from).toISOString();
}

interface Page {
  readonly rows: readonly DecisionRow[];
  readonly cursor: string | null;
}

async function page(query: Query, cursor: string | null, limit: number, signal?: AbortSignal): Promise<Page> {
  const found = await get<{
    readonly decisions: readonly DecisionRecord[];
    readonly next_cursor: string | null;
  }>(DECISIONS, { ...query, cursor, limit }, signal);
  return { rows: found.decisions.map(rowOf), cursor: found.next_cursor };
}
