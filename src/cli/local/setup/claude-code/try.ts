import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import type { Call } from '../../../command.ts';
import type { ContainedRuntime } from '../contain.ts';
import { allowedBy, deniedByUs, type LiveCanary, whileContained } from '../live.ts';
import type { ToolClass } from '../prove.ts';
import { type CallResult, type ScriptedCall, startScriptedModel } from './model.ts';

/** What came of a session of Claude Code with a model of ours. */
export type ClaudeProof =
  | { readonly state: 'not_tried'; readonly message: string }
  | {
      readonly state: 'hooked' | 'not_hooked';
      readonly denied: readonly LiveCanary[];
      /** Decision that let a call through Claude Code happen once the runtime was active again. */
      readonly allowed: string | null;
    };

interface Program {
  /** `claude`, or a path. */
  readonly name: string;
  readonly agent: string;
  /** Its settings, where it does not find them by itself. */
  readonly settings: string | null;
}

const SESSION_MS = 120_000;

/** A session while the runtime is contained, in which the model asks for a tool of each class; then one for a tool that only looks. */
export async function proveClaude(
  call: Call,
  { identity, firewall }: ContainedRuntime,
  classes: readonly ToolClass[],
  program: Program,
): Promise<ClaudeProof> {
  const inputs = harmlessInputs(call.folder);
  const chosen = (offered: readonly string[]): ScriptedCall[] =>
    classes.flatMap(({ id, tools }) => {
      const name = tools.find((tool) => offered.includes(tool) && Object.hasOwn(inputs, tool));
      return name === undefined ? [] : [{ id: `toolu_${id}`, name, input: inputs[name] ?? {} }];
    });
  const first = await whileContained(call, identity, () => session(call, program, chosen));
  if (first.calls.length === 0)
    return { state: 'not_tried', message: `${program.name} did not ask our model (${first.said})` };
  const denied = classes.map((one) => canaryOf(one, first));
  const [look] = first.calls.filter(({ name }) => LOOKING.includes(name));
  const allowed =
    look === undefined
      ? null
      : await allowedBy(firewall.channel, { agent: program.agent, tool: look.name }, () =>
          session(call, program, () => [look]),
        );
  const state = denied.some(({ outcome }) => outcome === 'passed') ? 'not_hooked' : 'hooked';
  return { state, denied, allowed };
}

/** By which the last session can show a call that is allowed. */
const LOOKING = ['TaskList', 'CronList', 'TaskGet', 'Grep', 'Glob'];

/** Should one get past the hook, nothing happens. */
function harmlessInputs(folder: string): Readonly<Record<string, object>> {
  const file_path = join(folder, 'lemma-canary', 'none');
  return {
    Bash: { command: 'true', description: 'Lemma canary' },
    PowerShell: { command: '$null', description: 'Lemma canary' },
    Write: { file_path, content: '' },
    Grep: { pattern: 'lemma-canary', path: file_path },
    Glob: { pattern: 'lemma-canary' },
    WebFetch: { url: 'http://127.0.0.1:9/', prompt: 'nothing' },
    CronList: {},
    TaskList: {},
    TaskGet: { taskId: 'lemma-canary' },
  };
}

interface Session {
  readonly calls: readonly ScriptedCall[];
  readonly results: readonly CallResult[];
  /** Its last words, for a person. */
  readonly said: string;
}

async function session(
  { folder, env }: Call,
  { name, settings }: Program,
  script: (offered: readonly string[]) => readonly ScriptedCall[],
): Promise<Session> {
  let calls: readonly ScriptedCall[] = [];
  const model = await startScriptedModel((offered) => {
    calls = script(offered);
    return calls;
  });
  try {
    const own = settings === null ? [] : ['--settings', settings];
    const child = spawn(name, ['-p', 'Lemma canary', '--output-format', 'json', ...own], {
      cwd: folder,
      env: {
        ...env,
        ANTHROPIC_BASE_URL: model.base,
        ANTHROPIC_API_KEY: 'lemma-canary',
        ANTHROPIC_AUTH_TOKEN: undefined,
        CLAUDE_CODE_USE_BEDROCK: undefined,
        CLAUDE_CODE_USE_VERTEX: undefined,
        CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC: '1',
        NO_PROXY: '127.0.0.1',
      },
      stdio: ['ignore', 'pipe', 'pipe'],
      timeout: SESSION_MS,
    });
    const failed = once(child, 'error').then(([error]) => String(error));
    const ended = Promise.all([text(child.stdout), text(child.stderr), once(child, 'close')]).then(
      ([out, err]) => `${out}${err}`.trim().slice(-200),
    );
    const said = await Promise.race([failed, ended]);
    return { calls, results: [...model.results()], said };
  } finally {
    await model.close();
  }
}

function canaryOf({ id, canary }: ToolClass, { calls, results }: Session): LiveCanary {
  const asked = calls.find((one) => one.id === `toolu_${id}`);
  if (asked === undefined) return { class: id, tool: canary, outcome: 'unreachable', decision_id: null };
  const said = results.find((one) => one.id === asked.id)?.text ?? '';
  const ours = deniedByUs(said);
  const tool = asked.name;
  // What Claude Code itself finds wrong with a call comes before any hook.
  if (ours === null && said.includes('<tool_use_error>'))
    return { class: id, tool, outcome: 'unreachable', decision_id: null };
  return ours === null
    ? { class: id, tool, outcome: 'passed', decision_id: null }
    : { class: id, tool, outcome: 'denied', ...ours };
}
