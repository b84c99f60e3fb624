import { cell, member } from './control-api.ts';

/** A record in one row: time, verdict, reason, runtime, request, id. */
export function decisionRow(record: unknown): string[] {
  const request = (name: string) => cell(member(record, 'request', name));
  return [
    timeOf(member(record, 'time')),
    cell(member(record, 'verdict')),
    cell(member(record, 'reason')),
    cell(member(record, 'actor', 'runtime_id')) || '-',
    `${request('method')} ${request('host')}${request('path')}`,
    cell(member(record, 'decision_id')),
  ];
}

/** Records count milliseconds, the REST API may say RFC 3339. */
function timeOf(value: unknown): string {
  return typeof value === 'number' && Number.isSafeInteger(value)
    ? new Date(value).toISOString()
    : cell(value);
}
