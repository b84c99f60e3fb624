import type { DecisionRecord } from '../schema/decision.ts';

/** Columns of an export, in their order. Times are RFC 3339. */
const COLUMNS: readonly (readonly [name: string, value: (record: DecisionRecord) => Cell])[] = [
  ['time', ({ time }) => new Date(time).toISOString()],
  ['decision_id', ({ decision_id }) => decision_id],
  ['node', ({ node }) => node],
  ['seq', ({ seq }) => seq],
  ['org', ({ org }) => org],
  ['env', ({ env }) => env],
  ['runtime_id', ({ actor }) => actor?.runtime_id],
  ['agent_id', ({ actor }) => actor?.agent_id],
  ['workspace_id', ({ actor }) => actor?.workspace_id],
  ['subject', ({ actor }) => actor?.subject],
  ['verdict', ({ verdict }) => verdict],
  ['reason', ({ reason }) => reason],
  ['reasons', ({ reasons }) => reasons.join(' ')],
  ['stage', ({ stage }) => stage],
  ['profile', ({ profile }) => profile],
  ['route', ({ route }) => route?.id],
  ['method', ({ request }) => request?.method],
  ['host', ({ request }) => request?.host],
  ['path', ({ request }) => request?.path],
  ['border', ({ border }) => border],
  ['enforcement_point', ({ enforcement_point }) => enforcement_point],
  ['bundle_revision', ({ bundle }) => bundle?.revision],
  ['observed', ({ observed }) => observed],
  ['amends', ({ amends }) => amends],
  ['requests', ({ requests }) => requests ?? 1],
  ['message', ({ failed }) => failed?.message],
  ['trace_id', ({ trace_id }) => trace_id],
  ['hash', ({ hash }) => hash],
];

type Cell = string | number | boolean | null | undefined;

export const CSV_HEADER: readonly string[] = COLUMNS.map(([name]) => name);

export function csvCells(line: string): string[] {
  const record = JSON.parse(line) as DecisionRecord;
  return COLUMNS.map(([, value]) => String(value(record) ?? ''));
}

/** One row with its CRLF (RFC 4180). */
export function csvRow(cells: readonly string[]): string {
  return `${cells.map(csvCell).join(',')}\r\n`;
}

/**
 * What a spreadsheet would take for a formula gets an apostrophe before it (OWASP, "CSV Injection"): it begins with = + - @,
 * one of their full-width forms, a tab, a line feed or a carriage return.
 */
function csvCell(text: string): string {
  const safe = /^[=+\-@\uff1d\uff0b\uff0d\uff20\t\r\n]/.test(text) ? `'${text}` : text;
  return /[",\r\n\t]|^\s|\s$/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}
