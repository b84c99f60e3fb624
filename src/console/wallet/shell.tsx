import type { ComponentChildren } from 'preact';
import { AGENT_OPS, Link, usePlace } from '../lib/router.tsx';
import { Button } from '../ui/button.tsx';
import { Mark } from '../ui/icons.tsx';
import { ThemeButton } from '../ui/theme-button.tsx';
import { lock } from './held.ts';

const ENTRIES = [
  ['/', 'Wallet'],
  ['/device', 'Approve a command line'],
  ['/delegations', 'Delegations'],
  ['/keys', 'Keys'],
] as const;

export interface WalletShellProps {
  /** Null: there is no wallet here. */
  readonly locked: boolean | null;
  readonly children: ComponentChildren;
}

export function WalletShell({ locked, children }: WalletShellProps) {
  const { path } = usePlace();
  return (
    <>
      <a class="skip" href="#content">
        To the content
      </a>
      <header class="wallet-bar">
        <Link to="/" class="brand">
          <Mark />
          <span>
            Lemma
            <small>Wallet</small>
          </span>
        </Link>
        <nav aria-label="Wallet">
          {ENTRIES.map(([to, name]) => (
            <Link key={to} to={to} current={path === to}>
              {name}
            </Link>
          ))}
          <a href={AGENT_OPS}>Agent Ops</a>
        </nav>
        <div class="row push">
          {locked === false ? (
            <Button icon="keys" onClick={lock}>
              Lock
            </Button>
          ) : null}
          <ThemeButton />
        </div>
      </header>
      <main class="main wallet-main" id="content" tabIndex={-1}>
        {children}
      </main>
    </>
  );
}
