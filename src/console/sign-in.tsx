import { useState } from 'preact/hooks';
import { keyFileSigner } from './lib/key-file.ts';
import { useDoing } from './lib/query.ts';
import { WALLET } from './lib/router.tsx';
import { type Me, signIn } from './lib/session.ts';
import type { Signer } from './lib/signer.ts';
import { Button } from './ui/button.tsx';
import { TextField } from './ui/field.tsx';
import { Icon, Mark } from './ui/icons.tsx';
import { Problem } from './ui/states.tsx';

export interface SignInProps {
  readonly onSignedIn: (me: Me) => void;
}

/** A challenge of this site, signed in this browser. */
export function SignInPage({ onSignedIn }: SignInProps) {
  const { busy, error, run } = useDoing();
  const [text, setText] = useState('');
  const [over, setOver] = useState(false);
  const submit = (key: string) =>
    void run(async () => {
      const signer: Signer = keyFileSigner(key);
      onSignedIn(await signIn(signer));
    });
  const take = async (file: File | undefined) => {
    if (file === undefined || file.size > 4096) return;
    submit(await file.text());
  };
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
          <label
            class={`drop ${over ? 'over' : ''}`}
            onDragOver={(event) => {
              event.preventDefault();
              setOver(true);
            }}
            onDragLeave={() => setOver(false)}
            onDrop={(event) => {
              event.preventDefault();
              setOver(false);
              void take(event.dataTransfer?.files[0]);
            }}
          >
            <Icon name="keys" size={26} />
            <strong>Choose your key file</strong>
            <span class="soft small">
              or drop it here. The owner of this deployment: <code>.lemma/keys/operator-root.key</code>
            </span>
            <input
              class="sr"
              type="file"
              disabled={busy}
              onChange={(event) => {
                const { files } = event.currentTarget;
                void take(files?.[0]);
                event.currentTarget.value = '';
              }}
            />
          </label>
          <form
            class="stack"
            onSubmit={(event) => {
              event.preventDefault();
              submit(text);
            }}
          >
            <TextField
              label="Or paste the key"
              type="password"
              mono
              value={text}
              onInput={setText}
              hint="One line of base64url, or {subject, seed} as JSON"
            />
            <div class="row">
              <Button kind="primary" type="submit" big disabled={busy || text.trim() === ''}>
                {busy ? 'Signing in…' : 'Sign in'}
              </Button>
              <a
                href={`${WALLET}/sign-in?${new URLSearchParams({ next: `${location.pathname}${location.search}` })}`}
              >
                Sign in with your wallet
              </a>
            </div>
          </form>
        </div>
      </main>
    </div>
  );
}
