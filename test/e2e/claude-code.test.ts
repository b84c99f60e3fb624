import { deepEqual, equal, match } from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { startScriptedModel } from '../../src/cli/local/setup/claude-code/model.ts';
import { environmentIn } from '../cli/lemma.ts';
import { type Laptop, laptop } from '../cli/local/laptop.ts';
import { installClaudeCode } from '../support/claude-code.ts';
import { needPart } from '../support/envoy-scene.ts';

describe('lemma setup-claude-code with a real Claude Code', function () {
  this.timeout(300_000);
  let computer: Laptop;
  let claude: string;
  let made: string;

  before(async function () {
    claude = await needPart(this, 'real Claude Code', installClaudeCode);
    computer = laptop();
    made = join(computer.folder, 'made.txt');
    const folder = join(computer.folder, 'home', '.claude');
    mkdirSync(folder);
    writeFileSync(join(folder, 'settings.json'), '{ "permissions": { "allow": ["Bash(touch:*)"] } }');
    await computer.start();
  });
  after(() => computer?.close());

  /** A session in which the model has Claude Code make a file by its shell; gives what the model is told of it. */
  async function session(): Promise<string> {
    const model = await startScriptedModel(() => [
      { id: 'toolu_1', name: 'Bash', input: { command: `touch ${made}`, description: 'Makes a file' } },
    ]);
    const child = spawn(claude, ['-p', 'go'], {
      cwd: computer.folder,
      env: {
        ...environmentIn(computer.folder),
        ANTHROPIC_BASE_URL: model.base,
        ANTHROPIC_API_KEY: 'none',
        CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC: '1',
      },
      stdio: 'ignore',
    });
    await once(child, 'exit');
    const [result] = model.results();
    await model.close();
    return result?.text ?? 'nothing was called';
  }

  it('proves itself through Claude Code: classes denied while contained, a call allowed after', async () => {
    const { code, data } = await computer.json(['setup-claude-code', '--yes', '--try', claude]);
    deepEqual([code, data.posture, data.claude.state], [1, 'DEGRADED', 'hooked'], JSON.stringify(data));
    const denied = data.claude.denied.filter(({ outcome }: { outcome: string }) => outcome === 'denied');
    deepEqual(
      denied.map((one: { class: string }) => one.class),
      ['shell', 'files', 'web', 'agents', 'automation'],
    );
    match(data.claude.allowed, /^dec_/);
  });

  it('lets a call happen that is allowed, and none after a kill', async () => {
    await session();
    equal(existsSync(made), true);
    made = join(computer.folder, 'never.txt');
    await computer.run(['kill', 'claude-code']);
    match(await session(), /Lemma: Bash was denied: runtime_killed \(decision dec_/);
    equal(existsSync(made), false);
  });

  it('lets none happen while the firewall is away', async () => {
    await computer.run(['stop']);
    match(await session(), /gave no verdict/);
    equal(existsSync(made), false);
  });

  it('is told when Claude Code cannot be run', async () => {
    await computer.start();
    const file = join(computer.folder, 'other.json');
    const { data } = await computer.json([
      'setup-claude-code',
      '--yes',
      '--config',
      file,
      '--runtime-id',
      'other',
      '--try',
      '/nowhere/claude',
    ]);
    equal(data.claude.state, 'not_tried');
  });
});
