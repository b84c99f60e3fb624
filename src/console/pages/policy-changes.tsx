import { CHANGE_KINDS, type ChangeKind, type Said } from '../../schema/impact.ts';
import type { PolicyChange } from '../lib/answers.ts';
import { decisionPath } from '../lib/decisions.ts';
import { countText } from '../lib/format.ts';
import { Link } from '../lib/router.tsx';
import { Badge, type Tone } from '../ui/badge.tsx';
import { Table } from '../ui/table.tsx';
import { Time } from '../ui/time.tsx';

export const KINDS: Readonly<Record<ChangeKind, readonly [name: string, tone: Tone]>> = {
  newly_allowed: ['newly allowed', 'warn'],
  newly_denied: ['newly denied', 'deny'],
  reason_changed: ['reason changed', 'plain'],
  effects_changed: ['effects changed', 'plain'],
  error: ['error', 'deny'],
};

/** How many decisions came out how: the same, otherwise, not compared. */
export function ChangeCounts({
  counts,
}: {
  readonly counts: Readonly<Record<ChangeKind | 'same' | 'not_comparable', number>>;
}) {
  const shown: readonly (readonly [name: string, tone: Tone, count: number])[] = [
    ['the same', 'allow', counts.same],
    ...CHANGE_KINDS.map((kind) => [...KINDS[kind], counts[kind]] as const),
    ['not comparable', 'plain', counts.not_comparable],
  ];
  return (
    <ul class="tiles" aria-label="Decisions">
      {shown.map(([name, tone, count]) => (
        <li key={name} class={`card tile ${count === 0 ? '' : tone}`}>
          <span class="small soft">{name}</span>
          <span class="value num">{countText(count)}</span>
        </li>
      ))}
    </ul>
  );
}

/** Decisions that would have come out otherwise, each with its way to its explanation. */
export function Changes({
  changes,
  label,
}: {
  readonly changes: readonly PolicyChange[];
  readonly label: string;
}) {
  return (
    <Table
      label={label}
      rows={changes}
      keyOf={({ kind, decision_id: id }) => `${kind} ${id}`}
      columns={[
        {
          name: 'Change',
          cell: ({ kind }) => <Badge tone={KINDS[kind][1]}>{KINDS[kind][0]}</Badge>,
        },
        {
          name: 'Decision',
          cell: ({ decision_id: id }) => (
            <Link to={decisionPath(id)}>
              <code class="break">{id}</code>
            </Link>
          ),
        },
        { name: 'When', cell: ({ time }) => <Time at={time} /> },
        { name: 'Route', cell: ({ route }) => <code class="break">{route ?? '–'}</code> },
        {
          name: 'Runtime',
          cell: ({ runtime }) =>
            runtime === null ? (
              <span class="soft">–</span>
            ) : (
              <Link to={`/runtimes/${encodeURIComponent(runtime)}`} class="break">
                {runtime}
              </Link>
            ),
        },
        { name: 'Was', cell: ({ was }) => <What said={was} /> },
        { name: 'Would be', cell: ({ now }) => <What said={now} /> },
      ]}
    />
  );
}

function What({ said: { allow, reason, error } }: { readonly said: Said }) {
  if (allow) return <span>allow</span>;
  return (
    <span title={error ?? undefined}>
      deny <code class="reason break">{reason}</code>
    </span>
  );
}
