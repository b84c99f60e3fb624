import { Link } from '../lib/router.tsx';
import { Code } from '../ui/code.tsx';
import { addCommand, type SiteEntry } from './site.ts';

/** Where the control plane refused a sign-in because it knows no such operator. */
export function NotYet({ here }: { readonly here: SiteEntry }) {
  return (
    <div class="stack tight">
      <p class="small">
        This control plane does not know your wallet yet. Whoever may add operators runs this, or enters the
        two under Operators; then sign in again. Did you start this deployment?{' '}
        <Link to="/">Wipe this wallet</Link> and take over the owner's key, or sign in by the key file.
      </p>
      <Code text={addCommand(here)} label="operator entry" wrap />
    </div>
  );
}
