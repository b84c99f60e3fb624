import type { ComponentChildren } from 'preact';
import { Link, usePlace } from './lib/router.tsx';
import { Shell } from './shell.tsx';
import { Page } from './ui/page.tsx';
import { Empty } from './ui/states.tsx';

export function Routes({ onSignOut }: { readonly onSignOut: () => void }) {
  const { path } = usePlace();
  return (
    <Shell alerts={0} onSignOut={onSignOut}>
      {pageAt(path)}
    </Shell>
  );
}

function pageAt(path: string): ComponentChildren {
  return (
    <Page title="Nothing here">
      <Empty title={`There is no page ${path}`}>
        <Link to="/">To the overview</Link>
      </Empty>
    </Page>
  );
}
