import type { RecordBody, SpentNonce } from '../schema/decision.ts';
import type { BudgetUse, NewRecord } from '../store/model.ts';

/** Input and result as the text that was evaluated, so that the record has the very bytes; without them, of the body. */
export interface RecordTexts {
  readonly inputJson?: string;
  readonly resultJson?: string;
}

/**
 * A record ready to commit: its JSON members in the schema's order, and what it is found by. `seq`, `prev` and `hash`
 * are added where it is written (src/store/chain.ts).
 *
 * Throws `TypeError` where a given text spans lines: the log has one record a line.
 */
export function toNewRecord(
  body: RecordBody,
  texts: RecordTexts,
  nonce: SpentNonce | null,
  budget: readonly BudgetUse[],
): NewRecord {
  const { actor } = body;
  return {
    members: membersOf(body, texts),
    decision_id: body.decision_id,
    time: body.time,
    org: body.org,
    env: body.env,
    runtime_id: actor?.runtime_id ?? null,
    agent_id: actor?.agent_id ?? null,
    workspace_id: actor?.workspace_id ?? null,
    subject: actor?.subject ?? null,
    verdict: body.verdict,
    reason: body.reason,
    route: body.route?.id ?? null,
    nonce,
    budget,
  };
}

type Tail = 'links' | 'nonce' | 'input' | 'result' | 'took_us' | 'trace_id';

function membersOf(body: RecordBody, { inputJson, resultJson }: RecordTexts): string {
  const head: Omit<RecordBody, Tail> = {
    decision_id: body.decision_id,
    time: body.time,
    node: body.node,
    org: body.org,
    env: body.env,
    profile: body.profile,
    bundle: body.bundle,
    route: body.route,
    config_revision: body.config_revision,
    verdict: body.verdict,
    reason: body.reason,
    reasons: body.reasons,
    stage: body.stage,
    observed: body.observed,
    amends: body.amends,
    border: body.border,
    ...(body.enforcement_point === undefined ? {} : { enforcement_point: body.enforcement_point }),
    ...(body.requests === undefined ? {} : { requests: body.requests }),
    ...(body.token === undefined ? {} : { token: body.token }),
    actor: body.actor,
    request: body.request,
    failed: body.failed,
  };
  const links = body.links === null ? 'null' : linksJson(body.links);
  const nonce = printable(JSON.stringify(body.nonce));
  const tail: Pick<RecordBody, 'took_us' | 'trace_id'> = { took_us: body.took_us, trace_id: body.trace_id };
  const input = oneLine(inputJson ?? printable(JSON.stringify(body.input)), 'inputJson');
  const result = printable(oneLine(resultJson ?? JSON.stringify(body.result), 'resultJson'));
  return `${inner(head)},"links":${links},"nonce":${nonce},"input":${input},"result":${result},${inner(tail)}`;
}

const written = new WeakMap<NonNullable<RecordBody['links']>, string>();

/** A chain that is presented again has the links that it had. */
function linksJson(links: NonNullable<RecordBody['links']>): string {
  const known = written.get(links);
  if (known !== undefined) return known;
  const json = printable(JSON.stringify(links));
  written.set(links, json);
  return json;
}

/** JSON that some readers of lines (U+0085, U+2028, U+2029) or a terminal (U+007F to U+009F) would act on. */
const ACTED_ON = /[\u007f-\u009f\u2028\u2029]/g;

/** JSON text with nothing but printable characters: the same value, escaped. */
export function printable(json: string): string {
  return json.replace(ACTED_ON, (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`);
}

function inner(value: object): string {
  return printable(JSON.stringify(value)).slice(1, -1);
}

function oneLine(text: string, name: string): string {
  if (text.includes('\n') || text.includes('\r'))
    throw new TypeError(`${name} must be JSON text on one line`);
  return text;
}
