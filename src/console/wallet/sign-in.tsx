import { useEffect } from 'preact/hooks';
import { Button } from '../ui/button.tsx';
import { Card } from '../ui/card.tsx';
import { Page } from '../ui/page.tsx';
import { Loading, Problem } from '../ui/states.tsx';
import { hold } from './held.ts';
import { NotYet } from './not-yet.tsx';
import type { Sealed } from './seal.ts';
import { useSignIn } from './session.tsx';
import { entryAt } from './site.ts';
import { Unlock } from './unlock.tsx';

export interface SignInPageProps {
  readonly root: Uint8Array | null;
  readonly sealed: Sealed;
  /** Where in Agent Ops somebody wanted to be. */
  readonly next: string | null;
}

/** Where Agent Ops sends people to: unlocking is all that they do. */
export function SignInPage({ root, sealed, next }: SignInPageProps) {
  return (
    <Page
      title="Sign in to Agent Ops"
      of="Wallet"
      about="The wallet signs a challenge of this site; nothing else is sent."
    >
      <div class="stack narrow">
        {root === null ? (
          <Card>
            <Unlock sealed={sealed} act="Unlock and sign in" onOpened={hold} />
          </Card>
        ) : (
          <Entering root={root} next={next} />
        )}
      </div>
    </Page>
  );
}

function Entering({ root, next }: { readonly root: Uint8Array; readonly next: string | null }) {
  const { busy, error, enter } = useSignIn(root);
  useEffect(() => enter(next), []);
  if (error === null) return <Loading lines={3} />;
  return (
    <>
      <Problem error={error} />
      {error.code === 'auth_required' ? <NotYet here={entryAt(root, location.hostname)} /> : null}
      <div class="row">
        <Button kind="primary" disabled={busy} onClick={() => enter(next)}>
          Sign in
        </Button>
      </div>
    </>
  );
}
