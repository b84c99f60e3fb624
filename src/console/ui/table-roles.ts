/**
 * What the parts of a table are, said anew: a browser may take it from a table that a style does not lay out as one (CSS Display 3
 * leaves it to them; WebKit did for long).
 */
export const ROLE = {
  table: { role: 'table' },
  group: { role: 'rowgroup' },
  row: { role: 'row' },
  column: { role: 'columnheader' },
  cell: { role: 'cell' },
} as const;
