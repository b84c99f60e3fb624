import { Readable } from 'node:stream';
import { notFound } from '../authority/refusal.ts';
import { InputError, type Problem } from '../reason.ts';
import {
  type DecisionParams,
  type DecisionsQuery,
  decisionParamsSchema,
  decisionsQuerySchema,
  type ExplainQuery,
  type ExportQuery,
  explainQuerySchema,
  exportQuerySchema,
  PAGE_LIMIT,
} from '../schema/api.ts';
import type { RecordPage, RecordQuery, Tenant } from '../store/model.ts';
import type { OperatorHandler } from './guard.ts';
import { reader } from './read.ts';

/** How the decision log is read. Each is given the operator's own tenant, and must show nothing beyond it. */
export interface DecisionLogReader {
  readonly queryDecisions: (query: RecordQuery) => Promise<RecordPage>;
  /** `proven`: with what `verifyChain` needs. */
  readonly exportDecisions: (tenant: Tenant, proven: boolean) => AsyncIterable<{ readonly line: string }>;
  /** Null where the tenant has no such decision. */
  readonly explain: (
    decisionId: string,
    tenant: Tenant,
    trace: ExplainQuery['trace'],
  ) => Promise<object | null>;
}

/** Lines of an export are sent in pieces of about this many characters. */
const PIECE = 64 * 1024;

const readQuery = reader<DecisionsQuery>(decisionsQuerySchema);
const readExplainQuery = reader<ExplainQuery>(explainQuerySchema);
const readExport = reader<ExportQuery>(exportQuerySchema);
const readParams = reader<DecisionParams>(decisionParamsSchema);

export function decisionHandlers({
  queryDecisions,
  exportDecisions,
  explain,
}: DecisionLogReader): Record<'listDecisions' | 'explain' | 'exportDecisions', OperatorHandler> {
  return {
    async listDecisions({ org, env }, request, reply) {
      const { lines, next_cursor } = await queryDecisions(queryOf(readQuery(request.query), { org, env }));
      // Spliced as text: a record is shown byte for byte as it is stored.
      const text = `{"success":true,"decisions":[${lines.join(',')}],"next_cursor":${JSON.stringify(next_cursor)}}`;
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
      const proven = readExport(request.query).proven === 'true';
      const lines = exportDecisions({ org, env }, proven)[Symbol.asyncIterator]();
      // The first one is waited for: a store that cannot be read is an error still, not a torn answer.
      const first = await lines.next();
      const pieces = Readable.from(inPieces(first, lines), { objectMode: false, highWaterMark: PIECE });
      // A client that hung up before the first piece leaves a generator that never began, and so never ends.
      pieces.once('close', () => void lines.return?.());
      return reply.type('application/x-ndjson').send(pieces);
    },
  };
}

/** NDJSON, only as fast as it is taken. */
async function* inPieces(
  first: IteratorResult<{ readonly line: string }>,
  lines: AsyncIterator<{ readonly line: string }>,
): AsyncGenerator<string, void, undefined> {
  let piece = '';
  try {
    for (let at = first; at.done !== true; at = await lines.next()) {
      piece += `${at.value.line}\n`;
      if (piece.length < PIECE) continue;
      yield piece;
      piece = '';
    }
    if (piece !== '') yield piece;
  } finally {
    await lines.return?.();
  }
}

function queryOf(query: DecisionsQuery, { org, env }: Tenant): RecordQuery {
  const problems: Problem[] = [];
  const { runtime, agent, workspace, subject, verdict, reason, route, cursor } = query;
  const filters = {
    runtime_id: runtime,
    agent_id: agent,
    workspace_id: workspace,
    subject,
    verdict,
    reason,
    route,
    cursor,
    since: timeOf('since', query.since, problems),
    until: timeOf('until', query.until, problems),
  };
  if (problems.length > 0) throw new InputError(problems);
  const named = Object.fromEntries(Object.entries(filters).filter(([, value]) => value !== undefined));
  return { ...named, org, env, limit: Number(query.limit ?? PAGE_LIMIT.usual), order: query.order ?? 'desc' };
}

/** Milliseconds of an RFC 3339 time whose form is checked. The day must exist: `Date.parse` would take 30 February. */
function timeOf(field: string, text: string | undefined, problems: Problem[]): number | undefined {
  if (text === undefined) return undefined;
  const ms = Date.parse(text);
  const day = Date.parse(`${text.slice(0, 10)}T00:00:00Z`);
  if (!Number.isNaN(ms) && !Number.isNaN(day) && new Date(day).toISOString().startsWith(text.slice(0, 10)))
    return ms;
  problems.push({ field, message: 'is no time of any calendar; RFC 3339: 2026-10-01T12:00:00Z' });
  return undefined;
}
