import type { Command } from 'commander';
import { type Call, type Result, textOption } from './command.ts';
import { misuse } from './exit.ts';
import type { Ailment } from './local/doctor/ailment.ts';
import { examine } from './local/doctor/examine.ts';

export function define(command: Command): void {
  command
    .option('--fix', 'Mend what can safely be mended')
    .option('--error <code>', 'Only the finding of this code')
    .option('-c, --config <file>', 'Configuration file')
    .option('--listen <address>', 'Where the firewall listens')
    .option('--api-base <url>', 'The control plane')
    .option('--data <folder>', 'Folder of proofs and keys')
    .option('--runtime-id <id>', 'The runtime');
}

/** What is wrong on this machine. Exit 0: nothing; 1 (`findings`): something remains. */
export async function run(call: Call): Promise<Result> {
  const code = textOption(call.options, 'error');
  if (code !== undefined && !/^[a-z][a-z0-9_]*$/.test(code))
    throw misuse(`--error must be a code such as wallet_unlock_required, not "${code}"`);
  const look = async () => (await examine(call)).filter((one) => code === undefined || one.code === code);
  let found = await look();
  const done: { code: string; ok: boolean; said: string }[] = [];
  if (call.options.fix === true) {
    for (const one of found) if (one.fix !== undefined) done.push(await mended(one, one.fix));
    if (done.length > 0) found = await look();
  }
  const findings = found.map(({ fix, ...one }) => ({ ...one, fixable: fix !== undefined }));
  const lines = [
    ...done.map(({ ok, said }) => `${ok ? 'mended' : 'not mended'}: ${said}`),
    ...findings.flatMap(({ code, severity, message, mend }) => [
      `${severity}  ${code}  ${message}`,
      `    ${mend}`,
    ]),
    ...(findings.length === 0 ? ['Nothing is wrong'] : []),
  ];
  return { data: { findings, mended: done }, lines, ...(findings.length > 0 ? { failure: 'findings' } : {}) };
}

async function mended({ code }: Ailment, fix: NonNullable<Ailment['fix']>) {
  try {
    return { code, ok: true, said: await fix() };
  } catch (error) {
    return { code, ok: false, said: `${code}: ${error instanceof Error ? error.message : error}` };
  }
}
