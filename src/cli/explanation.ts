import type { Explanation, Trace } from '../pdp/explain.ts';
import type { Call } from './command.ts';
import type { ControlApi } from './control-api.ts';
import { CliError } from './exit.ts';

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

/** An explanation for a person: what decided, the facts it decided on, and whether the same comes out again. */
export function explanationLines({ terminal }: Call, explanation: Explanation): string[] {
  const { style } = terminal;
  const row = (label: string, text: string) => `  ${style('dim', label.padEnd(8))} ${text}`;
  return [
    style(
      'bold',
      `Why ${explanation.decision_id} was ${explanation.verdict === 'allow' ? 'allowed' : 'denied'}`,
    ),
    row('because', explanation.summary),
    ...explanation.rules.flatMap(({ file, line, rego }) => [
      row('rule', style('cyan', `${file}:${line}`)),
      ...rego.split('\n').map((text) => row('', text.replaceAll('\t', '  '))),
    ]),
    ...factsOf(explanation).map(([name, value], i) => row(i === 0 ? 'facts' : '', `${name} = ${value}`)),
    ...chainOf(explanation).map((link, i) => row(i === 0 ? 'chain' : '', link)),
    ...explanation.events
      .filter(({ type }) => !OF_THE_DEPLOYMENT.has(type))
      .map((event) => row('event', `#${event.seq} ${event.type} ${JSON.stringify(event.payload)}`)),
    row('again', againOf(explanation, style)),
    ...traceOf(explanation.trace, style).map((line, i) => row(i === 0 ? 'trace' : '', line)),
  ];
}

/** Events that are about no runtime. */
const OF_THE_DEPLOYMENT: ReadonlySet<string> = new Set(['bundle', 'key']);

function traceOf(trace: Explanation['trace'], style: Call['terminal']['style']): string[] {
  // A control plane of an earlier version sends none.
  if (trace === null || trace === undefined) return [];
  const { evaluator, lines, cut, equal, error } = trace;
  if (error !== null) return [error];
  const result =
    equal === null
      ? 'there are no two results to compare'
      : equal
        ? style('green', 'the recorded result')
        : style('red', 'another result than the recorded one');
  return [`${evaluator}: ${result}`, ...lines, ...(cut ? ['… and more'] : [])];
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
