import type { Command } from 'commander';
import type { Call, Result } from './command.ts';
import { homeFolder } from './local/folder.ts';
import type { Finding } from './local/posture.ts';
import { type Aftermath, setUpAgent, uncovered } from './local/setup/agent.ts';
import { liveNotes, unprovenGap } from './local/setup/live.ts';
import { openclawConfigPath, type PluginPlace, withPlugin } from './local/setup/openclaw/config.ts';
import { type GatewayProof, proveGateway } from './local/setup/openclaw/gateway.ts';
import { installPlugin, pluginFolder, pluginHook, removePlugin } from './local/setup/openclaw/install.ts';
import { OPENCLAW_CLASSES, OPENCLAW_GAPS } from './local/setup/openclaw/tools.ts';
import { defineSetupOptions } from './local/setup/options.ts';

const AGENT = 'openclaw';

export function define(command: Command): void {
  defineSetupOptions(command, AGENT);
  command.option(
    '--config <file>',
    'Its configuration (default: OPENCLAW_CONFIG_PATH, ~/.openclaw/openclaw.json)',
  );
}

/** Has OpenClaw ask the local firewall before each call of a tool, by a plugin: see `setUpAgent`. */
export function run(call: Call): Promise<Result> {
  const folder = pluginFolder(homeFolder(call));
  const place = (listen: string): PluginPlace => ({ folder, firewall: `http://${listen}`, agent: AGENT });
  return setUpAgent(call, {
    id: AGENT,
    title: 'OpenClaw',
    command: 'setup-openclaw',
    classes: OPENCLAW_CLASSES,
    gaps: OPENCLAW_GAPS,
    file: openclawConfigPath(call),
    installed: {
      path: folder,
      install: () => installPlugin(folder),
      remove: () => removePlugin(folder),
    },
    warning: `The plugin goes to ${folder}. Where OpenClaw runs, the runtime itself is contained for a moment.`,
    edit: (text, listen) => withPlugin(text, place(listen)),
    hook: (listen) => pluginHook(place(listen)),
    async after(_call, config, contained): Promise<Aftermath> {
      const gateway = await proveGateway(call, config, contained, OPENCLAW_CLASSES);
      const notes = liveNotes('OpenClaw', gateway.state === 'hooked' ? gateway.denied : []);
      return { data: { gateway }, findings: gatewayGaps(gateway), notes };
    },
  });
}

function gatewayGaps(gateway: GatewayProof): Finding[] {
  switch (gateway.state) {
    case 'absent':
      return [
        uncovered({
          code: 'gateway_not_running',
          message: 'no OpenClaw answers: the plugin was tried by itself; run this again when it is up',
        }),
      ];
    case 'refused':
      return [
        uncovered({
          code: 'gateway_refused',
          message: `${gateway.message}: set OPENCLAW_GATEWAY_TOKEN and run this again`,
        }),
      ];
    case 'not_hooked':
      return [
        {
          ...uncovered({
            code: 'gateway_not_hooked',
            message: 'the OpenClaw that runs calls tools without asking: restart it, then run this again',
          }),
          level: 'unsafe',
        },
      ];
    case 'hooked':
      return unprovenGap(gateway.denied, 'its HTTP API offers');
  }
}
