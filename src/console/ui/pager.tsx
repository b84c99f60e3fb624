import { setParams } from '../lib/router.tsx';
import { Button } from './button.tsx';

export interface PagerProps {
  /** Of the page that is shown; null: it is the first. */
  readonly cursor: string | null;
  readonly next: string | null;
}

export function Pager({ cursor, next }: PagerProps) {
  if (cursor === null && next === null) return null;
  return (
    <div class="foot row">
      {cursor === null ? null : <Button onClick={() => setParams({ cursor: null })}>First page</Button>}
      {next === null ? null : <Button onClick={() => setParams({ cursor: next })}>Next page</Button>}
    </div>
  );
}
