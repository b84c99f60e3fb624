import { useState } from 'preact/hooks';
import { useDoing } from '../lib/query.ts';
import { Button } from '../ui/button.tsx';
import { Card } from '../ui/card.tsx';
import { TextField } from '../ui/field.tsx';
import { Page } from '../ui/page.tsx';
import { Problem } from '../ui/states.tsx';
import { hold } from './held.ts';
import { askPasskey } from './passkey.ts';
import { Working } from './progress.tsx';
import { openByPasskey, openByPassphrase, type Sealed } from './seal.ts';
import { WipeButton } from './wipe.tsx';

export interface UnlockProps {
  readonly sealed: Sealed;
  readonly onWiped: () => void;
}

export function UnlockPage({ sealed, onWiped }: UnlockProps) {
  return (
    <Page
      title="Unlock your wallet"
      of="Wallet"
      about="It locks itself after 15 minutes, and with this page."
    >
      <div class="stack narrow">
        <Card>
          <Unlock sealed={sealed} onOpened={hold} />
        </Card>
        <p class="soft small">
          The passphrase or passkey is lost? Wipe the wallet from this browser, and restore it by its words.
        </p>
        <div class="row">
          <WipeButton onWiped={onWiped} />
        </div>
      </div>
    </Page>
  );
}

export interface UnlockFormProps {
  readonly sealed: Sealed;
  readonly act?: string;
  /** Gets the root secret. */
  readonly onOpened: (rootSecret: Uint8Array) => void;
}

/** Opens it by what it was sealed with. */
export function Unlock({ sealed, act = 'Unlock', onOpened }: UnlockFormProps) {
  const { busy, error, run } = useDoing();
  const [passphrase, setPassphrase] = useState('');
  const [part, setPart] = useState<number | null>(null);
  const { lock } = sealed;
  const open = () =>
    void run(async () => {
      const opened =
        lock.kind === 'passkey'
          ? await openByPasskey(sealed, await askPasskey(lock))
          : await openByPassphrase(sealed, passphrase, setPart).finally(() => setPart(null));
      setPassphrase('');
      onOpened(opened);
    });
  return (
    <form
      class="stack"
      onSubmit={(event) => {
        event.preventDefault();
        open();
      }}
    >
      {lock.kind === 'passkey' ? (
        <p class="soft small">This wallet is opened by the passkey that you made for {lock.rp}.</p>
      ) : (
        <TextField label="Passphrase" type="password" value={passphrase} onInput={setPassphrase} autofocus />
      )}
      <Problem error={error} />
      <Working part={part} />
      <div class="row">
        <Button
          kind="primary"
          type="submit"
          disabled={busy || (lock.kind === 'passphrase' && passphrase === '')}
        >
          {lock.kind === 'passkey' ? `${act} by passkey` : act}
        </Button>
      </div>
    </form>
  );
}
