const DATE = new Intl.DateTimeFormat(undefined, { dateStyle: 'medium', timeStyle: 'medium' });
const CLOCK = new Intl.DateTimeFormat(undefined, {
  hour: '2-digit',
  minute: '2-digit',
  second: '2-digit',
  hour12: false,
});
const COUNT = new Intl.NumberFormat();
const RELATIVE = new Intl.RelativeTimeFormat(undefined, { numeric: 'auto', style: 'narrow' });

export function dateText(ms: number): string {
  return DATE.format(ms);
}

/** With milliseconds: decisions come many to a second. */
export function clockText(ms: number): string {
  return `${CLOCK.format(ms)}.${String(Math.floor(ms) % 1000).padStart(3, '0')}`;
}

export function countText(n: number): string {
  return COUNT.format(n);
}

export function msText(ms: number | null): string {
  if (ms === null) return '–';
  if (ms < 1) return `${ms.toFixed(2)} ms`;
  if (ms < 1000) return `${ms < 10 ? ms.toFixed(1) : Math.round(ms)} ms`;
  return `${(ms / 1000).toFixed(ms < 10_000 ? 1 : 0)} s`;
}

const UNITS = [
  ['day', 86_400_000],
  ['hour', 3_600_000],
  ['minute', 60_000],
  ['second', 1000],
] as const;

/** `in 3 hr.`, `2 min. ago` */
export function relativeText(ms: number, now: number): string {
  const distance = ms - now;
  const [unit, size] = UNITS.find(([, one]) => Math.abs(distance) >= one) ?? (['second', 1000] as const);
  return RELATIVE.format(Math.round(distance / size), unit);
}

/** `ppid_1a2b3c…9f`: enough to tell people apart. */
export function shortSubject(subject: string): string {
  const id = subject.replace(/^did:lemma:/, '');
  return id.length > 20 ? `${id.slice(0, 12)}…${id.slice(-4)}` : id;
}

export function shortDigest(sha256: string): string {
  return sha256.slice(0, 12);
}
