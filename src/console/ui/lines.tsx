export interface LinesProps {
  readonly text: string;
  /** Number of its first line. */
  readonly from: number;
  /** Lines that stand out. */
  readonly hits: ReadonlySet<number>;
  readonly label: string;
}

/** A text by its lines, with their numbers. */
export function Lines({ text, from, hits, label }: LinesProps) {
  return (
    <div class="code">
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reached by the keyboard */}
      <section class="pane" tabIndex={0} aria-label={label}>
        <pre>
          {text
            .replace(/\n$/, '')
            .split('\n')
            .map((line, n) => (
              <span key={from + n} class={hits.has(from + n) ? 'line hit' : 'line'}>
                <span class="ln" aria-hidden="true">
                  {from + n}
                </span>
                {line}
              </span>
            ))}
        </pre>
      </section>
    </div>
  );
}
