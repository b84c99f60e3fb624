import { CSV_HEADER, csvCells, csvRow } from '../decision-log/csv.ts';
import { opaEvent } from '../decision-log/opa-event.ts';
import type { ExportFormat } from '../schema/api-decisions.ts';

/** How an export is written. `mark`: a cursor that goes with the line, or null. */
export interface ExportWriter {
  readonly mediaType: string;
  readonly head: string;
  /** A line of the log as it is exported. */
  record(line: string, mark: string | null): string;
  /** A cursor after no line. */
  mark(cursor: string): string;
}

export function exportWriter(format: ExportFormat, marks: boolean, version: string): ExportWriter {
  switch (format) {
    case 'ndjson':
      return lines('application/x-ndjson', (line) => line);
    case 'opa':
      return lines('application/x-ndjson', (line) => JSON.stringify(opaEvent(line, version)));
    case 'csv':
      return {
        mediaType: 'text/csv; charset=utf-8; header=present',
        head: csvRow(marks ? [...CSV_HEADER, 'next_cursor'] : CSV_HEADER),
        record: (line, mark) => csvRow(marks ? [...csvCells(line), mark ?? ''] : csvCells(line)),
        // No row is no decision: the trailer says it.
        mark: () => '',
      };
  }
}

function lines(mediaType: string, text: (line: string) => string): ExportWriter {
  const mark = (cursor: string) => `${JSON.stringify({ next_cursor: cursor })}\n`;
  return {
    mediaType,
    head: '',
    record: (line, cursor) => `${text(line)}\n${cursor === null ? '' : mark(cursor)}`,
    mark,
  };
}
