import { useState } from 'preact/hooks';
import { useDoing } from '../lib/query.ts';
import { navigate, usePlace } from '../lib/router.tsx';
import { Button } from '../ui/button.tsx';
import { Card } from '../ui/card.tsx';
import { TextField } from '../ui/field.tsx';
import { Problem } from '../ui/states.tsx';
import { hold } from './held.ts';
import { createPasskey, passkeysHere } from './passkey.ts';
import { Working } from './progress.tsx';
import { PASSPHRASE_AT_LEAST, type Sealed, sealByPasskey, sealByPassphrase } from './seal.ts';
import { writeSealed } from './vault.ts';

export interface ProtectProps {
  /** Taken over: from now on it is the wallet's. */
  readonly rootSecret: Uint8Array;
  readonly onSealed: (sealed: Sealed) => void;
}

/** The last step: how the secret is kept in this browser. */
export function Protect({ rootSecret, onSealed }: ProtectProps) {
  const { params } = usePlace();
  const { busy, error, run } = useDoing();
  const [passphrase, setPassphrase] = useState('');
  const [again, setAgain] = useState('');
  const [part, setPart] = useState<number | null>(null);
  const short = [...passphrase.normalize('NFKC')].length < PASSPHRASE_AT_LEAST;
  const differs = again !== '' && again !== passphrase;

  const keep = async (sealed: Sealed) => {
    await writeSealed(sealed);
    hold(rootSecret);
    onSealed(sealed);
    navigate(placeAfter(params.get('next')), 'replace');
  };
  const byPassphrase = () =>
    void run(async () => {
      try {
        await keep(await sealByPassphrase(rootSecret, passphrase, setPart));
      } finally {
        setPart(null);
      }
    });
  const byPasskey = () =>
    void run(async () => {
      const { lock, prf } = await createPasskey();
      await keep(await sealByPasskey(rootSecret, lock, prf));
    });

  return (
    <div class="grid-2">
      <Card title="A passphrase">
        <form
          class="stack"
          onSubmit={(event) => {
            event.preventDefault();
            if (!short && again === passphrase) byPassphrase();
          }}
        >
          <TextField
            label="Passphrase"
            type="password"
            value={passphrase}
            onInput={setPassphrase}
            hint={`At least ${PASSPHRASE_AT_LEAST} characters; several words that do not belong together are best`}
            autofocus
          />
          <TextField
            label="Passphrase, again"
            type="password"
            value={again}
            onInput={setAgain}
            problem={differs ? 'This is not the same.' : null}
          />
          <Working part={part} />
          <Button kind="primary" type="submit" disabled={busy || short || again !== passphrase}>
            Protect by the passphrase
          </Button>
        </form>
      </Card>
      <Card title="A passkey">
        <div class="stack">
          <p class="soft small">
            Your fingerprint, face, PIN or security key opens the wallet. The authenticator must know the PRF
            extension; where it does not, this says so and nothing is lost.
          </p>
          {passkeysHere() ? (
            <Button disabled={busy} onClick={byPasskey}>
              Protect by a passkey
            </Button>
          ) : (
            <p class="small">This browser has no passkeys.</p>
          )}
        </div>
      </Card>
      <Problem error={error} />
    </div>
  );
}

/** Only a place of the wallet. */
function placeAfter(next: string | null): string {
  return next !== null && /^\/(?:device|delegations|sign-in)(?:\?|$)/.test(next) ? next : '/';
}
