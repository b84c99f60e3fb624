import type { Command } from 'commander';
import { credentialSecret } from '../firewall/secret.ts';
import { member } from './answer.ts';
import { type Call, textOption } from './command.ts';
import { CliError, EXIT } from './exit.ts';
import { askAboutTool } from './local/ask-hook.ts';
import { homeFolder } from './local/folder.ts';
import { readFirewallState } from './local/state.ts';

const DEFAULT_FIREWALL = '127.0.0.1:8787';
const AGENT = 'claude-code';
/** Well below the hook's own timeout, at which Claude Code would go on without us. */
const ANSWER_MS = 15_000;
const LARGEST = 32 * 1024 * 1024;

export function define(command: Command): void {
  command
    .option(
      '--firewall <host:port>',
      `Where the firewall is (default: that of the one that runs, else ${DEFAULT_FIREWALL})`,
    )
    .option(
      '--credential-file <file>',
      'Credential to show (default: the one that the firewall has for the agent)',
    );
}

/**
 * Claude Code's PreToolUse hook: reads the call from standard input. Denied: the documented JSON, exit 0. Allowed: nothing on
 * standard output, so that Claude Code's own permissions still apply. No verdict: exit 2, which blocks.
 */
export async function run(call: Call): Promise<null> {
  try {
    const { tool, input } = await readCall();
    const file = textOption(call.options, 'credentialFile');
    const listen =
      textOption(call.options, 'firewall') ?? readFirewallState(homeFolder(call))?.listen ?? DEFAULT_FIREWALL;
    const credential = file === undefined ? null : credentialSecret(file);
    const verdict = await askAboutTool({ listen, agent: AGENT, tool, input, credential }, ANSWER_MS);
    const decision = `decision ${verdict.decision_id ?? 'none'}`;
    if (verdict.allowed) {
      call.terminal.note(`Lemma: ${tool} was allowed (${decision})`);
    } else {
      const permissionDecisionReason = `Lemma: ${tool} was denied: ${verdict.reason} (${decision})`;
      call.terminal.line(
        JSON.stringify({
          hookSpecificOutput: {
            hookEventName: 'PreToolUse',
            permissionDecision: 'deny',
            permissionDecisionReason,
          },
        }),
      );
    }
    return null;
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new CliError(
      'no_verdict',
      `Lemma: the call was blocked, for the local firewall gave no verdict (${why}): \`${call.program} start\``,
      EXIT.misused,
    );
  }
}

async function readCall(): Promise<{ tool: string; input: unknown }> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of process.stdin) {
    size += (chunk as Buffer).length;
    if (size > LARGEST) throw new Error('the call is too large');
    chunks.push(chunk as Buffer);
  }
  const event: unknown = JSON.parse(Buffer.concat(chunks).toString('utf8'));
  const tool = member(event, 'tool_name');
  if (typeof tool !== 'string' || tool === '') throw new Error('standard input names no tool_name');
  return { tool, input: member(event, 'tool_input') };
}
