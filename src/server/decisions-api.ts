import { pipeline, Readable } from 'node:stream';
import { setImmediate as turn } from 'node:timers/promises';
import { createGzip } from 'node:zlib';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { notFound } from '../authority/refusal.ts';
import type { ExportItem } from '../decision-log/export.ts';
import { InputError } from '../reason.ts';
import {
  type DecisionParams,
  decisionParamsSchema,
  type ExplainQuery,
  explainQuerySchema,
  PAGE_LIMIT,
} from '../schema/api.ts';
import {
  type DecisionsQuery,
  decisionsQuerySchema,
  type ExportQuery,
  exportQuerySchema,
} from '../schema/api-decisions.ts';
import type { RecordPage, RecordQuery, Tenant } from '../store/model.ts';
import type { CursorScope, Cursors } from './cursors.ts';
import { type DecisionFilters, filtersOf } from './decision-filters.ts';
import { takesGzip } from './encoding.ts';
import { type ExportWriter, exportWriter } from './export-format.ts';
import type { OperatorHandler } from './guard.ts';
import { reader } from './read.ts';
import { takenWithin } from './stalled.ts';

/** What an export is of. `after`: a place that an earlier one gave, null from the start. */
export interface ExportWish {
  /** With what `verifyChain` needs. */
  readonly proven: boolean;
  readonly filters: DecisionFilters;
  readonly after: string | null;
}

/** How the decision log is read. Each is given the operator's own tenant, and must show nothing beyond it. */
export interface DecisionLogReader {
  readonly cursors: Cursors;
  readonly version: string;
  readonly queryDecisions: (query: RecordQuery) => Promise<RecordPage>;
  readonly exportDecisions: (tenant: Tenant, wish: ExportWish) => AsyncIterable<ExportItem>;
  /** A client that takes nothing of an export for so long is cut off, milliseconds (60,000). */
  readonly exportStallMs?: number;
  /** Null where the tenant has no such decision. */
  readonly explain: (
    decisionId: string,
    tenant: Tenant,
    trace: ExplainQuery['trace'],
  ) => Promise<object | null>;
}

/** Lines of an export are sent in pieces of about this many characters. */
const PIECE = 64 * 1024;
/** Lines that are written in one turn of the event loop. */
const LINES_AT_ONCE = 50;
const GZIP_LEVEL = 4;
/** An export holds the log's oldest records back from pruning. */
const STALL_MS = 60_000;
export const NEXT_CURSOR = 'lemma-next-cursor';

const readQuery = reader<DecisionsQuery>(decisionsQuerySchema);
const readExplainQuery = reader<ExplainQuery>(explainQuerySchema);
const readExport = reader<ExportQuery>(exportQuerySchema);
const readParams = reader<DecisionParams>(decisionParamsSchema);

export function decisionHandlers({
  cursors,
  version,
  queryDecisions,
  exportDecisions,
  exportStallMs = STALL_MS,
  explain,
}: DecisionLogReader): Record<'listDecisions' | 'explain' | 'exportDecisions', OperatorHandler> {
  return {
    async listDecisions({ org, env }, request, reply) {
      const { cursor, limit, order = 'desc', ...asked } = readQuery(request.query);
      const filters = filtersOf(asked);
      const scope: CursorScope = { kind: 'decisions', org, env, asked: { ...filters, order } };
      const place = cursor === undefined ? {} : { cursor: cursors.open(scope, cursor, 'cursor') };
      const page = { ...place, limit: Number(limit ?? PAGE_LIMIT.usual), order };
      const { lines, next_cursor: next } = await queryDecisions({
        ...filters,
        org,
        env,
        ...page,
      });
      const sealed = next === null ? null : cursors.seal(scope, next);
      // Spliced as text: a record is shown byte for byte as it is stored.
      const text = `{"success":true,"decisions":[${lines.join(',')}],"next_cursor":${JSON.stringify(sealed)}}`;
      return reply.type('application/json; charset=utf-8').send(text);
    },
    async explain({ org, env }, request) {
      const { id } = readParams(request.params);
      const { trace } = readExplainQuery(request.query);
      const explanation = await explain(id, { org, env }, trace);
      if (explanation === null) throw notFound('decision');
      return { success: true, explanation };
    },
    async exportDecisions({ org, env }, request, reply) {
      const query = readExport(request.query);
      const { proven, after, marks, format = 'ndjson', ...asked } = query;
      if (proven === 'true') refuseBeside(query);
      const filters = filtersOf(asked);
      const scope: CursorScope = { kind: 'export', org, env, asked: { ...filters } };
      const place = after === undefined ? null : cursors.open(scope, after, 'after');
      const wish = { proven: proven === 'true', filters, after: place };
      const items = exportDecisions({ org, env }, wish)[Symbol.asyncIterator]();
      // The first one is waited for: a store that cannot be read is an error still, not a torn answer.
      const first = await items.next();
      let next = after ?? null;
      const seal = (at: string) => {
        next = cursors.seal(scope, at);
        return next;
      };
      const writer = exportWriter(format, marks === 'true', version);
      const texts = inPieces(first, items, { writer, seal, marks: marks === 'true' });
      const pieces: Readable = Readable.from(
        takenWithin(exportStallMs, texts, (error) => pieces.destroy(error)),
        { objectMode: false, highWaterMark: PIECE },
      );
      // A client that hung up before the first piece leaves a generator that never began, and so never ends.
      pieces.once('close', () => void items.return?.());
      reply.type(writer.mediaType);
      if (format === 'csv') reply.header('content-disposition', 'attachment; filename="decisions.csv"');
      if (!wish.proven) reply.trailer(NEXT_CURSOR, async () => next ?? '');
      return send(pieces, request, reply);
    },
  };
}

function refuseBeside({ proven: _, ...others }: ExportQuery): void {
  const problems = Object.entries(others)
    .filter(([name, value]) => !(name === 'format' && value === 'ndjson'))
    .map(([field]) => ({
      field,
      message: 'cannot be asked for with proven: what proves the log is for all of it, as ndjson',
    }));
  if (problems.length > 0) throw new InputError(problems);
}

/** With gzip where the client takes it. */
function send(pieces: Readable, request: FastifyRequest, reply: FastifyReply): FastifyReply {
  reply.header('vary', 'accept-encoding');
  if (!takesGzip(request.headers['accept-encoding'])) return reply.send(pieces);
  const packed = createGzip({ level: GZIP_LEVEL });
  // Either one's end, and either one's failure, is the other's.
  pipeline(pieces, packed, () => undefined);
  return reply.header('content-encoding', 'gzip').send(packed);
}

interface Writing {
  readonly writer: ExportWriter;
  readonly seal: (place: string) => string;
  readonly marks: boolean;
}

/** Text, only as fast as it is taken. */
async function* inPieces(
  first: IteratorResult<ExportItem>,
  items: AsyncIterator<ExportItem>,
  { writer, seal, marks }: Writing,
): AsyncGenerator<string, void, undefined> {
  let piece = writer.head;
  let count = 0;
  try {
    for (let at = first; at.done !== true; at = await items.next()) {
      const { line, place } = at.value;
      const cursor = place === undefined ? null : seal(place);
      const mark = marks ? cursor : null;
      if (line !== undefined) piece += writer.record(line, mark);
      else if (mark !== null) piece += writer.mark(mark);
      count += 1;
      if (count % LINES_AT_ONCE === 0) await turn();
      if (piece.length < PIECE) continue;
      yield piece;
      piece = '';
    }
    if (piece !== '') yield piece;
  } finally {
    await items.return?.();
  }
}
