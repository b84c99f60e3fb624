/** Names beside each other: scopes of a proof. */
export function Chips({ names }: { readonly names: readonly string[] }) {
  return (
    <span class="chips">
      {names.map((name) => (
        <span key={name} class="chip">
          {name}
        </span>
      ))}
    </span>
  );
}
