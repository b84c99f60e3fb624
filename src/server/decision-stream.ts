import type { Tail } from '../decision-log/tail.ts';
import { InputError } from '../reason.ts';
import { type StreamQuery, streamQuerySchema } from '../schema/api-decisions.ts';
import type { FollowedRecord } from '../store/model.ts';
import type { CursorScope, Cursors } from './cursors.ts';
import { filtersOf } from './decision-filters.ts';
import { type EventStreams, eventText } from './event-streams.ts';
import type { OperatorHandler } from './guard.ts';
import { reader } from './read.ts';

export interface StreamParts {
  readonly tail: Tail;
  readonly cursors: Cursors;
  readonly streams: EventStreams;
}

const readQuery = reader<StreamQuery>(streamQuerySchema);

/** A client that is further behind than so many positions is told. */
const LAG = 1000;

/**
 * The decision feed, live: an event `decision` for each record, its stored line as data. Its id is where a client that comes
 * again with `Last-Event-ID` goes on: no record is lost and none comes twice.
 */
export function streamHandlers({
  tail,
  cursors,
  streams,
}: StreamParts): Record<'streamDecisions', OperatorHandler> {
  return {
    async streamDecisions(operator, request, reply) {
      const { org, env } = operator;
      const { after, ...query } = readQuery(request.query);
      const filters = filtersOf(query);
      const scope: CursorScope = { kind: 'stream', org, env, asked: { ...filters } };
      const from = lastEvent(request.headers['last-event-id'], after);
      // Taken before the answer begins: what is decided after it did is shown.
      const position = from === null ? await tail.end() : Number(cursors.open(scope, from.id, from.field));
      const id = (at: number) => cursors.seal(scope, String(at));
      return streams.send(
        operator,
        async function* (signal) {
          const lag = lagTeller();
          // Something to go on from, also for a client whose connection breaks before a first decision.
          yield eventText(id(position), null, null);
          for await (const batch of tail.follow({ org, env }, filters, position, signal)) {
            let text = lag(batch.behind);
            for (const record of batch.records)
              text += eventText(id(record.position), 'decision', record.line);
            // A comment keeps proxies from ending it; the id spares a client that comes again what did not concern it.
            yield batch.records.length === 0
              ? `${text}: nothing new\n${eventText(id(batch.position), null, null)}`
              : text;
          }
        },
        request,
        reply,
      );
    },
  };
}

/** An event `lag` where a client falls behind, and another, of 0, when it has caught up; else nothing. */
export function lagTeller(): (behind: number) => string {
  let told = false;
  return (behind) => {
    if (told ? behind > 0 : behind <= LAG) return '';
    told = !told;
    // With no id: it is nothing to go on from.
    return `event: lag\ndata: ${JSON.stringify({ behind })}\n\n`;
  };
}

/** The header, which a browser sends by itself, comes before the query. */
export function lastEvent(
  header: string | string[] | undefined,
  query: string | undefined,
): { readonly id: string; readonly field: string } | null {
  if (Array.isArray(header))
    throw new InputError([{ field: 'Last-Event-ID', message: 'must be there once' }]);
  if (header !== undefined && header !== '') return { id: header, field: 'Last-Event-ID' };
  return query === undefined ? null : { id: query, field: 'after' };
}

/** Ids and codes of a record: what a monitor may show. */
export function redacted({ line: _, subject: __, position: ___, ...record }: FollowedRecord): object {
  return { ...record, time: new Date(record.time).toISOString() };
}
