import { keyFileSigner } from './lib/key-file.ts';
import { useDoing } from './lib/query.ts';
import { WALLET } from './lib/router.tsx';
import { type Me, signIn } from './lib/session.ts';
import type { Signer } from './lib/signer.ts';
import { Mark } from './ui/icons.tsx';
import { KeyForm } from './ui/key-form.tsx';
import { Problem } from './ui/states.tsx';

export interface SignInProps {
  readonly onSignedIn: (me: Me) => void;
}

/** A challenge of this site, signed in this browser. */
export function SignInPage({ onSignedIn }: SignInProps) {
  const { busy, error, run } = useDoing();
  const submit = (key: string) =>
    void run(async () => {
      const signer: Signer = keyFileSigner(key);
      onSignedIn(await signIn(signer));
    });
  return (
    <div class="gate">
      <section class="story" aria-label="About">
        <div class="brand">
          <Mark size={34} />
          <span>
            Lemma
            <small>Agent Ops</small>
          </span>
        </div>
        <div>
          <h1>Every decision your agents meet, with its proof.</h1>
          <p class="lead">
            See what they do, stop one everywhere within moments, and read which line of policy said no.
          </p>
        </div>
        <p class="soft small foot">
          Your key signs a challenge in this browser. It is sent nowhere and kept nowhere.
        </p>
      </section>
      <main class="form" id="content">
        <div class="stack loose">
          <div class="stack tight">
            <h2>Sign in to this control plane</h2>
            <p class="soft small">
              With your key for <code>{location.host}</code>.
            </p>
          </div>
          <Problem error={error} />
          <KeyForm
            choose="Choose your key file"
            where={
              <>
                or drop it here. The owner of this deployment: <code>.lemma/keys/operator-root.key</code>
              </>
            }
            hint="One line of base64url, or {subject, seed} as JSON"
            act={busy ? 'Signing in…' : 'Sign in'}
            busy={busy}
            instead={
              <a
                href={`${WALLET}/sign-in?${new URLSearchParams({ next: `${location.pathname}${location.search}` })}`}
              >
                Sign in with your wallet
              </a>
            }
            onKey={submit}
          />
        </div>
      </main>
    </div>
  );
}
