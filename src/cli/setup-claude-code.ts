import type { Command } from 'commander';
import type { Call, Result } from './command.ts';
import { CliError } from './exit.ts';
import { homeFolder } from './local/folder.ts';
import { setUpAgent } from './local/setup/agent.ts';
import { claudeHook, hookCommand } from './local/setup/claude-code/hook.ts';
import { claudeSettingsPath, withHook, withProxy } from './local/setup/claude-code/settings.ts';
import { CLAUDE_CLASSES, CLAUDE_GAPS } from './local/setup/claude-code/tools.ts';
import { defineSetupOptions } from './local/setup/options.ts';

const AGENT = 'claude-code';

export function define(command: Command): void {
  defineSetupOptions(command, AGENT);
  command
    .option('--config <file>', 'Its settings (default: CLAUDE_CONFIG_DIR, ~/.claude/settings.json)')
    .option('--project', 'Those of this folder: .claude/settings.json')
    .option('--proxy', 'Have it, and what it starts, use the firewall as their proxy (needs firewall.proxy)');
}

/** Has Claude Code ask the local firewall before each call of a tool, by a PreToolUse hook: see `setUpAgent`. */
export function run(call: Call): Promise<Result> {
  const proxied = call.options.proxy === true;
  const gaps = proxied ? CLAUDE_GAPS.filter(({ code }) => code !== 'egress') : CLAUDE_GAPS;
  return setUpAgent(call, {
    id: AGENT,
    title: 'Claude Code',
    command: 'setup-claude-code',
    classes: CLAUDE_CLASSES,
    gaps: proxied ? [...gaps, PROXY_GAP] : gaps,
    file: claudeSettingsPath(call),
    installed: null,
    warning: 'Sessions that run take the hook over when they begin anew.',
    edit(text, listen) {
      const hooked = withHook(text, hookCommand(listen));
      return proxied ? withProxy(hooked, listen) : hooked;
    },
    accept({ proxy }) {
      if (proxied && !proxy)
        throw new CliError(
          'proxy_missing',
          'the firewall is no forward proxy, and Claude Code would reach nothing: name firewall.proxy in lemma.yaml, with allow for api.anthropic.com:443 and a credential_file',
        );
    },
    hook: async (listen) => claudeHook(call, homeFolder(call), listen),
    after: async () => ({ data: {}, findings: [], notes: new Map() }),
  });
}

const PROXY_GAP = {
  code: 'egress',
  message: 'connections of allowed commands that heed no HTTP_PROXY',
};
