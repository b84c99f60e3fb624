import { randomUUID } from 'node:crypto';
import { setTimeout as wait } from 'node:timers/promises';
import type { Call } from '../../command.ts';
import { type ControlApi, controlApi, member } from '../../control-api.ts';
import { CliError } from '../../exit.ts';
import type { ControlChannel } from '../control-channel.ts';
import type { Finding } from '../posture.ts';
import { decisionsAfter } from '../verify.ts';
import type { Identity } from './contain.ts';

/*
 * Canaries through the agent itself: while its runtime is contained each class of tools must be denied by our hook, so that
 * nothing is done whatever the call says; after that one that only looks must be allowed.
 */

/** How the agent answered for a class of tools. */
export interface LiveCanary {
  readonly class: string;
  readonly tool: string;
  /** `denied`: by our hook; `unreachable`: no tool of the class is to be had this way; `passed`: without our hook. */
  readonly outcome: 'denied' | 'unreachable' | 'passed';
  readonly decision_id: string | null;
}

/** Null where the text is not our hook's; else its decision. */
export function deniedByUs(text: string): { readonly decision_id: string | null } | null {
  if (!/\bLemma: \S+ was (?:denied|blocked)\b/.test(text)) return null;
  return { decision_id: /\bdec_[\w-]+/.exec(text)?.[0] ?? null };
}

/**
 * The runtime is resumed whatever happens, unless somebody else has contained it meanwhile: then CliError
 * `contained_meanwhile`, and it stays so.
 */
export async function whileContained<T>(
  call: Call,
  { runtime_id }: Identity,
  work: () => Promise<T>,
): Promise<T> {
  const api = controlApi(call);
  const path = `/api/wallet/runtimes/${runtime_id}`;
  const reason = `canaries of a setup command (${randomUUID()})`;
  await api.post(`${path}/contain`, { reason });
  try {
    return await work();
  } finally {
    await resumeOwn(api, runtime_id, path, reason);
  }
}

async function resumeOwn(api: ControlApi, id: string, path: string, reason: string): Promise<void> {
  const { events } = await api.get(path);
  const stops = Array.isArray(events) ? events.filter((event) => member(event, 'type') === 'status') : [];
  if (member(stops.at(-1), 'reason') !== reason)
    throw new CliError(
      'contained_meanwhile',
      `somebody else contained ${id} while it was checked: it stays so. When that is over: resume it, and run this again`,
    );
  await api.post(`${path}/resume`, { reason });
}

/** Records of low risk are written behind their answers. */
const LOG_MS = 5000;
const AGAIN_MS = 200;

/** The decision by which `act` was allowed to call the tool, in our own log; null: there is none. */
export async function allowedBy(
  channel: ControlChannel,
  asked: { readonly agent: string; readonly tool: string },
  act: () => Promise<unknown>,
): Promise<string | null> {
  const path = `/tool/${asked.agent}/${asked.tool}`;
  const last = (await decisionsAfter(channel, 0)).at(-1)?.position ?? 0;
  await act();
  const until = Date.now() + LOG_MS;
  do {
    const fresh = await decisionsAfter(channel, last);
    const found = fresh.find((one) => one.verdict === 'allow' && one.path === path);
    if (found !== undefined) return found.decision_id;
    await wait(AGAIN_MS);
  } while (Date.now() < until);
  return null;
}

/** For the line of each class that was denied through the agent. */
export function liveNotes(title: string, canaries: readonly LiveCanary[]): Map<string, string> {
  return new Map(
    canaries.flatMap(({ class: id, outcome, decision_id }) =>
      outcome === 'denied' ? [[id, `, through ${title} too (${decision_id})`] as const] : [],
    ),
  );
}

/** Classes that could not be tried; `where` says why in a few words. */
export function unprovenGap(canaries: readonly LiveCanary[], where: string): Finding[] {
  const names = canaries.filter(({ outcome }) => outcome === 'unreachable').map((one) => one.class);
  if (names.length === 0) return [];
  const message = `${where} no tool of ${names.join(', ')}: tried at the hook alone`;
  return [{ code: 'unproven_classes', level: 'degraded', message, mend: '' }];
}
