import type { ComponentChildren } from 'preact';
import { useEffect, useState } from 'preact/hooks';
import type { Permission } from '../schema/access.ts';
import { Link, usePlace } from './lib/router.tsx';
import { useMe } from './lib/session.ts';
import { Button } from './ui/button.tsx';
import { Icon, type IconName, Mark } from './ui/icons.tsx';
import { ThemeButton } from './ui/theme-button.tsx';
import { Time } from './ui/time.tsx';

interface Entry {
  readonly to: string;
  readonly name: string;
  readonly icon: IconName;
  /** Without it the page would only be refused. */
  readonly needs?: Permission;
}

const NAVIGATION: readonly { readonly title: string; readonly entries: readonly Entry[] }[] = [
  {
    title: 'Observe',
    entries: [
      { to: '/', name: 'Overview', icon: 'overview', needs: 'monitor.read' },
      { to: '/decisions', name: 'Decisions', icon: 'decisions', needs: 'decisions.read' },
      { to: '/alerts', name: 'Alerts', icon: 'alerts', needs: 'decisions.read' },
    ],
  },
  {
    title: 'Control',
    entries: [
      { to: '/runtimes', name: 'Runtimes', icon: 'runtimes', needs: 'runtimes.read' },
      { to: '/policies', name: 'Policies', icon: 'policies', needs: 'policies.read' },
      { to: '/legacy', name: 'Legacy tokens', icon: 'legacy', needs: 'decisions.read' },
      { to: '/connect', name: 'Connect a runtime', icon: 'connect', needs: 'runtimes.read' },
    ],
  },
  {
    title: 'Organisation',
    entries: [
      { to: '/operators', name: 'Operators', icon: 'operators', needs: 'operators.read' },
      { to: '/keys', name: 'API keys', icon: 'keys', needs: 'api_keys.read' },
      { to: '/sessions', name: 'Sessions', icon: 'sessions' },
      { to: '/audit', name: 'Audit trail', icon: 'audit', needs: 'audit.read' },
    ],
  },
];

export interface ShellProps {
  /** Alerts that are open, to be seen from everywhere. */
  readonly alerts: number;
  readonly onSignOut: () => void;
  readonly children: ComponentChildren;
}

export function Shell({ alerts, onSignOut, children }: ShellProps) {
  const { path } = usePlace();
  const [open, setOpen] = useState(false);
  useEffect(() => {
    if (!open) return;
    const close = (event: KeyboardEvent) => {
      if (event.key === 'Escape') setOpen(false);
    };
    addEventListener('keydown', close);
    return () => removeEventListener('keydown', close);
  }, [open]);
  return (
    <>
      <a class="skip" href="#content">
        To the content
      </a>
      <header class="topbar">
        <Brand />
        <Button kind="quiet" icon={open ? 'cross' : 'menu'} label="Menu" onClick={() => setOpen(!open)} />
      </header>
      <div class="shell">
        <aside class={`side ${open ? 'open' : ''}`} aria-label="Console">
          <Brand />
          <nav class="nav" aria-label="Agent Ops">
            <Groups path={path} alerts={alerts} onGo={() => setOpen(false)} />
          </nav>
          <Who onSignOut={onSignOut} />
        </aside>
        <main class="main" id="content" tabIndex={-1}>
          {children}
        </main>
      </div>
    </>
  );
}

function Brand() {
  return (
    <Link to="/" class="brand">
      <Mark />
      <span>
        Lemma
        <small>Agent Ops</small>
      </span>
    </Link>
  );
}

function Groups({
  path,
  alerts,
  onGo,
}: {
  readonly path: string;
  readonly alerts: number;
  readonly onGo: () => void;
}) {
  const { may } = useMe();
  return (
    <>
      {NAVIGATION.map(({ title, entries }) => {
        const shown = entries.filter(({ needs }) => needs === undefined || may(needs));
        if (shown.length === 0) return null;
        return (
          <div key={title}>
            <h2>{title}</h2>
            <ul>
              {shown.map(({ to, name, icon }) => (
                <li key={to}>
                  <Link
                    to={to}
                    current={to === '/' ? path === '/' : `${path}/`.startsWith(`${to}/`)}
                    onClick={onGo}
                  >
                    <Icon name={icon} />
                    {name}
                    {to === '/alerts' && alerts > 0 ? (
                      <span class="count">
                        {alerts}
                        <span class="sr"> open</span>
                      </span>
                    ) : null}
                  </Link>
                </li>
              ))}
            </ul>
          </div>
        );
      })}
    </>
  );
}

function Who({ onSignOut }: { readonly onSignOut: () => void }) {
  const { operator, session } = useMe();
  return (
    <div class="who">
      <div class="row between">
        <div>
          <strong class="break">{operator.id}</strong>
          <div class="soft">
            {operator.org} / {operator.env}
          </div>
        </div>
        <div class="row">
          <ThemeButton />
          <Button kind="quiet" icon="out" label="Sign out" onClick={onSignOut} />
        </div>
      </div>
      {session === null ? null : (
        <div class="soft">
          Session ends <Time at={session.expires_at} form="relative" />
        </div>
      )}
    </div>
  );
}
