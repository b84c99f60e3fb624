import { deepEqual, equal, match, ok } from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { text as textOf } from 'node:stream/consumers';
import { withHook } from '../../../../src/cli/local/setup/claude-code/settings.ts';
import { environmentIn } from '../../lemma.ts';
import { type Laptop, laptop } from '../laptop.ts';

/** As Claude Code's own documentation has it, with members that we know nothing of. */
const SETTINGS = `{
  "$schema": "https://json.schemastore.org/claude-code-settings.json",
  "permissions": {
    "allow": ["Bash(npm run test:*)", "Read(~/.zshrc)"],
    "deny": ["Bash(curl:*)"]
  },
  "env": { "BASH_DEFAULT_TIMEOUT_MS": "60000" },
  "hooks": {
    "PreToolUse": [
      {
        "matcher": "Bash",
        "hooks": [{ "type": "command", "command": "./mine.sh", "statusMessage": "mine" }]
      }
    ],
    "Stop": []
  },
  "x-unknown": { "kept": [1, 2] }
}
`;

describe('lemma setup-claude-code', function () {
  this.timeout(120_000);
  let computer: Laptop;
  let file: string;

  before(async () => {
    computer = laptop();
    file = join(computer.folder, 'home', '.claude', 'settings.json');
    mkdirSync(join(file, '..'));
    writeFileSync(file, SETTINGS);
    await computer.start();
  });
  after(() => computer.close());

  const setup = (...args: string[]) => computer.json(['setup-claude-code', ...args]);
  const text = () => readFileSync(file, 'utf8');
  const settings = () => JSON.parse(text());
  const command = () => settings().hooks.PreToolUse.at(-1).hooks[0].command as string;

  /** The hook as Claude Code runs it: a shell, the call on standard input. */
  async function hook(input: string, line = command(), env: Record<string, string> = {}) {
    const child = spawn('sh', ['-c', line], {
      cwd: computer.folder,
      env: { ...environmentIn(computer.folder), ...env },
    });
    child.stdin.end(input);
    const [out, err] = await Promise.all([textOf(child.stdout), textOf(child.stderr), once(child, 'close')]);
    return { code: child.exitCode, out, err };
  }
  const calling = (tool_name: unknown, tool_input: unknown = { command: 'ls' }) =>
    JSON.stringify({ session_id: 's', hook_event_name: 'PreToolUse', tool_name, tool_input });

  it('changes nothing before somebody said yes, nor for a look', async () => {
    deepEqual([(await setup()).error_code, text()], ['approval_needed', SETTINGS]);
    const { code, data } = await setup('--dry-run');
    deepEqual([code, text()], [0, SETTINGS]);
    ok(data.changes[0].diff.some((line: string) => /^\+ .*hook claude-code/.test(line)));
  });

  it('refuses settings that run no hook', async () => {
    const off = join(computer.folder, 'off.json');
    writeFileSync(off, '{ "disableAllHooks": true }');
    equal((await setup('--yes', '--config', off)).error_code, 'hooks_disabled');
  });

  it('refuses a proxy that there is not', async () => {
    deepEqual([(await setup('--yes', '--proxy')).error_code, text()], ['proxy_missing', SETTINGS]);
  });

  describe('once it is done', () => {
    let done: Awaited<ReturnType<typeof setup>>;
    before(async () => {
      done = await setup('--yes');
    });

    it('has shown each class of tools allowed, and denied after a kill', () => {
      const { code, error_code, data } = done;
      deepEqual([code, error_code, data.kill_to_deny.after.reason], [1, 'degraded', 'runtime_killed']);
      equal(data.classes.length, 8);
      for (const { class: id, allowed, denied } of data.classes)
        deepEqual([allowed.verdict, denied.reason], ['allow', 'runtime_killed'], id);
    });

    it('keeps what the file had', () => {
      const { hooks, ...rest } = settings();
      const { hooks: before, ...own } = JSON.parse(SETTINGS);
      deepEqual(rest, own);
      deepEqual([hooks.Stop, hooks.PreToolUse[0]], [[], before.PreToolUse[0]]);
      deepEqual(hooks.PreToolUse[1].matcher, '*');
    });

    it('leaves an allowed call to the permissions of Claude Code', async () => {
      const { code, out, err } = await hook(calling('Bash'));
      deepEqual([code, out], [0, '']);
      match(err, /Bash was allowed \(decision dec_/);
    });

    it('records the call with its arguments', async () => {
      const { err } = await hook(calling('Write', { file_path: '/a', content: 'b' }));
      const [id = ''] = /dec_[\w-]+/.exec(err) ?? [];
      const { data } = await computer.json(['decisions', 'explain', id]);
      const { input } = data.explanation.record;
      deepEqual(
        [input.route.action, input.request.body.json],
        ['tool.claude-code.write', { file_path: '/a', content: 'b' }],
      );
    });

    it('asks about the tools of MCP servers', async () => {
      match((await hook(calling('mcp__github__create_issue'))).err, /was allowed/);
    });

    for (const [name, input] of [
      ['no JSON', 'Bash'],
      ['nothing', ''],
      ['no tool', '{}'],
      ['a tool that is no name', calling(['Bash'])],
    ] as const)
      it(`blocks ${name}`, async () => {
        const { code, out, err } = await hook(input);
        deepEqual([code, out], [2, '']);
        match(err, /the call was blocked/);
      });

    it('denies what no name of a tool is, in the documented form', async () => {
      const { code, out } = await hook(calling('../Bash'));
      const { hookSpecificOutput } = JSON.parse(out);
      deepEqual(
        [code, hookSpecificOutput.hookEventName, hookSpecificOutput.permissionDecision],
        [0, 'PreToolUse', 'deny'],
      );
      match(hookSpecificOutput.permissionDecisionReason, /route_unknown \(decision dec_/);
    });

    it('blocks where no firewall answers', async () => {
      const { code, err } = await hook(
        calling('Bash'),
        command().replace(/--firewall \S+/, '--firewall 127.0.0.1:1'),
      );
      equal(code, 2);
      match(err, /gave no verdict/);
    });

    it('blocks where the program is gone', async () => {
      equal((await hook(calling('Bash'), command().replace(/^\S+/, '/nowhere/node'))).code, 2);
    });

    it('goes to the firewall whatever proxy the environment names', async () => {
      const proxies = { HTTP_PROXY: 'http://127.0.0.1:1', NODE_USE_ENV_PROXY: '1' };
      equal((await hook(calling('Bash'), command(), proxies)).code, 0);
    });

    it('changes nothing the second time', async () => {
      const before = text();
      const { data } = await setup('--yes');
      deepEqual([data.changed, text()], [false, before]);
    });

    it('denies all from the moment of a kill', async () => {
      await computer.run(['kill', 'claude-code']);
      const { out } = await hook(calling('Bash'));
      match(JSON.parse(out).hookSpecificOutput.permissionDecisionReason, /runtime_killed/);
    });

    it('is undone to the byte', async () => {
      const { data } = await setup('--undo');
      deepEqual([data.undone, text(), existsSync(`${file}.lemma-backup`)], [true, SETTINGS, false]);
    });
  });

  describe('the hook in the settings', () => {
    const once = withHook(SETTINGS, 'node lemma hook claude-code --firewall a:1 || exit 2');
    it('is replaced by one with another address', () => {
      const again = withHook(once, 'node lemma hook claude-code --firewall b:2 || exit 2');
      const { PreToolUse } = JSON.parse(again).hooks;
      deepEqual(
        PreToolUse.map((group: { hooks: { command: string }[] }) => group.hooks[0]?.command),
        ['./mine.sh', 'node lemma hook claude-code --firewall b:2 || exit 2'],
      );
    });
    it('is left where somebody put it beside others', () => {
      const mixed = once.replace(
        '"type": "command",\n            "command": "node',
        '"x": 1, "type": "command",\n            "command": "node',
      );
      equal(withHook(mixed, 'node lemma hook claude-code --firewall a:1 || exit 2'), mixed);
    });
  });
});
