import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { member } from '../../../answer.ts';
import type { Call } from '../../../command.ts';
import { replaceFile } from '../../state.ts';
import { ownCommand } from '../own-command.ts';
import type { Hook } from '../prove.ts';

/** What settings.json has; a program that is gone, or that fails, blocks too. */
export function hookCommand(listen: string, ...more: readonly string[]): string {
  return `${ownCommand('hook', 'claude-code', '--firewall', listen, ...more)} || exit 2`;
}

/** That command, run by a shell with the JSON that Claude Code gives it. */
export function claudeHook(call: Call, home: string, listen: string): Hook {
  return async (tool, shown) => {
    const file = join(home, 'setup-check.credential');
    if (shown !== null) replaceFile(file, shown);
    try {
      return await ask(
        call,
        hookCommand(listen, ...(shown === null ? [] : ['--credential-file', file])),
        tool,
      );
    } finally {
      rmSync(file, { force: true });
    }
  };
}

async function ask({ folder, env }: Call, command: string, tool: string) {
  const child = spawn(command, { shell: true, cwd: folder, env, stdio: ['pipe', 'pipe', 'pipe'] });
  child.stdin.on('error', () => undefined);
  child.stdin.end(
    JSON.stringify({
      session_id: 'lemma-canary',
      cwd: folder,
      hook_event_name: 'PreToolUse',
      tool_name: tool,
      tool_input: { lemma_canary: true },
    }),
  );
  const [out, err] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'close')]);
  if (child.exitCode !== 0) return { allowed: false, message: err.trim() };
  if (out.trim() === '') return { allowed: true, message: err.trim() };
  const answer: unknown = JSON.parse(out);
  const said = (name: string) => member(answer, 'hookSpecificOutput', name);
  return {
    allowed: said('permissionDecision') !== 'deny',
    message: String(said('permissionDecisionReason')),
  };
}
