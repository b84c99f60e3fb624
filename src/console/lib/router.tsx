import type { ComponentChildren } from 'preact';
import { useEffect, useState } from 'preact/hooks';

/** Where the application is: its path below the base, and the filters of its query. */

export const AGENT_OPS = '/admin/agent-ops';
export const WALLET = '/wallet';
/** Of the page that was loaded: each of the two is an application of its own. */
export const BASE = `${location.pathname}/`.startsWith(`${WALLET}/`) ? WALLET : AGENT_OPS;

export interface Place {
  /** `/` or `/decisions/dec_…` */
  readonly path: string;
  readonly params: URLSearchParams;
}

const listeners = new Set<() => void>();

function here(): Place {
  const { pathname, search } = location;
  const path = pathname.startsWith(BASE) ? pathname.slice(BASE.length).replace(/\/$/, '') : '';
  return { path: path === '' ? '/' : path, params: new URLSearchParams(search) };
}

/** `to`: a path below the base with its query. */
export function navigate(to: string, how: 'push' | 'replace' = 'push'): void {
  const url = `${BASE}${to === '/' ? '' : to}`;
  if (how === 'replace') history.replaceState(null, '', url);
  else history.pushState(null, '', url);
  for (const tell of listeners) tell();
}

/** Sets, or takes away (null, ''), filters of the page that is shown; they replace its entry in the history. */
export function setParams(changes: Readonly<Record<string, string | null>>): void {
  const { path, params } = here();
  for (const [name, value] of Object.entries(changes)) {
    if (value === null || value === '') params.delete(name);
    else params.set(name, value);
  }
  const query = params.toString();
  navigate(query === '' ? path : `${path}?${query}`, 'replace');
}

export function usePlace(): Place {
  const [place, setPlace] = useState(here);
  useEffect(() => {
    const update = () => setPlace(here());
    listeners.add(update);
    addEventListener('popstate', update);
    return () => {
      listeners.delete(update);
      removeEventListener('popstate', update);
    };
  }, []);
  return place;
}

export interface LinkProps {
  readonly to: string;
  readonly class?: string;
  readonly current?: boolean;
  readonly title?: string;
  readonly onClick?: () => void;
  readonly children: ComponentChildren;
}

/** A real link: it opens in a new tab as any other. */
export function Link({ to, current = false, onClick, children, ...rest }: LinkProps) {
  const follow = (event: MouseEvent) => {
    if (event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
    event.preventDefault();
    onClick?.();
    navigate(to);
    scrollTo(0, 0);
    document.getElementById('content')?.focus({ preventScroll: true });
  };
  return (
    <a
      {...rest}
      href={`${BASE}${to === '/' ? '' : to}`}
      onClick={follow}
      aria-current={current ? 'page' : undefined}
    >
      {children}
    </a>
  );
}
