import type { Gate } from '../gate/gate.ts';
import type { LiveRuntime, RuntimeStatus } from '../gate/runtimes.ts';
import type { Profile } from '../schema/common.ts';
import type { Tenant } from '../store/model.ts';
import type { Cursors } from './cursor.ts';

export interface RuntimeFilter {
  readonly status?: RuntimeStatus | undefined;
  readonly profile?: Profile | undefined;
  readonly agent_id?: string | undefined;
  readonly workspace_id?: string | undefined;
  readonly subject?: string | undefined;
}

export interface RuntimeQuery extends RuntimeFilter {
  readonly cursor?: string | undefined;
  readonly limit: number;
}

export interface RuntimePage {
  readonly runtimes: readonly LiveRuntime[];
  readonly next_cursor: string | null;
}

const FILTERS = ['status', 'profile', 'agent_id', 'workspace_id', 'subject'] as const;

/** A tenant's runtimes by id, those that every filter names. Throws InputError for a cursor that is none of this list. */
export function listRuntimes(
  gate: Gate,
  cursors: Cursors,
  { org, env }: Tenant,
  { cursor, limit, ...filter }: RuntimeQuery,
): RuntimePage {
  const question = JSON.stringify(['runtimes', org, env, ...FILTERS.map((name) => filter[name] ?? null)]);
  const after = cursor === undefined ? '' : cursors.open(question, cursor);
  const wanted = FILTERS.filter((name) => filter[name] !== undefined);
  const rest = [...gate.runtimes()]
    .filter((runtime) => runtime.org === org && runtime.env === env && runtime.runtime_id > after)
    .filter((runtime) => wanted.every((name) => runtime[name] === filter[name]))
    .sort((a, b) => (a.runtime_id < b.runtime_id ? -1 : 1));
  const runtimes = rest.slice(0, limit);
  const last = runtimes.at(-1);
  const next_cursor =
    rest.length > limit && last !== undefined ? cursors.seal(question, last.runtime_id) : null;
  return { runtimes, next_cursor };
}
