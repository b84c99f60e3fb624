import { useEffect, useState } from 'preact/hooks';
import { follow, type StreamState } from './sse.ts';

/** Seconds that are shown. */
const WINDOW = 120;
const TICK_MS = 1000;

export interface Rates {
  /** Seconds since 1970. */
  readonly times: readonly number[];
  readonly allow: readonly number[];
  readonly deny: readonly number[];
  readonly state: StreamState;
  /** How many events the stream is behind, where it said so. */
  readonly behind: number | null;
}

interface Counts {
  allow: number;
  deny: number;
}

/** Decisions of each of the last seconds, by verdict, as the monitor's stream tells of them. `on` false: does not ask. */
export function useRates(on: boolean): Rates {
  const [rates, setRates] = useState<Omit<Rates, 'state' | 'behind'>>(() => seriesOf(new Map(), nowSecond()));
  const [state, setState] = useState<StreamState>('connecting');
  const [behind, setBehind] = useState<number | null>(null);
  useEffect(() => {
    if (!on) return;
    const counts = new Map<number, Counts>();
    const close = follow({
      path: '/api/agent/monitor/events',
      onState: (next) => {
        setState(next);
        if (next === 'live') setBehind(null);
      },
      onEvents: (events) => {
        for (const { event, data } of events) {
          if (event === 'lag') {
            const { behind: late } = JSON.parse(data) as { readonly behind: number };
            setBehind(late === 0 ? null : late);
          }
          if (event !== 'decision') continue;
          const {
            time,
            verdict,
            requests = 1,
          } = JSON.parse(data) as {
            readonly time: string;
            readonly verdict: 'allow' | 'deny';
            readonly requests?: number;
          };
          const second = Math.floor(Date.parse(time) / 1000);
          const count = counts.get(second) ?? { allow: 0, deny: 0 };
          count[verdict] += requests;
          counts.set(second, count);
        }
      },
    });
    const timer = setInterval(() => {
      const now = nowSecond();
      for (const second of counts.keys()) if (second < now - WINDOW) counts.delete(second);
      setRates(seriesOf(counts, now));
    }, TICK_MS);
    return () => {
      clearInterval(timer);
      close();
    };
  }, [on]);
  return { ...rates, state, behind };
}

function nowSecond(): number {
  return Math.floor(Date.now() / 1000);
}

/** Without the second that is not over. */
function seriesOf(counts: ReadonlyMap<number, Counts>, now: number) {
  const times = Array.from({ length: WINDOW }, (_, n) => now - WINDOW + n);
  return {
    times,
    allow: times.map((second) => counts.get(second)?.allow ?? 0),
    deny: times.map((second) => counts.get(second)?.deny ?? 0),
  };
}
