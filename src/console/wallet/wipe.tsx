import { useState } from 'preact/hooks';
import { useDoing } from '../lib/query.ts';
import { Button } from '../ui/button.tsx';
import { Dialog } from '../ui/dialog.tsx';
import { TextField } from '../ui/field.tsx';
import { Problem } from '../ui/states.tsx';
import { toast } from '../ui/toasts.tsx';
import { wipe } from './vault.ts';

const WORD = 'wipe';

/** Takes the wallet out of this browser, after a word was typed. */
export function WipeButton({ onWiped }: { readonly onWiped: () => void }) {
  const [asking, setAsking] = useState(false);
  return (
    <>
      <Button kind="danger" onClick={() => setAsking(true)}>
        Wipe this browser's wallet
      </Button>
      {asking ? <WipeDialog onClose={() => setAsking(false)} onWiped={onWiped} /> : null}
    </>
  );
}

interface WipeDialogProps {
  readonly onClose: () => void;
  readonly onWiped: () => void;
}

function WipeDialog({ onClose, onWiped }: WipeDialogProps) {
  const { busy, error, run } = useDoing();
  const [typed, setTyped] = useState('');
  const sure = typed.trim().toLowerCase() === WORD;
  const submit = async () => {
    if (!sure || !(await run(wipe))) return;
    toast('The wallet is wiped from this browser');
    onClose();
    onWiped();
  };
  return (
    <Dialog
      title="Wipe this browser's wallet?"
      onClose={onClose}
      onSubmit={() => void submit()}
      foot={
        <>
          <Button onClick={onClose}>Cancel</Button>
          <Button kind="danger solid" type="submit" disabled={busy || !sure}>
            Wipe it
          </Button>
        </>
      }
    >
      <p>
        Only its 24 words bring it back. Sessions and command lines that it approved go on; end them in Agent
        Ops.
      </p>
      <TextField label={`Type “${WORD}” to go on`} value={typed} onInput={setTyped} autofocus />
      <Problem error={error} />
    </Dialog>
  );
}
