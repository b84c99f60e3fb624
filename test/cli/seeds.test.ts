import { deepEqual, ok } from 'node:assert/strict';
import { Command } from 'commander';
import { COMMANDS } from '../../src/cli/commands.ts';

/** What the users' own documents call, as they write it; each takes `--json` beside. */
const CALLS = [
  'demo --api-base',
  'firewall-connect --api-base --runtime-id --agent-id --workspace-id',
  'runtime-onboard --api-base --runtime-id --agent-id --workspace-id',
  'openclaw-connect --api-base --runtime-id --agent-id --workspace-id',
  'session start --api-base',
  'session status --api-base',
  'start --api-base',
  'setup-openclaw --api-base',
  'stop',
  'replay --api-base',
  'doctor --fix --error --api-base',
  'safety-status',
  'login --api-base',
];

describe('the commands of the users\u2019 documents', () => {
  for (const call of CALLS)
    it(`lemma ${call}`, async () => {
      const words = call.split(' ');
      const flags = words.filter((word) => word.startsWith('--'));
      const [first = '', second = ''] = words.filter((word) => !word.startsWith('--'));
      const found = COMMANDS.find(
        (one) => one.name === first || ('aliases' in one && one.aliases?.includes(first) === true),
      );
      const entry =
        found === undefined || 'load' in found ? found : found.entries.find(({ name }) => name === second);
      ok(entry !== undefined, 'there is no such command');
      const command = new Command();
      (await entry.load()).define(command);
      const known = command.options.map(({ long }) => long);
      deepEqual(
        flags.filter((flag) => !known.includes(flag)),
        [],
      );
    });
});
