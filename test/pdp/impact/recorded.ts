import { printable, toNewRecord } from '../../../src/decision-log/record.ts';
import type { Bundle } from '../../../src/policy/bundle.ts';
import type { Engine } from '../../../src/policy/engine.ts';
import { Denial, type Reason } from '../../../src/reason.ts';
import type { RecordBody } from '../../../src/schema/decision.ts';
import type { PolicyInput } from '../../../src/schema/input.ts';
import { FIRST_PREV, sealLine } from '../../../src/store/chain.ts';

/** A stored line as the service writes it: the input is evaluated by the engine. `over` says what is otherwise. */
export function recordedLine(
  n: number,
  engine: Engine,
  input: PolicyInput,
  over: Partial<RecordBody> = {},
): string {
  const inputJson = printable(JSON.stringify(input));
  const came = evaluated(engine, inputJson);
  const result = came instanceof Denial ? null : came.result;
  const failed =
    came instanceof Denial ? { check: came.code, message: came.message, facts: came.facts } : null;
  const reason = (came instanceof Denial ? came.code : came.result.reason) as Reason;
  const body: RecordBody = {
    decision_id: `dec_${String(n).padStart(22, '0')}`,
    time: input.now,
    node: 'n1',
    org: input.subject.org,
    env: input.subject.env,
    profile: input.profile,
    bundle: engine.ref,
    route: { id: input.route.id, revision: input.route.revision },
    config_revision: 'c1',
    verdict: result?.allow === true ? 'allow' : 'deny',
    reason,
    reasons: (result?.reasons ?? [reason]) as Reason[],
    stage: result?.allow === true ? 'answer' : 'policy',
    observed: false,
    amends: false,
    border: 'grpc',
    actor: {
      subject: input.subject.id ?? '',
      runtime_id: input.runtime?.id ?? 'bot-1',
      agent_id: 'bot',
      workspace_id: 'prod',
      run_id: null,
      scope: ['documents.read'],
    },
    request: { method: input.request.method, host: input.request.host, path: input.request.path },
    failed,
    links: (input.proof?.links ?? []).map((link) => ({ ...link })),
    nonce: null,
    input,
    result,
    took_us: { request: 10, proof: 20, gate: 5, policy: 40, log: 10 },
    trace_id: null,
    ...over,
  };
  const resultJson = came instanceof Denial ? 'null' : came.resultJson;
  const texts = {
    inputJson,
    resultJson: over.result === undefined ? resultJson : JSON.stringify(over.result),
  };
  const record = toNewRecord(body, over.input === null ? {} : texts, null, []);
  return sealLine(n + 1, 0, record.members, FIRST_PREV).line.toString('utf8');
}

function evaluated(engine: Engine, inputJson: string) {
  try {
    return engine.evaluate(new TextEncoder().encode(inputJson));
  } catch (error) {
    if (error instanceof Denial) return error;
    throw error;
  }
}

/** The same bundle with other data. */
export function dataOf(bundle: Bundle): Record<string, Record<string, Record<string, unknown>>> {
  return JSON.parse(new TextDecoder().decode(bundle.files.get('data.json') ?? new Uint8Array()));
}

/** As a stream gives them. */
export async function* inChunks(lines: Iterable<string>, size = 1 << 16): AsyncGenerator<Uint8Array> {
  let text = '';
  for (const line of lines) {
    text += `${line}\n`;
    if (text.length < size) continue;
    yield Buffer.from(text);
    text = '';
  }
  if (text !== '') yield Buffer.from(text);
}
