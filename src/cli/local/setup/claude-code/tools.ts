import type { Gap } from '../agent.ts';
import type { ToolClass } from '../prove.ts';

/** Claude Code's built-in tools, as of 2.1. */
export const CLAUDE_CLASSES: readonly ToolClass[] = [
  {
    id: 'shell',
    canary: 'Bash',
    tools: ['Bash', 'PowerShell', 'BashOutput', 'KillBash', 'KillShell', 'Monitor'],
  },
  {
    id: 'files',
    canary: 'Write',
    tools: ['Write', 'Edit', 'MultiEdit', 'NotebookEdit', 'Read', 'NotebookRead'],
  },
  { id: 'search', canary: 'Grep', tools: ['Grep', 'Glob', 'LS', 'LSP', 'ToolSearch'] },
  { id: 'web', canary: 'WebFetch', tools: ['WebFetch', 'WebSearch'] },
  {
    id: 'agents',
    canary: 'Task',
    tools: [
      ...['Task', 'Agent', 'SendMessage', 'Skill', 'SlashCommand', 'TaskCreate', 'TaskGet', 'TaskList'],
      ...['TaskOutput', 'TaskStop', 'TaskUpdate', 'TodoWrite'],
    ],
  },
  {
    id: 'automation',
    canary: 'CronList',
    tools: ['CronList', 'CronCreate', 'CronDelete', 'ScheduleWakeup', 'Workflow'],
  },
  { id: 'people', canary: 'AskUserQuestion', tools: ['AskUserQuestion', 'EnterPlanMode', 'ExitPlanMode'] },
  // MCP servers' tools are called mcp__<server>__<tool>.
  { id: 'other', canary: 'mcp__lemma__canary', tools: ['*'] },
];

export const CLAUDE_GAPS: readonly Gap[] = [
  {
    code: 'hooks_off',
    message:
      'sessions without these settings: --bare, --setting-sources, another CLAUDE_CONFIG_DIR, a managed policy that allows its own hooks alone',
  },
  {
    code: 'hook_killed',
    message:
      'a hook that Claude Code ends at its timeout lets the call through; ours gives up, and denies, long before',
  },
  { code: 'operator_exec', message: 'what people type themselves: `!` commands' },
  {
    code: 'mcp_direct',
    message: 'what an MCP server does by itself: put it behind the firewall with `lemma setup-mcp`',
  },
  {
    code: 'egress',
    message:
      'where an allowed command connects to: --proxy, with a firewall.proxy here, for what heeds a proxy',
  },
  {
    code: 'same_user',
    message:
      'an allowed shell, as the same user, can edit these settings: run the agent as another user, or in a sandbox',
  },
];
