import { access } from 'node:fs/promises';
import { join } from 'node:path';
import { installFromNpm } from './openclaw.ts';

const VERSION = '2.1.197';

/** A real Claude Code from npm (240 MB), as `installFromNpm`. */
export async function installClaudeCode(): Promise<string> {
  const platform = `${process.platform}-${process.arch}`;
  const modules = await installFromNpm('@anthropic-ai/claude-code', VERSION);
  const program = join(modules, '@anthropic-ai', `claude-code-${platform}`, 'claude');
  await access(program);
  return program;
}
