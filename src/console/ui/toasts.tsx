import { useEffect, useState } from 'preact/hooks';

interface Toast {
  readonly id: number;
  readonly text: string;
  readonly tone: 'plain' | 'deny';
}

const SHOWN_MS = 6000;
let count = 0;
let tell: ((toast: Toast) => void) | null = null;

/** Says shortly what has just happened. */
export function toast(text: string, tone: Toast['tone'] = 'plain'): void {
  count += 1;
  tell?.({ id: count, text, tone });
}

export function Toasts() {
  const [shown, setShown] = useState<readonly Toast[]>([]);
  useEffect(() => {
    tell = (one) => {
      setShown((before) => [...before.slice(-3), one]);
      setTimeout(() => setShown((before) => before.filter(({ id }) => id !== one.id)), SHOWN_MS);
    };
    return () => {
      tell = null;
    };
  }, []);
  return (
    <div class="toasts" aria-live="polite">
      {shown.map(({ id, text, tone }) => (
        <div key={id} class={`toast ${tone}`}>
          {text}
        </div>
      ))}
    </div>
  );
}
