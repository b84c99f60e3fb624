import type { Gap } from '../agent.ts';
import type { ToolClass } from '../prove.ts';

/** OpenClaw's groups of built-in tools (its docs: Tools, Tool policy), as of 2026.9. */
export const OPENCLAW_CLASSES: readonly ToolClass[] = [
  { id: 'runtime', canary: 'exec', tools: ['exec', 'bash', 'process', 'code_execution', 'terminal'] },
  { id: 'files', canary: 'write', tools: ['read', 'write', 'edit', 'apply_patch'] },
  { id: 'web', canary: 'web_fetch', tools: ['web_fetch', 'web_search', 'x_search'] },
  {
    id: 'browser',
    canary: 'browser',
    tools: ['browser', 'screen', 'theme', 'dashboard', 'portal', 'canvas', 'show_widget'],
  },
  { id: 'messages', canary: 'message', tools: ['message', 'conversations_send', 'conversations_turn'] },
  {
    id: 'sessions',
    canary: 'session_status',
    tools: [
      ...['session_status', 'sessions', 'sessions_list', 'sessions_history', 'sessions_search'],
      ...['sessions_send', 'sessions_spawn', 'sessions_yield', 'subagents', 'conversations_list'],
      ...['suggest_task', 'dismiss_task', 'agents_wait'],
    ],
  },
  { id: 'memory', canary: 'memory_search', tools: ['memory_search', 'memory_get'] },
  {
    id: 'automation',
    canary: 'automations',
    tools: ['automations', 'cron', 'heartbeat_respond', 'gateway', 'plugins', 'openclaw'],
  },
  { id: 'nodes', canary: 'nodes', tools: ['nodes', 'computer'] },
  {
    id: 'agents',
    canary: 'agents_list',
    tools: [
      ...['agents_list', 'get_goal', 'create_goal', 'update_goal', 'progress_card', 'ask_user'],
      ...['secrets', 'skill_workshop'],
    ],
  },
  {
    id: 'media',
    canary: 'image_generate',
    tools: ['image_generate', 'view_image', 'music_generate', 'video_generate', 'tts', 'pdf'],
  },
  { id: 'other', canary: 'lemma_canary', tools: ['*'] },
];

/** What is not covered however well the check goes. */
export const OPENCLAW_GAPS: readonly Gap[] = [
  {
    code: 'other_harness',
    message:
      'runs of another harness (Codex, a CLI backend, ACP): only what it relays to OpenClaw reaches the hook',
  },
  { code: 'local_run', message: '`openclaw agent --local` and other embedded runs that load no plugin' },
  {
    code: 'mcp_direct',
    message: 'MCP servers that a harness calls by itself: wrap them with `lemma setup-mcp`',
  },
  {
    code: 'operator_exec',
    message: 'what people start themselves: the terminal of the Control UI, `!` commands',
  },
  { code: 'rewritten_arguments', message: 'arguments that another plugin rewrites after the decision' },
  {
    code: 'egress',
    message: 'where an allowed command connects to: set proxy.proxyUrl, and a firewall.proxy here, for that',
  },
  {
    code: 'same_user',
    message:
      'an allowed shell, as the same user, can edit openclaw.json and this plugin: run the agent as another user, or in a sandbox',
  },
];
