import { InputError, type Problem } from '../reason.ts';
import type { DecisionsQuery } from '../schema/api-decisions.ts';
import type { Filter } from '../store/blocks.ts';
import type { RecordQuery } from '../store/model.ts';
import { msOf, NO_TIME } from './time.ts';

/** The filters of the feed, the stream and exports, as the store has them. */
export type DecisionFilters = Partial<Pick<RecordQuery, Filter | 'since' | 'until'>>;

type Asked = Pick<
  DecisionsQuery,
  'runtime' | 'agent' | 'workspace' | 'subject' | 'verdict' | 'reason' | 'route' | 'since' | 'until'
>;

/** Throws InputError for a time that is in no calendar. */
export function filtersOf(query: Asked): DecisionFilters {
  const problems: Problem[] = [];
  const { runtime, agent, workspace, subject, verdict, reason, route } = query;
  const filters = {
    runtime_id: runtime,
    agent_id: agent,
    workspace_id: workspace,
    subject: subject?.replace(/^(?!did:)/, 'did:lemma:'),
    verdict,
    reason,
    route,
    since: timeOf('since', query.since, problems),
    until: timeOf('until', query.until, problems),
  };
  if (problems.length > 0) throw new InputError(problems);
  return Object.fromEntries(Object.entries(filters).filter(([, value]) => value !== undefined));
}

function timeOf(field: string, text: string | undefined, problems: Problem[]): number | undefined {
  if (text === undefined) return undefined;
  const ms = msOf(text);
  if (ms !== null) return ms;
  problems.push({ field, message: NO_TIME });
  return undefined;
}
