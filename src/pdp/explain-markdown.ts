import type { TracedRule } from '../schema/api-explain.ts';
import type { Explanation } from '../schema/explanation.ts';
import { decidingRules } from './traced-rules.ts';
import { visible } from './visible.ts';

const MOST_RULES = 12;

/**
 * An explanation to paste into a ticket (CommonMark with tables). Nothing in it is markup but ours: sources stand in
 * fences longer than any within, the rest is escaped.
 */
export function explanationMarkdown(explanation: Explanation): string {
  const { decision_id: id, verdict, summary, bundle, evaluated_again: again, trace, record } = explanation;
  const rules = trace?.rules ?? [];
  const deciding = trace === null ? [] : decidingRules(trace, record).slice(0, MOST_RULES);
  const others = rules.length - deciding.length;
  return `${[
    `## ${verdict === 'allow' ? 'Allowed' : 'Denied'}: ${code(id)}`,
    plain(summary),
    ...(bundle === null ? [] : [`Policy ${code(bundle.revision)}, SHA-256 ${code(bundle.sha256)}.`]),
    ...(again === null
      ? []
      : [
          again.equal
            ? 'Evaluated again: equal, byte for byte.'
            : `**Evaluated again: ${plain(again.error ?? 'another result')}**`,
        ]),
    ...(trace?.traced === 'different'
      ? ["**traced: different: OPA's evaluator comes to another result than the record**"]
      : []),
    ...(trace?.error === null || trace?.error === undefined
      ? []
      : [`No rules are shown: ${plain(trace.error)}`]),
    ...deciding.map(ruleText),
    ...(deciding.length === 0 || others === 0 ? [] : [`${others} other rules were looked at.`]),
  ].join('\n\n')}\n`;
}

const OUTCOME = { fired: 'Fired', nearly: 'Nearly fired', failed: 'Failed' } as const;

function ruleText(rule: TracedRule): string {
  const { path, outcome, file, line_from: from, source, at, would, gives, values } = rule;
  return [
    `### ${OUTCOME[outcome]}: ${code(path)}${gives === null ? '' : ` gives ${code(gives)}`}`,
    `${code(`${file}:${from}`)}`,
    fenced(source),
    ...(outcome === 'fired' ? [] : [`Line ${at.line} did not hold: ${code(at.text)}`]),
    ...(would === null
      ? []
      : [
          `Had it held${would.given === 'at' ? '' : ', and the rest of the rule'}, the policy would have ${would.allow ? 'allowed' : `denied: ${would.reasons.map(code).join(', ')}`}.`,
        ]),
    ...(values.length === 0
      ? []
      : [
          [
            '| line | expression | value |',
            '|---|---|---|',
            ...values.map(
              ({ line, text, value }) =>
                `| ${line} | ${cell(text)} | ${value === null ? 'undefined' : cell(value)} |`,
            ),
          ].join('\n'),
        ]),
  ].join('\n\n');
}

/** CommonMark 6.1: a run of backticks longer than any within. */
export function code(text: string): string {
  const shown = visible(text.replaceAll(/\s*\n\s*/g, ' ').replaceAll('\t', ' '));
  const run = '`'.repeat(longestRun(shown) + 1);
  const apart = shown === '' || shown.startsWith('`') || shown.endsWith('`') ? ' ' : '';
  return `${run}${apart}${shown}${apart}${run}`;
}

/** In a table a bar ends the cell, in a span of code as well. */
export function cell(text: string): string {
  return code(text).replaceAll('|', '\\|');
}

/** Rego, in a fence longer than any within. */
export function fenced(text: string): string {
  const fence = '`'.repeat(Math.max(3, longestRun(text) + 1));
  const lines = text.split('\n').map((line) => line.split('\t').map(visible).join('\t'));
  return `${fence}rego\n${lines.join('\n')}\n${fence}`;
}

function longestRun(text: string): number {
  return Math.max(0, ...[...text.matchAll(/`+/g)].map(([run]) => run.length));
}

/** CommonMark 2.4: any ASCII punctuation may be escaped. */
function plain(text: string): string {
  return visible(text.replaceAll(/\s+/g, ' ')).replaceAll(/[\\`*_{}[\]<>()#+\-!|~&:@]/g, '\\$&');
}
