import { useEffect, useMemo, useState } from 'preact/hooks';
import { useDoing } from '../lib/query.ts';
import { Button } from '../ui/button.tsx';
import { Card } from '../ui/card.tsx';
import { Code, CopyButton } from '../ui/code.tsx';
import { Dialog } from '../ui/dialog.tsx';
import { Facts } from '../ui/facts.tsx';
import { TextField } from '../ui/field.tsx';
import { Page } from '../ui/page.tsx';
import { Problem } from '../ui/states.tsx';
import { NotYet } from './not-yet.tsx';
import type { Sealed } from './seal.ts';
import { useSignIn } from './session.tsx';
import { addCommand, entryAt, hostIn, type SiteEntry } from './site.ts';
import { Unlock } from './unlock.tsx';
import { readSites, writeSites } from './vault.ts';
import { WipeButton } from './wipe.tsx';
import { WordList } from './word-list.tsx';
import { wordsOf } from './words.ts';

export interface HomeProps {
  readonly root: Uint8Array;
  readonly sealed: Sealed;
  readonly onWiped: () => void;
}

/** An unlocked wallet: who it is, here and elsewhere. */
export function HomePage({ root, sealed, onWiped }: HomeProps) {
  const here = useMemo(() => entryAt(root, location.hostname), [root]);
  const { busy, error, enter } = useSignIn(root);
  const [showing, setShowing] = useState(false);
  return (
    <Page
      title="Your wallet"
      of="Lemma"
      about="Each site knows you by another name and another key: no two can tell that you are the same."
      actions={
        <Button kind="primary" disabled={busy} onClick={() => enter(null)}>
          {busy ? 'Signing in…' : 'Sign in to Agent Ops'}
        </Button>
      }
    >
      <div class="stack">
        <Problem error={error} />
        {error?.code === 'auth_required' ? <NotYet here={here} /> : null}
        <Card title="This site">
          <Site entry={here} />
        </Card>
        <OtherSites root={root} />
        <Card title="This wallet">
          <div class="stack">
            <Facts
              rows={[
                ['Opened by', sealed.lock.kind === 'passkey' ? 'a passkey' : 'a passphrase'],
                ['Locks', 'after 15 minutes without a key or a touch, and when this page is left'],
              ]}
            />
            <div class="row">
              <Button onClick={() => setShowing(true)}>Show the words</Button>
              <WipeButton onWiped={onWiped} />
            </div>
          </div>
        </Card>
      </div>
      {showing ? <WordsDialog sealed={sealed} onClose={() => setShowing(false)} /> : null}
    </Page>
  );
}

/** What somebody who adds operators needs. */
function Site({ entry }: { readonly entry: SiteEntry }) {
  return (
    <div class="stack">
      <Facts
        rows={[
          ['Site', <code key="host">{entry.host}</code>],
          [
            'Subject',
            <span key="subject" class="row">
              <code class="break">{entry.subject}</code>
              <CopyButton text={() => entry.subject} label={`Copy the subject at ${entry.host}`} />
            </span>,
          ],
          [
            'Key',
            <span key="key" class="row">
              <code class="break">{entry.key}</code>
              <CopyButton text={() => entry.key} label={`Copy the key at ${entry.host}`} />
            </span>,
          ],
        ]}
      />
      <p class="soft small">To be made an operator there, give this to somebody who is one:</p>
      <Code text={addCommand(entry)} label={`operator entry for ${entry.host}`} wrap />
    </div>
  );
}

function OtherSites({ root }: { readonly root: Uint8Array }) {
  const [hosts, setHosts] = useState<readonly string[]>([]);
  const [typed, setTyped] = useState('');
  const { error, run } = useDoing();
  useEffect(() => {
    readSites().then(setHosts, () => setHosts([]));
  }, []);
  const host = hostIn(typed);
  const keep = (next: readonly string[]) =>
    void run(async () => {
      await writeSites(next);
      setHosts(next);
    });
  return (
    <Card title="Other sites">
      <div class="stack">
        <form
          class="row grow"
          onSubmit={(event) => {
            event.preventDefault();
            if (host === null) return;
            if (host !== location.hostname && !hosts.includes(host)) keep([...hosts, host]);
            setTyped('');
          }}
        >
          <TextField
            label="Who am I at"
            placeholder="lemma.example.com"
            value={typed}
            onInput={setTyped}
            problem={typed !== '' && host === null ? 'This is no host name.' : null}
          />
          <Button type="submit" disabled={host === null}>
            Show
          </Button>
        </form>
        <Problem error={error} />
        {hosts.map((one) => (
          <details key={one} class="site">
            <summary>{one}</summary>
            <div class="stack">
              <Site entry={entryAt(root, one)} />
              <div class="row">
                <Button onClick={() => keep(hosts.filter((other) => other !== one))}>
                  Take off the list
                </Button>
              </div>
            </div>
          </details>
        ))}
      </div>
    </Card>
  );
}

/** Asks for the passphrase or the passkey again: an unlocked wallet may have been left alone. */
function WordsDialog({ sealed, onClose }: { readonly sealed: Sealed; readonly onClose: () => void }) {
  const [words, setWords] = useState<readonly string[] | null>(null);
  const show = (rootSecret: Uint8Array) => {
    setWords(wordsOf(rootSecret));
    rootSecret.fill(0);
  };
  return (
    <Dialog
      title="Backup words"
      wide
      onClose={onClose}
      {...(words === null ? {} : { foot: <Button onClick={onClose}>Close</Button> })}
    >
      {words === null ? (
        <>
          <p class="soft small">Whoever reads them has your wallet. Look around you first.</p>
          <Unlock sealed={sealed} act="Show words" onOpened={show} />
          <div class="row">
            <Button onClick={onClose}>Cancel</Button>
          </div>
        </>
      ) : (
        <WordList words={words} />
      )}
    </Dialog>
  );
}
