import type { ComponentChildren } from 'preact';
import { useState } from 'preact/hooks';
import { Button } from './button.tsx';
import { TextField } from './field.tsx';
import { Icon } from './icons.tsx';

/** Bytes. No key is longer: of a wrong file no more is read. */
const READ_AT_MOST = 4096;

export interface KeyFormProps {
  readonly choose: string;
  readonly where: ComponentChildren;
  /** How a pasted key looks. */
  readonly hint: string;
  readonly act: string;
  readonly busy?: boolean;
  /** Beside the button: another way. */
  readonly instead?: ComponentChildren;
  readonly onKey: (text: string) => void;
}

/** Takes a key's text: of a file, chosen or dropped, or as it is pasted. */
export function KeyForm({ choose, where, hint, act, busy = false, instead, onKey }: KeyFormProps) {
  const [text, setText] = useState('');
  const [over, setOver] = useState(false);
  const take = async (file: File | undefined) => {
    if (file !== undefined) onKey(await file.slice(0, READ_AT_MOST).text());
  };
  return (
    <>
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
        <strong>{choose}</strong>
        <span class="soft small">{where}</span>
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
          onKey(text);
        }}
      >
        <TextField label="Or paste the key" type="password" mono value={text} onInput={setText} hint={hint} />
        <div class="row">
          <Button kind="primary" type="submit" big disabled={busy || text.trim() === ''}>
            {act}
          </Button>
          {instead}
        </div>
      </form>
    </>
  );
}
