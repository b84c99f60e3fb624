import { Denial, type ReasonCode } from '../reason.ts';
import type { Decision } from '../schema/decision.ts';
import type { AuthzRequest } from '../schema/request.ts';
import type { Pdp } from './decide.ts';
import { type Draft, decisionOf, openDraft, recordOf, refuse } from './draft.ts';

/** Denials before step 1. */
export interface Shedding {
  /** @param source whom it concerns; null: everybody */
  deny(code: ShedCode, asked: AuthzRequest | AuthzRequest['border'], source?: string | null): Decision;
  stats(): Readonly<Record<ShedCode, number>>;
  /** Writes the records that are still open. */
  close(): void;
}

export type ShedCode = Extract<ReasonCode, 'overloaded' | 'rate_limited'>;

const WHY: Record<ShedCode, string> = {
  overloaded: 'more was asked than can be answered in time',
  rate_limited: 'its source asked more often than it may',
};

/** How long requests share a record. */
const WINDOW_MS = 1000;
/** Sources with a record of their own within one window; those beyond share one. */
const SOURCES_AT_MOST = 100;

interface Shared {
  readonly draft: Draft;
  readonly decision: Decision;
  readonly source: string | null;
  requests: number;
}

/**
 * To deny must cost far less than to decide, and a record for each would drown the log that is late already: requests of
 * one border, code and source that are shed within a second have one decision id, and one record that counts them.
 */
export function createShedding(pdp: Pick<Pdp, 'node' | 'clock' | 'settings' | 'log'>): Shedding {
  const open = new Map<string, Shared>();
  const counts = { overloaded: 0, rate_limited: 0 };
  let timer: NodeJS.Timeout | undefined;

  function share(
    code: ShedCode,
    asked: AuthzRequest | AuthzRequest['border'],
    source: string | null,
  ): Shared {
    const border = typeof asked === 'string' ? asked : asked.border;
    const own = open.size < SOURCES_AT_MOST ? source : null;
    const key = `${code} ${border} ${source ?? ''}`;
    const found = open.get(key) ?? open.get(`${code} ${border} ${own ?? ''}`);
    if (found !== undefined) return found;
    const draft = openDraft(typeof asked === 'string' ? unread(border) : asked, pdp.clock());
    refuse(draft, new Denial(code, WHY[code], own === null ? {} : { source: own }));
    const made = { draft, decision: decisionOf(draft), source: own, requests: 0 };
    open.set(`${code} ${border} ${own ?? ''}`, made);
    timer ??= setTimeout(flush, WINDOW_MS).unref();
    return made;
  }

  function flush(): void {
    clearTimeout(timer);
    timer = undefined;
    const { org, env, configRevision, routes } = pdp.settings();
    const context = { node: pdp.node, org, env, configRevision, routeRevision: routes.revision };
    const shed = [...open.values()];
    open.clear();
    for (const { draft, requests } of shed) {
      pdp.log.append({ ...recordOf(draft, context), requests }, { durable: false });
    }
  }

  return {
    deny(code, asked, source = null) {
      const shared = share(code, asked, source);
      shared.requests += 1;
      counts[code] += 1;
      return shared.decision;
    },
    stats: () => ({ ...counts }),
    close: flush,
  };
}

/** A request that was denied before it was looked at. */
function unread(border: AuthzRequest['border']): AuthzRequest {
  return {
    border,
    method: '',
    scheme: '',
    host: '',
    target: '',
    headers: [],
    body: { seen: null, partial: false, size: null },
    protocol: '',
    source: { address: '', principal: '' },
    traceId: null,
  };
}
