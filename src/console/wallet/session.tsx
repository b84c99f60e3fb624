import type { ComponentChildren } from 'preact';
import { useEffect, useState } from 'preact/hooks';
import { ApiError, onSignedOut } from '../lib/api.ts';
import { asApiError, type Doing, useDoing } from '../lib/query.ts';
import { AGENT_OPS } from '../lib/router.tsx';
import { currentSession, type Me, MeContext } from '../lib/session.ts';
import { Button } from '../ui/button.tsx';
import { Card } from '../ui/card.tsx';
import { Failed, Loading, Problem } from '../ui/states.tsx';
import { signInHere } from './enter.ts';
import { hold } from './held.ts';
import { NotYet } from './not-yet.tsx';
import type { Sealed } from './seal.ts';
import { entryAt } from './site.ts';
import { Unlock } from './unlock.tsx';
import { Choices } from './welcome.tsx';

/** Signs this site's challenge, then goes to Agent Ops; `next`: a page of it. */
export function useSignIn(
  root: Uint8Array,
): Pick<Doing, 'busy' | 'error'> & { readonly enter: (next: string | null) => void } {
  const { busy, error, run } = useDoing();
  const enter = (next: string | null) =>
    void run(async () => {
      await signInHere(root);
      location.assign(pageOfAgentOps(next));
    });
  return { busy, error, enter };
}

/** Nowhere else: a link to the wallet must not lead away with somebody who is signed in. */
function pageOfAgentOps(next: string | null): string {
  if (next === null) return AGENT_OPS;
  const { origin, pathname, search } = new URL(next, location.origin);
  const within = origin === location.origin && `${pathname}/`.startsWith(`${AGENT_OPS}/`);
  return within ? `${pathname}${search}` : AGENT_OPS;
}

type Who = Me | 'asking' | 'nobody' | ApiError;

export interface SessionGateProps {
  /** Null: locked, or there is none. */
  readonly root: Uint8Array | null;
  readonly sealed: Sealed | null;
  readonly children: (me: Me) => ComponentChildren;
}

/** What only a signed-in operator sees; the wallet signs him in where he is not. */
export function SessionGate({ root, sealed, children }: SessionGateProps) {
  const [who, setWho] = useState<Who>('asking');
  const { busy, error, run } = useDoing();
  const ask = () => {
    setWho('asking');
    currentSession().then(setWho, (reason: unknown) => {
      const failed = asApiError(reason);
      setWho(failed.status === 401 ? 'nobody' : failed);
    });
  };
  useEffect(() => {
    onSignedOut(() => setWho('nobody'));
    ask();
  }, []);
  if (who === 'asking') return <Loading />;
  if (who instanceof ApiError) return <Failed error={who} retry={ask} />;
  if (who !== 'nobody') return <MeContext.Provider value={who}>{children(who)}</MeContext.Provider>;
  const enter = (secret: Uint8Array) => void run(async () => setWho(await signInHere(secret)));
  if (sealed === null)
    return (
      <div class="stack">
        <p>
          Nobody is signed in here, and this browser has no wallet. Make one, or{' '}
          <a href={AGENT_OPS}>sign in by a key file</a> and come back.
        </p>
        <Choices />
      </div>
    );
  return (
    <div class="stack narrow">
      <Card title="Sign in first">
        {root === null ? (
          <Unlock
            sealed={sealed}
            act="Unlock and sign in"
            onOpened={(secret) => {
              hold(secret);
              enter(secret);
            }}
          />
        ) : (
          <Button kind="primary" disabled={busy} onClick={() => enter(root)}>
            {busy ? 'Signing in…' : 'Sign in with this wallet'}
          </Button>
        )}
      </Card>
      <Problem error={error} />
      {error?.code === 'auth_required' && root !== null ? (
        <NotYet here={entryAt(root, location.hostname)} />
      ) : null}
    </div>
  );
}
