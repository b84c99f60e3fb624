import { useCallback, useEffect, useRef, useState } from 'preact/hooks';
import type { DecisionRecord } from '../../schema/decision.ts';
import { type ApiError, get, queryText } from './api.ts';
import { type DecisionRow, filtersIn, rowOf } from './decisions.ts';
import { asApiError } from './query.ts';
import { follow, type StreamEvent, type StreamState } from './sse.ts';

const DECISIONS = '/api/wallet/runtimes/decisions';
const PAGE = 200;
/** More are let go, the oldest first: the log has them still. */
const KEPT = 5000;
/** A page that is drawn ten times a second looks alive; each drawing costs the same, however many came. */
const DRAWN_MS = 100;

export interface Feed {
  /** The latest first. */
  readonly rows: readonly DecisionRow[];
  /** Those that came since it was held. */
  readonly waiting: number;
  readonly state: StreamState;
  /** How many events the stream is behind, where it said so. */
  readonly behind: number | null;
  readonly error: ApiError | null;
  readonly loading: boolean;
  readonly more: boolean;
  readonly loadOlder: () => void;
}

interface Buffer {
  rows: DecisionRow[];
  waiting: DecisionRow[];
  seen: Set<string>;
  cursor: string | null;
}

/**
 * Decisions of these filters, and each new one as it is made. The stream is opened before the first page is asked for, so
 * that none falls between them. `held`: what comes waits, and nothing moves.
 */
export function useFeed(query: string, held: boolean): Feed {
  const [shown, setShown] = useState({ rows: [] as readonly DecisionRow[], waiting: 0 });
  const [state, setState] = useState<StreamState>('connecting');
  const [behind, setBehind] = useState<number | null>(null);
  const [error, setError] = useState<ApiError | null>(null);
  const [loading, setLoading] = useState(true);
  const [more, setMore] = useState(false);
  const buffer = useRef<Buffer>({ rows: [], waiting: [], seen: new Set(), cursor: null });
  const holding = useRef(held);
  const timer = useRef<ReturnType<typeof setTimeout> | undefined>(undefined);

  const draw = useCallback(() => {
    timer.current = undefined;
    const now = buffer.current;
    if (!holding.current && now.waiting.length > 0) {
      now.rows = [...now.waiting.reverse(), ...now.rows];
      now.waiting = [];
    }
    trim(now);
    setShown({ rows: now.rows, waiting: now.waiting.length });
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
    buffer.current = { rows: [], waiting: [], seen: new Set(), cursor: null };
    setShown({ rows: [], waiting: 0 });
    setError(null);
    setLoading(true);
    setMore(false);
    const own = buffer.current;
    const take = (events: readonly StreamEvent[]) => {
      for (const { event, data } of events) {
        if (event === 'lag') setBehind(Number((JSON.parse(data) as { behind: unknown }).behind));
        if (event !== 'decision') continue;
        const row = rowOf(JSON.parse(data) as DecisionRecord);
        if (own.seen.has(row.key)) continue;
        own.seen.add(row.key);
        own.waiting.push(row);
      }
      if (own.waiting.length > KEPT) trim(own);
      drawSoon();
    };
    // A stream that broke before it told any id has none to go on from: what was missed is asked for.
    let broken = false;
    const catchUp = () => {
      void firstPage(filters, abort.signal).then(
        ({ rows }) => {
          const missed = rows.filter(({ key }) => !own.seen.has(key)).reverse();
          for (const { key } of missed) own.seen.add(key);
          own.waiting.push(...missed);
          drawSoon();
        },
        (failed: unknown) => {
          if (!abort.signal.aborted) setError(asApiError(failed));
        },
      );
    };
    const { until, ...live } = filters;
    // What has an end in the past gets nothing new.
    const close =
      until === null || until === undefined
        ? follow({
            path: `${DECISIONS}/stream${queryText(live)}`,
            onEvents: take,
            onState: (next, failed) => {
              setState(next);
              if (next === 'live') setBehind(null);
              if (next === 'live' && broken) catchUp();
              broken = next === 'waiting';
              if (next === 'refused') setError(failed);
            },
          })
        : () => undefined;
    void firstPage(filters, abort.signal).then(
      ({ rows, cursor }) => {
        if (abort.signal.aborted) return;
        const fresh = rows.filter(({ key }) => !own.seen.has(key));
        for (const { key } of fresh) own.seen.add(key);
        own.rows = [...own.rows, ...fresh];
        own.cursor = cursor;
        setMore(cursor !== null);
        setLoading(false);
        draw();
      },
      (failed: unknown) => {
        if (abort.signal.aborted) return;
        setError(asApiError(failed));
        setLoading(false);
      },
    );
    return () => {
      abort.abort();
      close();
      clearTimeout(timer.current);
      timer.current = undefined;
    };
  }, [query, draw, drawSoon]);

  const busy = useRef(false);
  const loadOlder = useCallback(() => {
    const own = buffer.current;
    if (own.cursor === null || busy.current || own.rows.length >= KEPT) return;
    busy.current = true;
    const filters = filtersIn(new URLSearchParams(query));
    void page(filters, own.cursor).then(
      ({ rows, cursor }) => {
        busy.current = false;
        if (own !== buffer.current) return;
        for (const { key } of rows) own.seen.add(key);
        own.rows = [...own.rows, ...rows];
        own.cursor = own.rows.length >= KEPT ? null : cursor;
        setMore(own.cursor !== null);
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

/** What is let go is forgotten, too: a stream of days must not grow. */
function trim(buffer: Buffer): void {
  for (const { key } of buffer.rows.slice(KEPT)) buffer.seen.delete(key);
  buffer.rows = buffer.rows.slice(0, KEPT);
  const over = Math.max(0, buffer.waiting.length - KEPT);
  for (const { key } of buffer.waiting.splice(0, over)) buffer.seen.delete(key);
}

type Filters = ReturnType<typeof filtersIn>;

function firstPage(filters: Filters, signal: AbortSignal) {
  return page(filters, null, signal);
}

async function page(filters: Filters, cursor: string | null, signal?: AbortSignal) {
  const found = await get<{
    readonly decisions: readonly DecisionRecord[];
    readonly next_cursor: string | null;
  }>(DECISIONS, { ...filters, cursor, limit: PAGE }, signal);
  return { rows: found.decisions.map(rowOf), cursor: found.next_cursor };
}
