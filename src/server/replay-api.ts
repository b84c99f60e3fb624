import type { Captured, Replays } from '../pdp/replays.ts';
import { InputError, type Problem } from '../reason.ts';
import { described } from '../request/rest.ts';
import type { AuthorizeBody } from '../schema/api.ts';
import { replaySchema } from '../schema/api-replay.ts';
import type { DecisionRecord } from '../schema/decision.ts';
import { policyInputSchema } from '../schema/input.ts';
import type { AuthzRequest } from '../schema/request.ts';
import { checker } from '../schema/validate.ts';
import type { Tenant } from '../store/model.ts';
import type { OperatorHandler } from './guard.ts';
import { reader } from './read.ts';
import { msOf, NO_TIME } from './time.ts';

type RequestBody = AuthorizeBody & { readonly at?: string };

interface ReplayBody {
  readonly records?: readonly DecisionRecord[];
  readonly requests?: readonly RequestBody[];
}

const readReplay = reader<ReplayBody>(replaySchema);
const checkInput = checker(policyInputSchema);

export function replayHandlers(replays: Replays): Record<'replayDecisions', OperatorHandler> {
  return {
    replayDecisions: ({ org, env }, request) => replayed(request.body, replays, { org, env }),
  };
}

/**
 * One answer for each record and request that was asked about, in their order.
 *
 * @param toRequest what a described request is at this border
 * @throws InputError
 */
export async function replayed(
  body: unknown,
  replays: Replays,
  within: Tenant,
  toRequest: (body: AuthorizeBody) => AuthzRequest = described,
): Promise<object> {
  const { records = [], requests = [] } = readReplay(body);
  checkInputs(records);
  const captured = requests.map((one, i) => capturedIn(one, i, toRequest));
  const answers = { records: [] as object[], requests: [] as object[] };
  for (const record of records) answers.records.push(await replays.record(record, within));
  for (const one of captured) answers.requests.push(await replays.request(one, within));
  return { success: true, ...answers };
}

function checkInputs(records: readonly DecisionRecord[]): void {
  const problems = records.flatMap(({ input }, i): readonly Problem[] => {
    const checked = input === null ? null : checkInput(input);
    if (checked === null || checked.ok) return [];
    return checked.problems.map(({ field, message }) => ({
      field: `records[${i}].input.${field}`,
      message,
    }));
  });
  if (problems.length > 0) throw new InputError(problems);
}

function capturedIn(
  { at, ...body }: RequestBody,
  index: number,
  toRequest: (body: AuthorizeBody) => AuthzRequest,
): Captured {
  try {
    return { request: toRequest(body), at: at === undefined ? null : timeAt(at) };
  } catch (error) {
    if (!(error instanceof InputError)) throw error;
    throw new InputError(
      error.problems.map(({ field, message }) => ({ field: `requests[${index}].${field}`, message })),
    );
  }
}

function timeAt(at: string): number {
  const ms = msOf(at);
  if (ms === null) throw new InputError([{ field: 'at', message: NO_TIME }]);
  return ms;
}
