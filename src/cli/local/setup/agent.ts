import { DEFAULT_FIREWALL } from '../../../schema/config.ts';
import type { SetupState } from '../../../schema/local-state.ts';
import type { Call, Result } from '../../command.ts';
import { shown } from '../../next-steps.ts';
import { homeFolder, openHome } from '../folder.ts';
import type { Finding } from '../posture.ts';
import { readFirewallState } from '../state.ts';
import type { FirewallStatus } from '../status.ts';
import { type ContainedRuntime, containRuntime, filesOf, identityOf, release } from './contain.ts';
import { applyChanges, diffOf, type FileChange, isChange, planChange, undoChanges } from './files.ts';
import { approval } from './options.ts';
import { type Hook, type HookProof, proveHook, type ToolClass } from './prove.ts';
import { setupResult } from './report.ts';
import { agentEntry } from './tools.ts';

/** An agent with a hook before each call of a tool of its own, and how it is made to ask the firewall. */
export interface AgentSetup {
  /** As `firewall.agents` names it, and the default of its runtime. */
  readonly id: string;
  /** For a person. */
  readonly title: string;
  /** `setup-openclaw` */
  readonly command: string;
  readonly classes: readonly ToolClass[];
  /** What is not covered however well the check goes. */
  readonly gaps: readonly Gap[];
  /** Its configuration. */
  readonly file: string;
  /** What the hook needs beside the configuration; null: nothing. */
  readonly installed: {
    readonly path: string;
    /** Gives whether anything was not as it must be. */
    install(): boolean;
    remove(): boolean;
  } | null;
  /** For whoever is asked: what happens beside the diff. */
  readonly warning: string;
  /** The configuration with the hook. `listen`: host:port of the firewall. Throws CliError where the hook would not run. */
  edit(text: string, listen: string): string;
  /** Throws CliError for a firewall that does not do. */
  accept?(status: FirewallStatus): void;
  hook(listen: string): Promise<Hook>;
  /** What can be shown once the configuration is in place. */
  after(call: Call, config: string, contained: ContainedRuntime): Promise<Aftermath>;
}

export interface Gap {
  readonly code: string;
  readonly message: string;
}

export interface Aftermath {
  readonly data: Readonly<Record<string, unknown>>;
  readonly findings: readonly Finding[];
  /** By class, what stands behind its line. */
  readonly notes: ReadonlyMap<string, string>;
}

/**
 * Connects a runtime, proves the hook by canaries and a kill, then has the agent's configuration use it. The posture is
 * DEGRADED at best, with what is not covered by name; exit 1 then, as `safety-status` has it. A second time it changes
 * nothing, and proves it again.
 */
export async function setUpAgent(call: Call, setup: AgentSetup): Promise<Result> {
  if (call.options.undo === true) return undo(call, setup);
  const identity = identityOf(call, setup.id);
  const home = homeFolder(call);
  const planned = plan(setup, readFirewallState(home)?.listen ?? DEFAULT_FIREWALL);
  if (call.options.dryRun === true) return dryRun(planned, setup, identity.runtime_id);
  await approval(call, [
    ...diffOf(planned),
    `The runtime ${identity.runtime_id} is connected; for the check ${identity.runtime_id}-check is killed. ${setup.warning}`,
  ]);

  openHome(call);
  const entry = agentEntry(setup.id, setup.classes, filesOf(call, identity).credential);
  const reach = { scope: [`tool.${setup.id}.*`], audience: [`http://${setup.id}.tool.localhost`] };
  const contained = await containRuntime(call, identity, (all) => withAgent(all, entry), reach);
  const { status } = contained.firewall;
  try {
    setup.accept?.(status);
  } catch (error) {
    await release(call, without(setup.id));
    throw error;
  }
  const installed = setup.installed?.install() ?? false;
  const proof = await proveHook(call, contained, setup.classes, await setup.hook(status.listen));
  const change = plan(setup, status.listen);
  const [applied] = applyChanges(home, setup.id, [change]);
  const aftermath = await setup.after(call, change.after, contained);
  const changed = contained.issued || installed || applied !== undefined;
  return report(call, setup, {
    contained,
    proof,
    aftermath,
    change,
    backup: applied?.backup ?? null,
    changed,
  });
}

function plan(setup: AgentSetup, listen: string): FileChange {
  return planChange(setup.file, '{}\n', (text) => setup.edit(text, listen));
}

function withAgent(setup: SetupState, entry: SetupState['agents'][number]): SetupState {
  return { ...setup, agents: [...setup.agents.filter(({ id }) => id !== entry.id), entry] };
}

function without(agent: string): (setup: SetupState) => SetupState {
  return (setup) => ({ ...setup, agents: setup.agents.filter(({ id }) => id !== agent) });
}

function dryRun(change: FileChange, { installed }: AgentSetup, runtime_id: string): Result {
  const diff = diffOf(change);
  const changes = isChange(change) ? [{ path: change.path, diff }] : [];
  return {
    data: { dry_run: true, runtime_id, installs: installed?.path ?? null, changes },
    lines: isChange(change) ? diff : [`${change.path} would stay as it is`],
  };
}

async function undo(call: Call, { id, title, installed }: AgentSetup): Promise<Result> {
  const files = undoChanges(homeFolder(call), id, call.options.force === true) ?? [];
  const removed = installed?.remove() ?? false;
  const released = await release(call, without(id));
  const undone = files.length > 0 || removed || released;
  const kill = `${call.program} kill ${identityOf(call, id).runtime_id}`;
  return {
    data: { undone, files },
    lines: undone
      ? [
          ...files.map(({ path, backup }) => `${path} is ${backup === null ? 'gone' : 'as it was'}`),
          `${title} asks no more. The runtime stays: \`${kill}\` ends it`,
        ]
      : ['There is nothing to undo'],
  };
}

interface Done {
  readonly contained: ContainedRuntime;
  readonly proof: HookProof;
  readonly aftermath: Aftermath;
  readonly change: FileChange;
  readonly backup: string | null;
  readonly changed: boolean;
}

function report(call: Call, setup: AgentSetup, done: Done): Result {
  const { contained, proof, aftermath, change, backup, changed } = done;
  const { identity, firewall, issued } = contained;
  const { listen, control_plane } = firewall.status;
  const { kill, classes } = proof;
  const { installed } = setup;
  return setupResult(call, {
    change,
    backup,
    findings: [...aftermath.findings, ...setup.gaps.map(uncovered)],
    data: {
      ...identity,
      changed,
      firewall: { listen, control_plane },
      installed: installed?.path ?? null,
      kill_to_deny: kill,
      classes,
      ...aftermath.data,
    },
    head: `${setup.title} asks the firewall on ${listen} before each call of a tool`,
    lines: [
      ...(installed === null ? [] : [`  plugin    ${shown(installed.path, call.folder)}`]),
      `  runtime   ${identity.runtime_id}${issued ? '' : ' (its proof is good)'}`,
      `Kill: ${kill.runtime_id} was allowed (${kill.before.decision_id}), killed, and denied ${kill.after.reason} (${kill.after.decision_id})`,
      'Canaries: allowed as the runtime, denied as the killed one',
      ...classes.map(
        (one) =>
          `  ${one.class.padEnd(11)} ${one.tool}: ${one.allowed.decision_id}, ${one.denied.decision_id}${aftermath.notes.get(one.class) ?? ''}`,
      ),
    ],
    undo: `${call.program} ${setup.command} --undo`,
  });
}

export function uncovered({ code, message }: Gap): Finding {
  return { code, level: 'degraded', message, mend: '' };
}
