import type { ComponentChildren } from 'preact';

export type Tone = 'plain' | 'allow' | 'deny' | 'warn' | 'accent';

export interface BadgeProps {
  readonly tone?: Tone;
  /** Without its dot. */
  readonly bare?: boolean;
  readonly children: ComponentChildren;
}

export function Badge({ tone = 'plain', bare = false, children }: BadgeProps) {
  return <span class={`badge ${tone} ${bare ? 'bare' : ''}`}>{children}</span>;
}

export function VerdictBadge({ verdict }: { readonly verdict: 'allow' | 'deny' }) {
  return <Badge tone={verdict}>{verdict}</Badge>;
}
