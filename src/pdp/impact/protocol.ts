import type { PolicyImage } from '../../policy/instance.ts';
import type { Change, NotComparable, NotReproduced } from '../../schema/impact.ts';
import type { Disclosure } from '../input.ts';
import type { RequestView } from './judge.ts';

/** A policy as it is sent to a thread. Its memory is shared, not copied. */
export interface SentPolicy extends Disclosure {
  readonly sha256: string;
  readonly name: string;
  readonly view: RequestView;
  readonly image: PolicyImage;
  /** The profile's own, which is asked first of what is behind an adapter. */
  readonly base: { readonly sha256: string; readonly image: PolicyImage } | null;
}

export interface ThreadOptions {
  readonly candidates: readonly SentPolicy[];
  /** Only decisions of bundles with one of these digests, or revisions. Null: all. */
  readonly only: readonly string[] | null;
  /** One element; not 0 once a decision did not reproduce: candidates are asked no more. Null: they are all the same. */
  readonly broken: Int32Array | null;
}

/** To a thread: lines, whole ones; or the bundle that it asked for. */
export type ToThread =
  | { readonly kind: 'lines'; readonly bytes: Uint8Array }
  | { readonly kind: 'policy'; readonly key: string; readonly policy: SentPolicy | null };

/** From a thread. */
export type FromThread =
  /** `keyOf` its reference. */
  | { readonly kind: 'needs'; readonly key: string }
  | { readonly kind: 'done'; readonly counted: Counted }
  /** A line that is no record: its beginning. */
  | { readonly kind: 'malformed'; readonly line: string }
  | { readonly kind: 'fault'; readonly message: string };

interface Uncompared {
  count: number;
  /** Some of them. */
  readonly decision_ids: string[];
}

/** What some lines came to. */
export interface Counted {
  records: number;
  reproduced: number;
  same: number;
  not_reproduced: number;
  readonly differing: NotReproduced[];
  readonly not_comparable: Partial<Record<NotComparable, Uncompared>>;
  readonly changes: Change[];
}
