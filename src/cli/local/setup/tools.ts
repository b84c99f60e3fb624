import type { AgentToolsEntry } from '../../../schema/agent-tools.ts';
import type { ToolClass } from './prove.ts';

/** As the firewall decides about them: the scope is the class's, so that a run can be narrowed to some. */
export function agentEntry(
  id: string,
  classes: readonly ToolClass[],
  credential_file: string,
): AgentToolsEntry {
  return {
    id,
    credential_file,
    tools: classes.flatMap((one) =>
      one.tools.map((name) => ({ name, scope: [`tool.${id}.${one.id}`], risk: 'low' as const })),
    ),
  };
}
