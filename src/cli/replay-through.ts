import { type ClientRequest, type IncomingMessage, request } from 'node:http';
import type { Duplex } from 'node:stream';
import { text } from 'node:stream/consumers';
import { type Again, outcomeOf } from '../pdp/replay.ts';
import type { DecisionRecord } from '../schema/decision.ts';
import { runOnce } from '../server/once.ts';
import type { Answer } from './answer.ts';
import type { Call } from './command.ts';
import { controlApi, member } from './control-api.ts';
import { CliError, misuse } from './exit.ts';
import { runningFirewall } from './local/control-channel.ts';
import { homeFolder } from './local/folder.ts';
import { type OpenRuntime, openRuntime } from './local/runtime-files.ts';
import { type Captured, hasCredential, outcomeSaid, signedBy } from './replay-captured.ts';
import { type Row, rowOf } from './replay-report.ts';
import type { Source } from './replay-source.ts';

/** What is asked for a dry run. */
interface Judge {
  readonly name: string;
  ask(body: object): Promise<Answer>;
}

export async function judgeOf(call: Call, through: 'firewall' | 'pdp'): Promise<Judge> {
  if (through === 'pdp') {
    const api = controlApi(call);
    return {
      name: `what is in force at ${api.base}`,
      ask: (body) => api.post('/api/wallet/runtimes/decisions/replay', body),
    };
  }
  const { channel, state } = await runningFirewall(homeFolder(call), call.program);
  return {
    name: `the firewall on ${state.listen}`,
    ask: (body) => channel.post('/replay', body),
  };
}

/** In one question: what the service takes, and not more bytes than it reads. */
const AT_ONCE = 100;
const BYTES_AT_ONCE = 4 * 1024 * 1024;
/** For an upstream's whole answer. */
const PATIENCE_MS = 30_000;

interface Question {
  readonly row: Omit<Row, 'now' | 'changed' | 'change' | 'why'>;
  readonly kind: 'records' | 'requests';
  readonly body: object;
}

/** The last record of a decision is its verdict: an earlier one is not asked about where they come together. */
export async function replayThrough(
  call: Call,
  judge: Judge,
  sources: AsyncIterable<Source>,
): Promise<Row[]> {
  const rows = new Map<string, Row>();
  const own = runOnce(() => openRuntime(call));
  let asked: Question[] = [];
  let bytes = 0;
  let count = 0;
  const flush = async () => {
    for (const row of await answersTo(asked, judge)) {
      count += 1;
      rows.set(row.decision_id ?? `#${count}`, row);
    }
    asked = [];
    bytes = 0;
  };
  for await (const source of sources) {
    const question =
      source.kind === 'record' ? ofRecord(source.record) : await ofRequest(source.captured, own);
    asked.push(question);
    bytes += JSON.stringify(question.body).length;
    if (asked.length >= AT_ONCE || bytes >= BYTES_AT_ONCE) await flush();
  }
  if (asked.length > 0) await flush();
  return [...rows.values()];
}

function ofRecord(record: DecisionRecord): Question {
  const { decision_id, route } = record;
  return {
    kind: 'records',
    row: { decision_id, request: null, route: route?.id ?? null, was: outcomeOf(record) },
    body: record,
  };
}

async function ofRequest(captured: Captured, own: () => Promise<OpenRuntime>): Promise<Question> {
  const one = hasCredential(captured) ? captured : signedBy(await own(), captured, Date.now());
  const { method, url, headers, body, at } = one;
  return {
    kind: 'requests',
    row: rowFor(captured),
    body: {
      ...{ method, url, headers, body_base64: Buffer.from(body).toString('base64') },
      ...(at === null ? {} : { at }),
    },
  };
}

function rowFor({ decision_id, method, url, was }: Captured): Question['row'] {
  return { decision_id, request: `${method} ${url}`, route: null, was };
}

async function answersTo(asked: readonly Question[], judge: Judge): Promise<Row[]> {
  const of = (kind: Question['kind']) => asked.filter((one) => one.kind === kind).map(({ body }) => body);
  const answer = await judge.ask({ records: of('records'), requests: of('requests') });
  const left = { records: listed(answer, 'records'), requests: listed(answer, 'requests') };
  return asked.map(({ kind, row }) => {
    const again = left[kind].shift();
    if (!isAgain(again))
      throw new CliError('answer_invalid', `${judge.name} sent no answer to what was asked`);
    const route = member(again, 'route');
    return rowOf(typeof route === 'string' ? { ...row, route } : row, again);
  });
}

function listed(answer: Answer, name: string): unknown[] {
  const found = answer[name];
  return Array.isArray(found) ? [...found] : [];
}

function isAgain(value: unknown): value is Again {
  const now = member(value, 'now');
  return now === null
    ? typeof member(value, 'why') === 'string'
    : typeof member(now, 'verdict') === 'string' && typeof member(now, 'reason') === 'string';
}

/** Sends captured requests for good, through the local firewall: they reach the upstream, are recorded, and spend. */
export async function sendAgain(
  call: Call,
  sources: AsyncIterable<Source>,
): Promise<{ rows: Row[]; name: string }> {
  const { state } = await runningFirewall(homeFolder(call), call.program);
  const own = runOnce(() => openRuntime(call));
  const rows: Row[] = [];
  for await (const source of sources) {
    if (source.kind === 'record')
      throw misuse('--send is for captured requests: a record holds neither credential nor body');
    const { captured } = source;
    if (URL.parse(captured.url)?.host !== state.listen)
      throw misuse(`--send: ${captured.url} does not go to the local firewall, http://${state.listen}`);
    const one = hasCredential(captured) ? captured : signedBy(await own(), captured, Date.now());
    rows.push(rowOf(rowFor(captured), await sent(one)));
  }
  return { rows, name: `the firewall on ${state.listen}, for good` };
}

async function sent({ method, url, headers, body }: Captured): Promise<Again> {
  try {
    // Not by `fetch`: that sends none that asks for another protocol, and none by GET that has a body.
    const outgoing = request(url, {
      method,
      headers: { ...headers, ...(headers.upgrade === undefined ? {} : { connection: 'upgrade' }) },
      agent: false,
      signal: AbortSignal.timeout(PATIENCE_MS),
    });
    outgoing.end(body);
    const { status, said } = await answerTo(outgoing);
    return { now: outcomeSaid(status, said), why: `status ${status}` };
  } catch (error) {
    return { now: null, why: `no answer: ${error instanceof Error ? error.message : String(error)}` };
  }
}

/** What it becomes where another protocol or a tunnel begins is nothing to a replay, which lets go of it. */
function answerTo(outgoing: ClientRequest): Promise<{ status: number; said: string }> {
  return new Promise((resolve, reject) => {
    const begun = ({ statusCode = 0 }: IncomingMessage, socket: Duplex) => {
      socket.destroy();
      resolve({ status: statusCode, said: '' });
    };
    outgoing.once('upgrade', begun);
    outgoing.once('connect', begun);
    outgoing.on('error', reject);
    outgoing.once('response', (response) => {
      text(response).then((said) => resolve({ status: response.statusCode ?? 0, said }), reject);
    });
  });
}
