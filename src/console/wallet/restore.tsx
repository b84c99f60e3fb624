import type { ComponentChildren } from 'preact';
import { useState } from 'preact/hooks';
import { fromBase64url } from '../../crypto/base64url.ts';
import { Button } from '../ui/button.tsx';
import { Card } from '../ui/card.tsx';
import { TextField } from '../ui/field.tsx';
import { KeyForm } from '../ui/key-form.tsx';
import { Page } from '../ui/page.tsx';
import { Notice } from '../ui/states.tsx';
import { Protect } from './protect.tsx';
import type { Sealed } from './seal.ts';
import { entryAt } from './site.ts';
import { secretOfWords, typedWords, WORDS } from './words.ts';

interface RestoreProps {
  readonly onSealed: (sealed: Sealed) => void;
}

/** The same wallet as elsewhere, by its words. */
export function RestorePage({ onSealed }: RestoreProps) {
  const [rootSecret, setRootSecret] = useState<Uint8Array | null>(null);
  const [text, setText] = useState('');
  const [problem, setProblem] = useState<string | null>(null);
  const count = typedWords(text).length;
  if (rootSecret !== null) return <Found rootSecret={rootSecret} onSealed={onSealed} />;
  return (
    <Page title="Restore by words" of="Wallet" about="The words stay in this browser.">
      <Card>
        <form
          class="stack"
          onSubmit={(event) => {
            event.preventDefault();
            try {
              setRootSecret(secretOfWords(text));
              setText('');
            } catch (error) {
              setProblem(messageOf(error));
            }
          }}
        >
          <TextField
            label={`The ${WORDS} words`}
            multiline
            mono
            autofocus
            value={text}
            onInput={(value) => {
              setText(value);
              setProblem(null);
            }}
            problem={problem}
            hint={`In their order, with spaces between them: ${count} of ${WORDS}`}
          />
          <div class="row">
            <Button kind="primary" type="submit" disabled={count === 0}>
              Restore
            </Button>
          </div>
        </form>
      </Card>
    </Page>
  );
}

/** The embedded owner's root secret, which the deployment made, becomes a wallet's. */
export function ImportPage({ onSealed }: RestoreProps) {
  const [rootSecret, setRootSecret] = useState<Uint8Array | null>(null);
  const [problem, setProblem] = useState<string | null>(null);
  if (rootSecret !== null)
    return (
      <Found rootSecret={rootSecret} onSealed={onSealed}>
        <Notice tone="warn">
          <span>
            The file stays as it is: the deployment binds runtimes by it. Whoever can read it is the owner.
            Give other people a wallet of their own.
          </span>
        </Notice>
      </Found>
    );
  const take = (typed: string) => {
    try {
      setRootSecret(secretOfFile(typed));
    } catch (error) {
      setProblem(messageOf(error));
    }
  };
  return (
    <Page
      title="Take over the owner's key"
      of="Wallet"
      about={
        <>
          The deployment made a root secret for its owner at its first start. With it this wallet is the owner
          at <code>{location.hostname}</code>.
        </>
      }
    >
      <div class="stack">
        {problem === null ? null : <Notice tone="deny">{problem}</Notice>}
        <KeyForm
          choose="Choose the key file"
          where={<code>.lemma/keys/operator-root.key</code>}
          hint="One line of 43 base64url characters"
          act="Import"
          onKey={take}
        />
      </div>
    </Page>
  );
}

interface FoundProps extends RestoreProps {
  readonly rootSecret: Uint8Array;
  readonly children?: ComponentChildren;
}

function Found({ rootSecret, onSealed, children }: FoundProps) {
  return (
    <Page
      title="Protect the wallet"
      of="Wallet"
      about={
        <>
          At {location.hostname} it is{' '}
          <code class="break">{entryAt(rootSecret, location.hostname).subject}</code>. Choose what opens it in
          this browser.
        </>
      }
    >
      <div class="stack">
        {children}
        <Protect rootSecret={rootSecret} onSealed={onSealed} />
      </div>
    </Page>
  );
}

function secretOfFile(text: string): Uint8Array {
  const typed = text.trim();
  if (typed.startsWith('lm_')) throw new Error('This is an API key. A wallet is made of a root secret.');
  if (typed.startsWith('{'))
    throw new Error('This is the key of one site. A wallet needs the root secret: operator-root.key.');
  const bytes = fromBase64url(typed);
  if (bytes?.length !== 32)
    throw new Error('The key must be one line of 43 base64url characters (32 bytes).');
  return bytes;
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
