import type { ComponentChildren } from 'preact';

export interface CardProps {
  readonly title?: ComponentChildren;
  readonly side?: ComponentChildren;
  /** Its content reaches the edges: a table. */
  readonly flush?: boolean;
  readonly children: ComponentChildren;
}

export function Card({ title, side, flush = false, children }: CardProps) {
  return (
    <section class="card">
      {title === undefined ? null : (
        <div class="head">
          <h2>{title}</h2>
          {side === undefined ? null : <div class="row push">{side}</div>}
        </div>
      )}
      {flush ? children : <div class="body">{children}</div>}
    </section>
  );
}
