import { useMemo, useState } from 'preact/hooks';
import { Button } from '../ui/button.tsx';
import { Card } from '../ui/card.tsx';
import { CheckField, TextField } from '../ui/field.tsx';
import { Page } from '../ui/page.tsx';
import { Notice } from '../ui/states.tsx';
import { Protect } from './protect.tsx';
import { randomly, type Sealed } from './seal.ts';
import { WordList } from './word-list.tsx';
import { typedWords, WORDS, wordsOf } from './words.ts';

const ASKED = 3;

/** Made, written down, asked back, protected. */
export function CreatePage({ onSealed }: { readonly onSealed: (sealed: Sealed) => void }) {
  const [rootSecret] = useState(() => randomly(32));
  const words = useMemo(() => wordsOf(rootSecret), [rootSecret]);
  const [step, setStep] = useState<'write' | 'confirm' | 'protect'>('write');
  return (
    <Page title={TITLES[step]} of="Wallet" about={ABOUT[step]} crumb={CRUMBS[step]}>
      {step === 'write' ? <Write words={words} onDone={() => setStep('confirm')} /> : null}
      {step === 'confirm' ? (
        <Confirming words={words} onBack={() => setStep('write')} onDone={() => setStep('protect')} />
      ) : null}
      {step === 'protect' ? <Protect rootSecret={rootSecret} onSealed={onSealed} /> : null}
    </Page>
  );
}

const TITLES = {
  write: 'Write down these words',
  confirm: 'Confirm the words',
  protect: 'Protect the wallet',
} as const;
const ABOUT = {
  write:
    'On paper, in this order. They are the wallet: whoever has them is you, and without them it is lost with this browser.',
  confirm: 'So that a slip is found now, and not on the day that you need them.',
  protect: 'In this browser the secret lies encrypted. Choose what opens it.',
} as const;
const CRUMBS = { write: 'Step 1 of 3', confirm: 'Step 2 of 3', protect: 'Step 3 of 3' } as const;

function Write({ words, onDone }: { readonly words: readonly string[]; readonly onDone: () => void }) {
  const [written, setWritten] = useState(false);
  return (
    <Card>
      <div class="stack">
        <WordList words={words} />
        <Notice tone="warn">
          <span>No photo, no file, no message to yourself. This page asks some of them back.</span>
        </Notice>
        <CheckField label="I have written them down" checked={written} onChange={setWritten} />
        <div class="row">
          <Button kind="primary" disabled={!written} onClick={onDone}>
            Go on
          </Button>
        </div>
      </div>
    </Card>
  );
}

interface ConfirmingProps {
  readonly words: readonly string[];
  readonly onBack: () => void;
  readonly onDone: () => void;
}

function Confirming({ words, onBack, onDone }: ConfirmingProps) {
  const [places] = useState(somePlaces);
  const [typed, setTyped] = useState<Readonly<Record<number, string>>>({});
  const [tried, setTried] = useState(false);
  const right = (place: number) => typedWords(typed[place] ?? '').join(' ') === words[place];
  const submit = () => {
    if (places.every(right)) onDone();
    else setTried(true);
  };
  return (
    <Card>
      <form
        class="stack"
        onSubmit={(event) => {
          event.preventDefault();
          submit();
        }}
      >
        {places.map((place, n) => (
          <TextField
            key={place}
            label={`Word ${place + 1}`}
            value={typed[place] ?? ''}
            onInput={(value) => {
              setTyped({ ...typed, [place]: value });
              setTried(false);
            }}
            problem={tried && !right(place) ? `This is not word ${place + 1}.` : null}
            autofocus={n === 0}
            mono
          />
        ))}
        <div class="row">
          <Button onClick={onBack}>Show the words again</Button>
          <Button kind="primary" type="submit">
            Confirm
          </Button>
        </div>
      </form>
    </Card>
  );
}

/** From 0, in order, without one twice. */
function somePlaces(): number[] {
  const places = new Set<number>();
  while (places.size < ASKED) {
    const byte = randomly(1)[0] ?? 255;
    // 240 is a multiple of 24: each place is as likely.
    if (byte < 240) places.add(byte % WORDS);
  }
  return [...places].sort((a, b) => a - b);
}
