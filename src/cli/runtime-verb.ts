import type { Call } from './command.ts';
import { type Answer, cell, controlApi } from './control-api.ts';
import { reasonOf } from './reason.ts';

/** Asks a verb of one runtime, which the command's first argument names. */
export async function askVerb(call: Call, verb: string, body: object = {}): Promise<Answer> {
  const [runtime = ''] = call.args;
  const path = `/api/wallet/runtimes/${encodeURIComponent(runtime)}/${verb}`;
  const answer = await controlApi(call).post(path, { ...body, ...reasonOf(call) });
  const { success: _, ...data } = answer;
  return data;
}

/** What holds until a restart only must be said. */
export function durableNote(durable: unknown): string {
  return durable === false ? ' - NOT DURABLE: it ends with the process; ask again' : '';
}

export function eventNote({ seq, durable }: Answer): string {
  return seq === null || seq === undefined ? durableNote(durable) : ` (event ${cell(seq)})`;
}
