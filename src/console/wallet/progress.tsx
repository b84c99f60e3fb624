import { useId } from 'preact/hooks';

/** While a key is made of a passphrase, which must take its time. `part`: 0 to 1; null: it does not run. */
export function Working({ part }: { readonly part: number | null }) {
  const id = useId();
  if (part === null) return null;
  return (
    <div class="stack tight" role="status">
      <label class="small soft" for={id}>
        Making the key of the passphrase
      </label>
      <progress id={id} class="progress" max={1} value={part} />
    </div>
  );
}
