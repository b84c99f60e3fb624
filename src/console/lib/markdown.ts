import { cell, code, explanationMarkdown, fenced } from '../../pdp/explain-markdown.ts';
import type { Explanation } from '../../schema/explanation.ts';

/** A decision for a ticket or a chat: as `lemma explain --markdown` tells it, then whose it was and by which chain. */
export function markdownOf(explanation: Explanation, link: string): string {
  const { record, chain, rules, trace } = explanation;
  const { request, actor, route } = record;
  const about = [
    `- Decision: [${explanation.decision_id}](${link})`,
    `- Time: ${new Date(record.time).toISOString()}`,
    ...(request === null ? [] : [`- Request: ${code(`${request.method} ${request.host}${request.path}`)}`]),
    ...(actor === null
      ? []
      : [
          `- Runtime: ${code(actor.runtime_id)}, agent ${code(actor.agent_id)} in ${code(actor.workspace_id)}`,
        ]),
    ...(route === null ? [] : [`- Route: ${code(route.id)}`]),
    `- Stage: ${explanation.stage}, reason: ${code(explanation.reason)}`,
  ];
  const links = chain.map(
    ({ type, scope, expires_at: expires, failed }, n) =>
      `| ${n + 1} | ${type} | ${scope.length === 0 ? '' : cell(scope.join(' '))} | ${new Date(expires * 1000).toISOString()} | ${failed ? '**failed**' : ''} |`,
  );
  const table = ['| # | Link | Scope | Expires | |', '|---|---|---|---|---|', ...links];
  // Where OPA's evaluator has nothing to tell.
  const untraced = (trace?.rules ?? null) === null ? rules : [];
  const parts = [
    about.join('\n'),
    ...(links.length === 0 ? [] : [table.join('\n')]),
    ...untraced.flatMap(({ file, line, rego }) => [code(`${file}:${line}`), fenced(rego.replace(/\n$/, ''))]),
  ];
  return `${[explanationMarkdown(explanation).trimEnd(), ...parts].join('\n\n')}\n`;
}
