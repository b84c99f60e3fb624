import type { ComponentChildren } from 'preact';

export interface FactsProps {
  /** Those whose value is null are left out. */
  readonly rows: readonly (readonly [name: ComponentChildren, value: ComponentChildren])[];
}

export function Facts({ rows }: FactsProps) {
  const shown = rows.filter(([, value]) => value !== null && value !== undefined && value !== '');
  if (shown.length === 0) return null;
  return (
    <dl class="facts">
      {shown.map(([name, value], n) => (
        <div key={typeof name === 'string' ? name : n}>
          <dt>{name}</dt>
          <dd>{value}</dd>
        </div>
      ))}
    </dl>
  );
}
