import type { ComponentChildren } from 'preact';
import { useCallback, useEffect, useState } from 'preact/hooks';
import { Link, usePlace } from '../lib/router.tsx';
import { Page } from '../ui/page.tsx';
import { Empty, Loading, Notice } from '../ui/states.tsx';
import { Toasts } from '../ui/toasts.tsx';
import { CreatePage } from './create.tsx';
import { DelegationsPage } from './delegations.tsx';
import { DevicePage } from './device.tsx';
import { lock, useHeld } from './held.ts';
import { HomePage } from './home.tsx';
import { loadNumbers } from './keep-number.ts';
import { KeysPage } from './keys.tsx';
import { ImportPage, RestorePage } from './restore.tsx';
import type { Sealed } from './seal.ts';
import { WalletShell } from './shell.tsx';
import { SignInPage } from './sign-in.tsx';
import { UnlockPage } from './unlock.tsx';
import { readSealed } from './vault.ts';
import { Welcome } from './welcome.tsx';
import { WipeButton } from './wipe.tsx';

type Kept = { readonly sealed: Sealed | null } | 'asking' | Error;

export function WalletApp() {
  const [kept, setKept] = useState<Kept>('asking');
  const read = useCallback(() => {
    Promise.all([readSealed(), loadNumbers()]).then(
      ([sealed]) => setKept({ sealed }),
      (error: unknown) => setKept(error instanceof Error ? error : new Error(String(error))),
    );
  }, []);
  useEffect(read, [read]);
  if (kept === 'asking') return <Loading />;
  const wiped = () => {
    lock();
    read();
  };
  if (kept instanceof Error)
    return (
      <WalletShell locked={null}>
        <Page title="Wallet" of="Lemma">
          <div class="stack">
            <Notice tone="deny">{kept.message}</Notice>
            <div class="row">
              <WipeButton onWiped={wiped} />
            </div>
          </div>
        </Page>
      </WalletShell>
    );
  return <Opened sealed={kept.sealed} onSealed={(sealed) => setKept({ sealed })} onWiped={wiped} />;
}

interface OpenedProps {
  readonly sealed: Sealed | null;
  readonly onSealed: (sealed: Sealed) => void;
  readonly onWiped: () => void;
}

function Opened({ sealed, onSealed, onWiped }: OpenedProps) {
  const root = useHeld();
  const { path, params } = usePlace();
  return (
    <WalletShell locked={sealed === null ? null : root === null}>
      {pageAt(path, params)}
      <Toasts />
    </WalletShell>
  );

  function pageAt(at: string, query: URLSearchParams): ComponentChildren {
    if (sealed === null) {
      if (at === '/create') return <CreatePage onSealed={onSealed} />;
      if (at === '/restore') return <RestorePage onSealed={onSealed} />;
      if (at === '/import') return <ImportPage onSealed={onSealed} />;
      // An operator may be signed in by a key file: he needs no wallet to look at a code.
      return at === '/device' ? <DevicePage root={null} sealed={null} /> : <Welcome />;
    }
    switch (at) {
      case '/device':
        return <DevicePage root={root} sealed={sealed} />;
      case '/sign-in':
        return <SignInPage root={root} sealed={sealed} next={query.get('next')} />;
      case '/':
      case '/create':
      case '/restore':
      case '/import':
        if (root === null) return <UnlockPage sealed={sealed} onWiped={onWiped} />;
        return <HomePage root={root} sealed={sealed} onWiped={onWiped} />;
      case '/delegations':
        if (root === null) return <UnlockPage sealed={sealed} onWiped={onWiped} />;
        return <DelegationsPage root={root} sealed={sealed} />;
      case '/keys':
        if (root === null) return <UnlockPage sealed={sealed} onWiped={onWiped} />;
        return <KeysPage root={root} sealed={sealed} />;
      default:
        return (
          <Page title="Nothing here" of="Wallet">
            <Empty title={`There is no page ${at}`}>
              <Link to="/">To the wallet</Link>
            </Empty>
          </Page>
        );
    }
  }
}
