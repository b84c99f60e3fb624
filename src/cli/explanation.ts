import { decidingRules } from '../pdp/traced-rules.ts';
import type { Explanation, Trace } from '../schema/explanation.ts';
import type { Call } from './command.ts';
import type { ControlApi } from './control-api.ts';
import { CliError } from './exit.ts';
import { ruleBlock, ruleRow } from './rule-lines.ts';
import { sourceLine } from './source-line.ts';

/** Asks the control plane why a decision was what it was. */
export async function explanationOf(
  control: Pick<ControlApi, 'get'>,
  decisionId: string,
  trace?: Trace['mode'],
): Promise<Explanation> {
  const query = trace === undefined ? '' : `?trace=${trace}`;
  const path = `/api/wallet/runtimes/decisions/${encodeURIComponent(decisionId)}/explain${query}`;
  const { explanation } = await control.get(path);
  if (typeof explanation !== 'object' || explanation === null || !('decision_id' in explanation)) {
    throw new CliError('answer_invalid', 'the control plane sent no explanation');
  }
  // The control plane is of this version: its members are those of `explain`.
  return explanation as Explanation;
}

/**
 * An explanation for a person: what decided, the facts it decided on, and whether the same comes out again.
 *
 * @param all every rule of a trace with its lines, not only those that decided
 */
export function explanationLines(
  { terminal }: Pick<Call, 'terminal'>,
  explanation: Explanation,
  all = false,
): string[] {
  const { style } = terminal;
  const row = (label: string, text: string) => `  ${style('dim', label.padEnd(8))} ${text}`;
  return [
    style(
      'bold',
      `Why ${explanation.decision_id} was ${explanation.verdict === 'allow' ? 'allowed' : 'denied'}`,
    ),
    row('because', explanation.summary),
    ...differenceOf(explanation, style),
    ...tracedLines(explanation, terminal, all),
    ...(explanation.trace?.rules ? [] : explanation.rules).flatMap(({ file, line, rego }) => [
      row('rule', style('cyan', `${file}:${line}`)),
      ...rego.split('\n').map((text) => row('', sourceLine(text).text)),
    ]),
    ...factsOf(explanation).map(([name, value], i) => row(i === 0 ? 'facts' : '', `${name} = ${value}`)),
    ...stateOf(explanation).map((text, i) => row(i === 0 ? 'state' : '', text)),
    ...chainOf(explanation).map((link, i) => row(i === 0 ? 'chain' : '', link)),
    ...explanation.events
      .filter(({ type }) => !OF_THE_DEPLOYMENT.has(type))
      .map((event) => row('event', `#${event.seq} ${event.type} ${JSON.stringify(event.payload)}`)),
    ...todayOf(explanation).map((text) => row('today', text)),
    row('again', againOf(explanation, style)),
    ...traceOf(explanation, style).map((line, i) => row(i === 0 ? 'trace' : '', line)),
  ];
}

/** Of those that decided, the first ones are shown with their lines. */
const MOST_BLOCKS = 6;
const MOST_ROWS = 40;

function tracedLines({ trace, record }: Explanation, terminal: Call['terminal'], all: boolean): string[] {
  if (trace === null || trace === undefined) return [];
  const { rules, cut } = trace;
  if (rules === null || rules === undefined || rules.length === 0) return [];
  const blocks = all ? rules : decidingRules(trace, record).slice(0, MOST_BLOCKS);
  const rest = rules.filter((rule) => !blocks.includes(rule));
  const indent = terminal.width === null ? null : terminal.width - 2;
  const page = { style: terminal.style, width: indent };
  return [
    ...blocks.flatMap((rule) => ['', ...ruleBlock(rule, page)]),
    '',
    ...rest.slice(0, MOST_ROWS).map((rule) => ruleRow(rule, page)),
    ...(rest.length > MOST_ROWS || cut ? ['… and more'] : []),
    ...(rest.length === 0 ? [] : ['']),
  ].map((line) => (line === '' ? '' : `  ${line}`));
}

/** Said first, and loudly: whoever reads on would read about another decision. */
function differenceOf({ trace }: Explanation, style: Call['terminal']['style']): string[] {
  if (trace?.traced !== 'different') return [];
  return [
    style(['bold', 'red'], "  traced: different: OPA's evaluator comes to another result than the record"),
  ];
}

/** What was known of the runtime when it was decided. */
function stateOf({ record: { input } }: Explanation): string[] {
  if (input === null) return [];
  const { runtime, proof, freshness, budget } = input;
  const { age_ms: age, source, confirmed } = freshness;
  const epochs = `taint epoch ${runtime?.taint_epoch ?? 'unknown'}, of the proof ${proof?.taint_epoch ?? 'none'}`;
  return [
    ...(runtime === null ? [] : [`runtime ${runtime.id} is ${runtime.status}; ${epochs}`]),
    `kills and taints known up to ${age} ms before (${source}${confirmed ? ', confirmed' : ''})`,
    ...(budget === null ? [] : [`budget: ${budget.used} of ${budget.limit}`]),
  ];
}

/** The policy alone: what else would be asked today is not. */
function todayOf({ policy_today: today, bundle }: Explanation): string[] {
  // A control plane of an earlier version sends none.
  if (today === null || today === undefined) return [];
  const { result, error } = today;
  if (today.bundle === null) return [`no policy is active: ${error}`];
  const revision = `revision ${today.bundle.revision}, which is active now (the policy alone, on the input of then)`;
  if (today.bundle.sha256 === bundle?.sha256) return ['the same revision is active'];
  if (result === null) return [`${revision}: ${error}`];
  const said = result.allow ? 'allows' : `denies: ${result.reasons.join(', ')}`;
  return [`${revision} ${said}`];
}

/** Events that are about no runtime. */
const OF_THE_DEPLOYMENT: ReadonlySet<string> = new Set(['bundle', 'key']);

function traceOf({ trace, bundle }: Explanation, style: Call['terminal']['style']): string[] {
  // A control plane of an earlier version sends none. Of a check, `again` says that there was no policy.
  if (trace === null || trace === undefined || (trace.mode === 'rules' && bundle === null)) return [];
  const { evaluator, lines, rules, cut, equal, error } = trace;
  if (error !== null) return [error];
  const result =
    equal === null
      ? 'there are no two results to compare'
      : equal
        ? style('green', 'the recorded result')
        : style('red', 'another result than the recorded one');
  return [`${evaluator}: ${result}`, ...lines, ...(cut && rules === null ? ['… and more'] : [])];
}

function chainOf({ chain }: Explanation): string[] {
  return chain.map((link) => {
    const until = new Date(link.expires_at * 1000).toISOString();
    return `${link.failed ? '✗' : '·'} ${link.type} ${link.id} until ${until} [${link.scope.join(' ')}]`;
  });
}

function factsOf({ failed, record }: Explanation): [name: string, value: string][] {
  const facts = Object.entries(failed?.facts ?? {}).map(([name, value]): [string, string] => [
    name,
    String(value),
  ]);
  const { input } = record;
  if (input === null) return facts;
  return [
    ...facts,
    ['input.profile', input.profile],
    ['input.request', `${input.request.method} ${input.request.path}`],
    ['input.proof.taint_epoch', String(input.proof?.taint_epoch)],
    ['input.runtime.taint_epoch', String(input.runtime?.taint_epoch)],
  ];
}

function againOf({ evaluated_again: again, bundle }: Explanation, style: Call['terminal']['style']): string {
  if (again === null) return 'a check decided, before any policy';
  const revision = `the recorded input with revision ${bundle?.revision}`;
  if (again.equal) return `${revision}, evaluated again: ${style('green', 'equal, byte for byte')}`;
  return `${revision}, evaluated again: ${style('red', again.error ?? 'another result')}`;
}
