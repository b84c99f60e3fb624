import { setTimeout as wait } from 'node:timers/promises';
import type { Command } from 'commander';
import { splitLines } from '../decision-log/split-lines.ts';
import type { Call, Result } from './command.ts';
import { type ControlApi, controlApi, defineControlOptions } from './control-api.ts';
import { defineFilters, filterQuery } from './decision-filters.ts';
import { decisionRow } from './decision-line.ts';
import { CliError } from './exit.ts';
import { firstSignal } from './signals.ts';
import { serverEvents } from './sse.ts';
import { table } from './terminal.ts';

export function define(command: Command): void {
  defineFilters(command, false);
  defineControlOptions(command);
}

const AGAIN_MS = 1000;
const AGAIN_AT_MOST_MS = 15_000;

/**
 * Decisions as they are made, until it is told to end. With --json each is the stored record, one a line. When the service
 * goes away it waits for it and goes on where it was: nothing is left out and nothing comes twice.
 */
export async function run(call: Call): Promise<Result | null> {
  const api = controlApi(call);
  const query = filterQuery(call);
  const ending = new AbortController();
  const asked = firstSignal().then(() => ending.abort());
  const place = { last: null as string | null };
  let failures = 0;
  for (;;) {
    const before = place.last;
    try {
      await follow(api, { query, place, call, signal: ending.signal });
      failures = 0;
    } catch (error) {
      if (ending.signal.aborted) break;
      // What is wrong from the start is said at once; so is what no waiting will mend.
      if (!passes(error) || place.last === null) throw error;
      failures = place.last === before ? failures + 1 : 1;
      if (failures === 1)
        call.terminal.note(`${error instanceof Error ? error.message : error}; waiting for it`);
    }
    if (ending.signal.aborted) break;
    await wait(Math.min(AGAIN_MS * 2 ** failures, AGAIN_AT_MOST_MS), undefined, {
      signal: ending.signal,
    }).catch(() => undefined);
    if (ending.signal.aborted) break;
  }
  await asked;
  return null;
}

interface Following {
  readonly query: URLSearchParams;
  readonly place: { last: string | null };
  readonly call: Call;
  readonly signal: AbortSignal;
}

async function follow(api: ControlApi, { query, place, call, signal }: Following): Promise<void> {
  const stream = await api.events(`/api/wallet/runtimes/decisions/stream?${query}`, place.last, signal);
  for await (const { id, event, data } of serverEvents(splitLines(stream))) {
    if (event === 'decision' && data !== null) {
      if (call.json) await call.terminal.write(`${data}\n`);
      else
        for (const line of table([decisionRow(JSON.parse(data))], call.terminal.interactive))
          call.terminal.line(line);
    } else if (event === 'lag' && data !== null) call.terminal.note(lagNote(data));
    if (id !== null) place.last = id;
  }
}

function lagNote(data: string): string {
  const { behind } = JSON.parse(data) as { readonly behind: number };
  return behind > 0
    ? `behind by ${behind} decisions: they come faster than they are shown`
    : 'no longer behind';
}

/** The service is away, or full, or ended the stream; not: it refuses what was asked. */
function passes(error: unknown): boolean {
  if (!(error instanceof CliError)) return true;
  return ['unreachable', 'rate_limited', 'store_unavailable', 'state_not_ready'].includes(error.code);
}
