import type { ComponentChildren } from 'preact';
import { useEffect } from 'preact/hooks';

export interface PageProps {
  readonly title: string;
  /** What it is a page of. */
  readonly of?: string;
  readonly about?: ComponentChildren;
  readonly crumb?: ComponentChildren;
  readonly badge?: ComponentChildren;
  readonly actions?: ComponentChildren;
  readonly children: ComponentChildren;
}

export function Page({ title, of = 'Agent Ops', about, crumb, badge, actions, children }: PageProps) {
  useEffect(() => {
    document.title = `${title} · ${of}`;
  }, [title, of]);
  return (
    <>
      <header class="page-head">
        <div class="break">
          {crumb === undefined ? null : <p class="crumb">{crumb}</p>}
          <div class="row">
            <h1>{title}</h1>
            {badge}
          </div>
          {about === undefined ? null : <p class="about">{about}</p>}
        </div>
        {actions === undefined ? null : <div class="row">{actions}</div>}
      </header>
      {children}
    </>
  );
}
