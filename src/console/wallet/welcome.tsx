import type { ComponentChildren } from 'preact';
import { Link, usePlace } from '../lib/router.tsx';
import { Page } from '../ui/page.tsx';
import { Notice } from '../ui/states.tsx';

/** There is no wallet in this browser yet. */
export function Welcome() {
  return (
    <Page
      title="Your wallet"
      of="Lemma"
      about="It signs for you at this site. Its secret is made in this browser and never leaves it."
    >
      <Choices />
    </Page>
  );
}

/** How there comes to be one. What brought somebody here goes on then. */
export function Choices() {
  const { path, params } = usePlace();
  const query = params.toString();
  const next =
    path === '/' ? '' : `?${new URLSearchParams({ next: query === '' ? path : `${path}?${query}` })}`;
  return (
    <div class="stack">
      <ul class="choices">
        <Choice to={`/create${next}`} title="Make a wallet">
          New here. You write down 24 words, and protect it by a passphrase or a passkey.
        </Choice>
        <Choice to={`/restore${next}`} title="Restore by words">
          You have the 24 words of a wallet: here it is the same as there.
        </Choice>
        <Choice to={`/import${next}`} title="Take over the owner's key">
          You started this deployment: bring <code>.lemma/keys/operator-root.key</code> into the wallet.
        </Choice>
      </ul>
      <Notice>
        <span>
          The wallet belongs to <code>{location.origin}</code>, in this browser. Nobody can restore it for you
          but you, by its words.
        </span>
      </Notice>
    </div>
  );
}

function Choice({ to, title, children }: { to: string; title: string; children: ComponentChildren }) {
  return (
    <li class="card choice">
      <h2>
        <Link to={to}>{title}</Link>
      </h2>
      <p class="soft small">{children}</p>
    </li>
  );
}
