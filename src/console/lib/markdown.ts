import type { Explanation } from './answers.ts';

/** A decision for a ticket or a chat. What others wrote stands in code, where it means nothing else. */
export function markdownOf(explanation: Explanation, link: string): string {
  const {
    decision_id,
    verdict,
    reason,
    summary,
    record,
    chain,
    bundle,
    rules = [],
    evaluated_again,
  } = explanation;
  const { request, actor } = record;
  const lines = [
    `### ${verdict === 'allow' ? 'Allowed' : 'Denied'}: ${code(reason)}`,
    '',
    code(summary),
    '',
    `- Decision: [${decision_id}](${link})`,
    `- Time: ${new Date(record.time).toISOString()}`,
    ...(request === null ? [] : [`- Request: ${code(`${request.method} ${request.host}${request.path}`)}`]),
    ...(actor === null
      ? []
      : [
          `- Runtime: ${code(actor.runtime_id)}, agent ${code(actor.agent_id)} in ${code(actor.workspace_id)}`,
        ]),
    ...(record.route === null ? [] : [`- Route: ${code(record.route.id)}`]),
    `- Stage: ${explanation.stage}`,
    ...(bundle === null
      ? []
      : [`- Policy: ${bundle.name}, revision ${code(bundle.revision)}, sha256 ${code(bundle.sha256)}`]),
    ...(evaluated_again === null
      ? []
      : [`- Evaluated again: ${evaluated_again.equal ? 'equal' : 'not equal'}`]),
    ...(chain.length === 0
      ? []
      : [
          '',
          '| # | Link | Scope | Expires | |',
          '|---|---|---|---|---|',
          ...chain.map(
            (one, n) =>
              `| ${n + 1} | ${one.type} | ${code(one.scope.join(' '))} | ${new Date(one.expires_at * 1000).toISOString()} | ${one.failed ? '**failed**' : ''} |`,
          ),
        ]),
    ...rules.flatMap((rule) => [
      '',
      `${code(`${rule.file}:${rule.line}`)}`,
      '',
      ...fenced(rule.rego, 'rego'),
    ]),
  ];
  return `${lines.join('\n')}\n`;
}

/** With more backticks around it than stand in it; in a table, no bar ends the cell. */
function code(text: string): string {
  const clean = text.replaceAll(/\s+/g, ' ').replaceAll('|', '\\|').trim();
  if (clean === '') return '';
  const longest = Math.max(0, ...(clean.match(/`+/g) ?? []).map((run) => run.length));
  const fence = '`'.repeat(longest + 1);
  const gap = longest === 0 ? '' : ' ';
  return `${fence}${gap}${clean}${gap}${fence}`;
}

function fenced(text: string, language: string): string[] {
  const longest = Math.max(2, ...(text.match(/`+/g) ?? []).map((run) => run.length));
  const fence = '`'.repeat(longest + 1);
  return [`${fence}${language}`, text.replace(/\n$/, ''), fence];
}
