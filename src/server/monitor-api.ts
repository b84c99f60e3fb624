import type { Activity } from '../decision-log/activity.ts';
import type { Alert, Alerts } from '../decision-log/alerts.ts';
import { SEVERITIES } from '../decision-log/alerts.ts';
import { MINUTE, type Minutes } from '../decision-log/minutes.ts';
import { type MonitorQuery, monitorQuerySchema } from '../schema/api-decisions.ts';
import type { StoredEvent } from '../store/model.ts';
import type { CursorScope } from './cursors.ts';
import { lagTeller, lastEvent, redacted, type StreamParts } from './decision-stream.ts';
import { eventText } from './event-streams.ts';
import type { OperatorHandler } from './guard.ts';
import { OPERATIONS } from './operations.ts';
import { reader } from './read.ts';
import { timeText } from './time.ts';

export interface MonitorParts extends StreamParts {
  readonly activity: Activity;
  readonly alerts: Alerts;
  /** Events of the control plane after a number, in order; of all tenants. */
  readonly eventsAfter: (seq: number, limit: number) => Promise<StoredEvent[]>;
  /** The number of the last event. */
  readonly lastEvent: () => number;
  readonly clock: () => number;
}

const readQuery = reader<MonitorQuery>(monitorQuerySchema);

const SERIES = 60;
const RECENT = 5;
const TOP = 10;
const EVENTS_AT_ONCE = 100;

export function monitorHandlers(
  parts: MonitorParts,
): Record<'alertsSummary' | 'monitorSummary' | 'monitorEvents', OperatorHandler> {
  const { activity, alerts, tail, cursors, streams, clock } = parts;
  return {
    alertsSummary(operator) {
      const found = alerts.summary(operator);
      const { slowest: _, ...lag } = found.revocation_lag;
      return {
        success: true,
        at: timeText(clock()),
        alerts: found.alerts.map(shown),
        revocation_lag: lag,
        baseline_minutes: found.baseline_minutes,
      };
    },

    monitorSummary(operator) {
      const now = clock();
      const seen = activity.of(operator);
      const found = alerts.summary(operator).alerts;
      const from = now - (SERIES - 1) * MINUTE;
      return {
        success: true,
        at: timeText(now),
        counted_since: timeText(Math.max(seen.since, from)),
        decisions: {
          this_minute: both(seen, now, now),
          last_minute: both(seen, now - MINUTE, now - MINUTE),
          last_hour: both(seen, from, now),
          per_minute: Array.from({ length: SERIES }, (__, n) => {
            const at = Math.floor(from / MINUTE + n) * MINUTE;
            return { minute: timeText(at), ...both(seen, at, at) };
          }),
        },
        top_reasons: topOf(seen.reasons, from, now),
        runtimes_active: seen.activeSince(now - RECENT * MINUTE),
        alerts: Object.fromEntries(
          SEVERITIES.map((severity) => [
            severity,
            found.filter((alert) => alert.severity === severity).length,
          ]),
        ),
      };
    },

    async monitorEvents(operator, request, reply) {
      const { org, env } = operator;
      const query = readQuery(request.query);
      const scope: CursorScope = { kind: 'monitor', org, env, asked: {} };
      const from = lastEvent(request.headers['last-event-id'], query.after);
      const [start = 0, after = 0] =
        from === null
          ? [await tail.end(), parts.lastEvent()]
          : cursors.open(scope, from.id, from.field).split('.').map(Number);
      const id = (position: number, seq: number) => cursors.seal(scope, `${position}.${seq}`);
      return streams.send(
        operator,
        async function* (signal) {
          const lag = lagTeller();
          let position = start;
          let seq = after;
          yield eventText(id(position, seq), null, null);
          for await (const batch of tail.follow({ org, env }, {}, position, signal)) {
            let text = lag(batch.behind);
            for (const record of batch.records) {
              position = record.position;
              text += eventText(id(position, seq), 'decision', JSON.stringify(redacted(record)));
            }
            position = batch.position;
            while (seq < parts.lastEvent() && !signal.aborted) {
              const events = await parts.eventsAfter(seq, EVENTS_AT_ONCE);
              for (const event of events) {
                seq = event.seq;
                if (event.org !== org || event.env !== env) continue;
                text += eventText(id(position, seq), 'control', JSON.stringify(controlEvent(event)));
              }
              if (events.length < EVENTS_AT_ONCE) break;
            }
            yield text === '' ? `: nothing new\n${eventText(id(position, seq), null, null)}` : text;
          }
        },
        request,
        reply,
      );
    },
  };
}

/** No reasons in words, no keys: who asks for more asks the control plane. */
function controlEvent({ epoch, seq, time, type, runtime_id }: StoredEvent): object {
  return { epoch, seq, time: timeText(time), type, runtime_id };
}

function shown({ kind, severity, since, message, facts, decisions }: Alert): object {
  const { since: from, ...filters } = decisions;
  const query = new URLSearchParams({ ...filters, since: timeText(from) });
  return {
    kind,
    severity,
    since: timeText(since),
    message,
    facts,
    query: `${OPERATIONS.listDecisions.path}?${query}`,
  };
}

function both(seen: { readonly allow: Minutes; readonly deny: Minutes }, from: number, to: number) {
  return { allow: seen.allow.sum(from, to), deny: seen.deny.sum(from, to) };
}

function topOf(reasons: ReadonlyMap<string, Minutes>, from: number, to: number): object[] {
  return [...reasons]
    .map(([reason, counts]) => ({ reason, count: counts.sum(from, to) }))
    .filter(({ count }) => count > 0)
    .sort((a, b) => b.count - a.count)
    .slice(0, TOP);
}
