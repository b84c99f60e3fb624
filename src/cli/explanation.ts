import type { Explanation } from '../pdp/explain.ts';
import type { Call } from './command.ts';

/** An explanation for a person: what decided, the facts it decided on, and whether the same comes out again. */
export function explanationLines({ terminal }: Call, explanation: Explanation): string[] {
  const { style } = terminal;
  const row = (label: string, text: string) => `  ${style('dim', label.padEnd(8))} ${text}`;
  return [
    style('bold', `Why ${explanation.decision_id} was denied`),
    row('because', explanation.summary),
    ...explanation.rules.flatMap(({ file, line, rego }) => [
      row('rule', style('cyan', `${file}:${line}`)),
      ...rego.split('\n').map((text) => row('', text.replaceAll('\t', '  '))),
    ]),
    ...factsOf(explanation).map(([name, value], i) => row(i === 0 ? 'facts' : '', `${name} = ${value}`)),
    ...explanation.events
      .filter(({ type }) => type === 'taint')
      .map((event) => row('event', `#${event.seq} ${event.type} ${JSON.stringify(event.payload)}`)),
    row('again', againOf(explanation, style)),
  ];
}

function factsOf({ failed, records }: Explanation): [name: string, value: string][] {
  const facts = Object.entries(failed?.facts ?? {}).map(([name, value]): [string, string] => [
    name,
    String(value),
  ]);
  const input = records.at(-1)?.input;
  if (input === null || input === undefined) return facts;
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
