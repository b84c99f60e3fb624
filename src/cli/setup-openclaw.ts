import type { Command } from 'commander';
import type { SetupState } from '../schema/local-state.ts';
import type { Call, Result } from './command.ts';
import { homeFolder, openHome } from './local/folder.ts';
import { type Finding, type Posture, postureOf } from './local/posture.ts';
import {
  type ContainedRuntime,
  containRuntime,
  filesOf,
  identityOf,
  release,
} from './local/setup/contain.ts';
import {
  applyChanges,
  diffOf,
  type FileChange,
  isChange,
  planChange,
  undoChanges,
} from './local/setup/files.ts';
import { openclawConfigPath, type PluginPlace, withPlugin } from './local/setup/openclaw/config.ts';
import { type GatewayProof, proveGateway } from './local/setup/openclaw/gateway.ts';
import { installPlugin, pluginFolder, pluginHook, removePlugin } from './local/setup/openclaw/install.ts';
import { agentEntry, OPENCLAW_CLASSES, OPENCLAW_GAPS } from './local/setup/openclaw/tools.ts';
import { approval, defineSetupOptions } from './local/setup/options.ts';
import { type HookProof, proveHook } from './local/setup/prove.ts';
import { readFirewallState } from './local/state.ts';
import { shown } from './next-steps.ts';

const NAME = 'openclaw';
const DEFAULT_LISTEN = '127.0.0.1:8787';

export function define(command: Command): void {
  defineSetupOptions(command, NAME);
  command.option(
    '--config <file>',
    'Its configuration (default: OPENCLAW_CONFIG_PATH, ~/.openclaw/openclaw.json)',
  );
}

/**
 * Has OpenClaw ask the local firewall before each call of a tool: connects a runtime, installs a plugin, proves it by canaries
 * and a kill, and enables it in `openclaw.json`. The posture is DEGRADED at best, with what is not covered by name; exit 1
 * then, as `safety-status` has it. A second time it changes nothing, and proves it again.
 */
export async function run(call: Call): Promise<Result> {
  if (call.options.undo === true) return undo(call);
  const identity = identityOf(call, NAME);
  const folder = pluginFolder(homeFolder(call));
  const file = openclawConfigPath(call);
  const planned = plan(file, placeAt(folder, readFirewallState(homeFolder(call))?.listen ?? DEFAULT_LISTEN));
  if (call.options.dryRun === true) return dryRun(planned, folder, identity.runtime_id);
  await approval(call, [
    ...diffOf(planned),
    `The plugin goes to ${folder}; the runtime ${identity.runtime_id} is connected; for the check`,
    `${identity.runtime_id}-check is killed, and where OpenClaw runs, ${identity.runtime_id} contained for a moment.`,
  ]);

  openHome(call);
  const entry = agentEntry(NAME, OPENCLAW_CLASSES, filesOf(call, identity).credential);
  const reach = { scope: [`tool.${NAME}.*`], audience: [`http://${NAME}.tool.localhost`] };
  const contained = await containRuntime(call, identity, (setup) => withAgent(setup, entry), reach);
  const place = placeAt(folder, contained.firewall.status.listen);
  const installed = installPlugin(folder);
  const proof = await proveHook(call, contained, OPENCLAW_CLASSES, await pluginHook(place));
  const change = plan(file, place);
  const [applied] = applyChanges(homeFolder(call), NAME, [change]);
  const gateway = await proveGateway(call, change.after, contained, OPENCLAW_CLASSES);
  const changed = contained.issued || installed || applied !== undefined;
  return report(call, {
    contained,
    proof,
    gateway,
    change,
    backup: applied?.backup ?? null,
    changed,
    folder,
  });
}

function placeAt(folder: string, listen: string): PluginPlace {
  return { folder, firewall: `http://${listen}`, agent: NAME };
}

function plan(file: string, place: PluginPlace): FileChange {
  return planChange(file, '{}\n', (text) => withPlugin(text, place));
}

function withAgent(setup: SetupState, entry: SetupState['agents'][number]): SetupState {
  return { ...setup, agents: [...setup.agents.filter(({ id }) => id !== entry.id), entry] };
}

function dryRun(change: FileChange, folder: string, runtime: string): Result {
  const diff = diffOf(change);
  return {
    data: {
      dry_run: true,
      runtime_id: runtime,
      plugin: folder,
      changes: isChange(change) ? [{ path: change.path, diff }] : [],
    },
    lines: isChange(change) ? diff : [`${change.path} would stay as it is`],
  };
}

async function undo(call: Call): Promise<Result> {
  const home = homeFolder(call);
  const files = undoChanges(home, NAME, call.options.force === true) ?? [];
  const plugin = removePlugin(pluginFolder(home));
  const released = await release(call, (setup) => ({
    ...setup,
    agents: setup.agents.filter(({ id }) => id !== NAME),
  }));
  const undone = files.length > 0 || plugin || released;
  const { runtime_id } = identityOf(call, NAME);
  return {
    data: { undone, files },
    lines: undone
      ? [
          ...files.map(({ path, backup }) => (backup === null ? `${path} is gone` : `${path} is as it was`)),
          `The plugin is gone. The runtime stays: \`${call.program} kill ${runtime_id}\` ends it`,
        ]
      : ['There is nothing to undo'],
  };
}

interface Done {
  readonly contained: ContainedRuntime;
  readonly proof: HookProof;
  readonly gateway: GatewayProof;
  readonly change: FileChange;
  readonly backup: string | null;
  readonly changed: boolean;
  readonly folder: string;
}

function report(call: Call, { contained, proof, gateway, change, backup, changed, folder }: Done): Result {
  const { identity, firewall } = contained;
  const gaps = [...gatewayGaps(gateway), ...OPENCLAW_GAPS.map((gap) => uncovered(gap.code, gap.message))];
  const posture = postureOf(gaps);
  const through = new Map(
    gateway.state === 'hooked' ? gateway.denied.map((one) => [one.class, one] as const) : [],
  );
  const { kill, classes } = proof;
  return {
    data: {
      posture: posture.toUpperCase(),
      ...identity,
      changed,
      firewall: { listen: firewall.status.listen, control_plane: firewall.status.control_plane },
      config: { path: change.path, changed: isChange(change), backup },
      plugin: folder,
      kill_to_deny: kill,
      classes: classes.map((one) => ({ ...one, openclaw: through.get(one.class) ?? null })),
      gateway,
      gaps,
    },
    lines: [
      `OpenClaw asks the firewall on ${firewall.status.listen} before each call of a tool`,
      `  config    ${shown(change.path, call.folder)}${isChange(change) ? '' : ' (as it was)'}${backup === null ? '' : `, before: ${shown(backup, call.folder)}`}`,
      `  plugin    ${shown(folder, call.folder)}`,
      `  runtime   ${identity.runtime_id}${contained.issued ? '' : ' (its proof is good)'}`,
      `Kill: ${kill.runtime_id} was allowed (${kill.before.decision_id}), killed, and denied ${kill.after.reason} (${kill.after.decision_id})`,
      'Canaries: allowed as the runtime, denied as the killed one',
      ...classes.map((one) => {
        const openclaw = through.get(one.class);
        const where =
          openclaw?.outcome === 'denied' ? `, through OpenClaw too (${openclaw.decision_id})` : '';
        return `  ${one.class.padEnd(11)} ${one.tool}: ${one.allowed.decision_id}, ${one.denied.decision_id}${where}`;
      }),
      call.terminal.style(['bold', posture === 'unsafe' ? 'red' : 'yellow'], posture.toUpperCase()),
      ...gaps.map(({ code, message }) => `  ${code}  ${message}`),
      `To take it back: ${call.program} setup-openclaw --undo`,
    ],
    failure: posture satisfies Posture,
  };
}

function gatewayGaps(gateway: GatewayProof): Finding[] {
  switch (gateway.state) {
    case 'absent':
      return [
        uncovered(
          'gateway_not_running',
          'no OpenClaw answers: the plugin was tried by itself; run this again when it is up',
        ),
      ];
    case 'refused':
      return [
        uncovered('gateway_refused', `${gateway.message}: set OPENCLAW_GATEWAY_TOKEN and run this again`),
      ];
    case 'not_hooked':
      return [
        {
          ...uncovered(
            'gateway_not_hooked',
            'the OpenClaw that runs calls tools without asking: restart it, then run this again',
          ),
          level: 'unsafe',
        },
      ];
    case 'hooked': {
      const unproven = gateway.denied.filter(({ outcome }) => outcome === 'unreachable');
      const names = unproven.map((one) => one.class).join(', ');
      return unproven.length === 0
        ? []
        : [
            uncovered(
              'unproven_classes',
              `its HTTP API offers no tool of ${names}: tried at the plugin alone`,
            ),
          ];
    }
  }
}

function uncovered(code: string, message: string): Finding {
  return { code, level: 'degraded', message, mend: '' };
}
