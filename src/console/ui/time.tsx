import { clockText, dateText, relativeText } from '../lib/format.ts';
import { useNow } from '../lib/now.ts';

export interface TimeProps {
  /** Milliseconds since 1970, or RFC 3339. */
  readonly at: number | string;
  readonly form?: 'date' | 'clock' | 'relative';
}

/** The reader's own time; the title says it in UTC. */
export function Time({ at, form = 'date' }: TimeProps) {
  const ms = typeof at === 'number' ? at : Date.parse(at);
  if (Number.isNaN(ms)) return <span class="soft">–</span>;
  const utc = new Date(ms).toISOString();
  return (
    <time class="num" dateTime={utc} title={form === 'relative' ? `${dateText(ms)} · ${utc}` : utc}>
      {form === 'relative' ? <Ago ms={ms} /> : form === 'clock' ? clockText(ms) : dateText(ms)}
    </time>
  );
}

function Ago({ ms }: { readonly ms: number }) {
  return <>{relativeText(ms, useNow())}</>;
}
