import { useCallback, useEffect, useRef, useState } from 'preact/hooks';
import { ApiError } from './api.ts';

/** What a view has of the server: nothing yet, an answer (perhaps from before a failure), or a failure alone. */
export interface Asked<T> {
  readonly data: T | null;
  readonly error: ApiError | null;
  readonly loading: boolean;
  readonly reload: () => void;
}

/**
 * Asks when `key` changes, when it is told to, and every `every` milliseconds while the page is seen. `key` null: does not
 * ask.
 */
export function useQuery<T>(
  key: string | null,
  ask: (signal: AbortSignal) => Promise<T>,
  every?: number,
): Asked<T> {
  const [state, setState] = useState<Omit<Asked<T>, 'reload'>>({ data: null, error: null, loading: true });
  const latest = useRef(ask);
  latest.current = ask;
  const [turn, setTurn] = useState(0);
  const shown = useRef<string | null>(null);
  const reload = useCallback(() => setTurn((n) => n + 1), []);

  useEffect(() => {
    if (key === null) return;
    const abort = new AbortController();
    // Another question's answer must not stand under this one.
    if (shown.current !== key) setState({ data: null, error: null, loading: true });
    shown.current = key;
    const run = async () => {
      try {
        const data = await latest.current(abort.signal);
        if (!abort.signal.aborted) setState({ data, error: null, loading: false });
      } catch (error) {
        if (abort.signal.aborted) return;
        setState((before) => ({ ...before, error: asApiError(error), loading: false }));
      }
    };
    void run();
    if (every === undefined) return () => abort.abort();
    const timer = setInterval(() => {
      if (document.visibilityState === 'visible') void run();
    }, every);
    return () => {
      clearInterval(timer);
      abort.abort();
    };
  }, [key, turn, every]);

  return { ...state, reload };
}

export interface Doing {
  readonly busy: boolean;
  readonly error: ApiError | null;
  /** Gives whether it was done. */
  readonly run: (act: () => Promise<void>) => Promise<boolean>;
  readonly clear: () => void;
}

/** One thing at a time that changes something. */
export function useDoing(): Doing {
  const [state, setState] = useState<Pick<Doing, 'busy' | 'error'>>({ busy: false, error: null });
  const run = useCallback(async (act: () => Promise<void>) => {
    setState({ busy: true, error: null });
    try {
      await act();
      setState({ busy: false, error: null });
      return true;
    } catch (error) {
      setState({ busy: false, error: asApiError(error) });
      return false;
    }
  }, []);
  const clear = useCallback(() => setState({ busy: false, error: null }), []);
  return { ...state, run, clear };
}

export function asApiError(error: unknown): ApiError {
  if (error instanceof ApiError) return error;
  return new ApiError('internal_error', 0, error instanceof Error ? error.message : String(error), null);
}
