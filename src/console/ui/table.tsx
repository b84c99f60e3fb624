import type { ComponentChildren } from 'preact';
import { ROLE } from './table-roles.ts';

export interface Column<T> {
  readonly name: string;
  readonly right?: boolean;
  readonly cell: (row: T) => ComponentChildren;
}

export interface TableProps<T> {
  /** What it lists, for who cannot see it. */
  readonly label: string;
  readonly columns: readonly Column<T>[];
  readonly rows: readonly T[];
  readonly keyOf: (row: T) => string;
}

/** On a narrow screen each row becomes a card. */
export function Table<T>({ label, columns, rows, keyOf }: TableProps<T>) {
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reached by the keyboard
    <section class="scroll" aria-label={label} tabIndex={0}>
      <table class="table cards" {...ROLE.table}>
        <thead {...ROLE.group}>
          <tr {...ROLE.row}>
            {columns.map(({ name, right = false }) => (
              <th key={name} {...ROLE.column} scope="col" class={right ? 'right' : ''}>
                {name === '' ? <span class="sr">Actions</span> : name}
              </th>
            ))}
          </tr>
        </thead>
        <tbody {...ROLE.group}>
          {rows.map((row) => (
            <tr key={keyOf(row)} {...ROLE.row}>
              {columns.map(({ name, right = false, cell }) => (
                <td key={name} {...ROLE.cell} data-label={name} class={right ? 'right' : ''}>
                  {cell(row)}
                </td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </section>
  );
}
