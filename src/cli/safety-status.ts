import type { Command } from 'commander';
import type { Call, Result } from './command.ts';
import { CliError } from './exit.ts';
import { type FoundFirewall, findFirewall } from './local/control-channel.ts';
import { homeFolder } from './local/folder.ts';
import { type Finding, findingsOf, type Posture, postureOf, postureWord, statusIn } from './local/posture.ts';
import { chosenRuntime } from './local/runtime-files.ts';

export function define(command: Command): void {
  command
    .option('--runtime-id <id>', 'The runtime (default: LEMMA_RUNTIME_ID, else the only one here)')
    .option('--data <folder>', 'Folder with its proof (default: ./.lemma where it is, else ~/.lemma)')
    .option('--short', 'One word, for a prompt');
}

/** Whether an agent on this machine is contained. Exit 0 for SAFE alone; the answer is `error_code` otherwise. */
export async function run(call: Call): Promise<Result> {
  const now = Date.now();
  const { env, program } = call;
  const { firewall, broken } = await firewallHere(call);
  const runtime = chosenRuntime(call);
  const found = [...broken, ...findingsOf({ firewall, runtime, env, program, now })];
  const posture = postureOf(found);
  const status = statusIn(firewall);
  const data = {
    posture: posture.toUpperCase(),
    runtime_id: runtime?.runtime ?? null,
    firewall: status === null ? null : { pid: status.pid, listen: status.listen, mode: status.mode },
    findings: found,
  };
  const title = postureWord(call.terminal, posture);
  const failure = posture === 'safe' ? {} : { failure: posture };
  if (call.options.short === true) return { data, lines: [title], ...failure };
  return { data, lines: [title, ...found.flatMap((one) => findingLines(call, one, posture))], ...failure };
}

/** A state file that cannot be read is a finding here, and the reason of nothing else. */
async function firewallHere(
  call: Call,
): Promise<{ firewall: FoundFirewall | null; broken: readonly Finding[] }> {
  try {
    return { firewall: await findFirewall(homeFolder(call)), broken: [] };
  } catch (error) {
    const code = error instanceof CliError ? error.code : 'file_unsafe';
    const message = error instanceof Error ? error.message : String(error);
    return {
      firewall: null,
      broken: [{ code, level: 'unsafe', message, mend: `mend the file, then \`${call.program} start\`` }],
    };
  }
}

function findingLines(call: Call, { code, level, message, mend }: Finding, posture: Posture): string[] {
  const mark = call.terminal.style(level === posture ? 'bold' : 'dim', code);
  return [`  ${mark}  ${message}`, `      ${mend}`];
}
