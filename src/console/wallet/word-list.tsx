/** To be written down: words in their order, numbered. No button copies them: a clipboard is read by everybody. */
export function WordList({ words }: { readonly words: readonly string[] }) {
  return (
    <ol class="words" aria-label="The words of this wallet">
      {words.map((word, n) => (
        <li key={n}>
          <span class="soft num" aria-hidden="true">
            {n + 1}
          </span>
          <code>{word}</code>
        </li>
      ))}
    </ol>
  );
}
