import type { Command } from 'commander';
import { type Call, type Result, textOption } from './command.ts';
import { CliError } from './exit.ts';
import { homeFolder } from './local/folder.ts';
import type { Finding } from './local/posture.ts';
import { setUpAgent, uncovered } from './local/setup/agent.ts';
import { claudeHook, hookCommand } from './local/setup/claude-code/hook.ts';
import { claudeSettingsPath, withHook, withProxy } from './local/setup/claude-code/settings.ts';
import { CLAUDE_CLASSES, CLAUDE_GAPS } from './local/setup/claude-code/tools.ts';
import { type ClaudeProof, proveClaude } from './local/setup/claude-code/try.ts';
import type { ContainedRuntime } from './local/setup/contain.ts';
import { liveNotes, unprovenGap } from './local/setup/live.ts';
import { defineSetupOptions } from './local/setup/options.ts';

const AGENT = 'claude-code';

export function define(command: Command): void {
  defineSetupOptions(command, AGENT);
  command
    .option('--config <file>', 'Its settings (default: CLAUDE_CONFIG_DIR, ~/.claude/settings.json)')
    .option('--project', 'Those of this folder: .claude/settings.json')
    .option(
      '--try [claude]',
      'Have it call the canaries itself, with a model of ours on this machine (program; default: claude)',
    )
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
    async after(_call, _config, contained) {
      const claude = await tried(call, contained);
      const notes = liveNotes('Claude Code', claude.state === 'hooked' ? claude.denied : []);
      return { data: { claude }, findings: claudeGaps(claude), notes };
    },
  });
}

async function tried(call: Call, contained: ContainedRuntime): Promise<ClaudeProof> {
  const { options } = call;
  if (options.try === undefined)
    return { state: 'not_tried', message: '--try has it call the canaries itself' };
  const name = typeof options.try === 'string' ? options.try : 'claude';
  const settings = textOption(options, 'config') === undefined ? null : claudeSettingsPath(call);
  return proveClaude(call, contained, CLAUDE_CLASSES, { name, agent: AGENT, settings });
}

function claudeGaps(proof: ClaudeProof): Finding[] {
  switch (proof.state) {
    case 'not_tried':
      return [uncovered({ code: 'not_tried', message: `Claude Code itself was not run: ${proof.message}` })];
    case 'not_hooked': {
      const message = 'Claude Code calls tools without asking: look for settings that switch hooks off';
      return [{ ...uncovered({ code: 'claude_not_hooked', message }), level: 'unsafe' }];
    }
    case 'hooked':
      return unprovenGap(proof.denied, 'it offered our model');
  }
}

const PROXY_GAP = {
  code: 'egress',
  message: 'connections of allowed commands that heed no HTTP_PROXY',
};
