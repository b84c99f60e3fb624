import type { Command } from 'commander';
import { hint } from '../config/nearest.ts';
import { REASONS } from '../reason.ts';
import { type Call, type Result, textOption } from './command.ts';
import { misuse } from './exit.ts';
import type { Ailment } from './local/doctor/ailment.ts';
import { MEANINGS } from './local/doctor/codes.ts';
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
  const meaning = code === undefined ? null : meaningOf(code);
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
    ...(findings.length === 0
      ? [meaning === null ? 'Nothing is wrong' : `Not found here: ${code}: ${meaning}`]
      : []),
  ];
  return {
    data: { findings, mended: done, ...(meaning === null ? {} : { meaning }) },
    lines,
    ...(findings.length > 0 ? { failure: 'findings' } : {}),
  };
}

/** Throws CliError (misuse) for what is no code: one that is mistyped must not look healthy. */
function meaningOf(code: string): string {
  const meaning = Object.hasOwn(MEANINGS, code) ? MEANINGS[code] : reasonMeaning(code);
  if (meaning !== undefined) return meaning;
  const near = hint(code, Object.keys(MEANINGS));
  throw misuse(`--error: there is no finding "${code}"${near}`);
}

function reasonMeaning(code: string): string | undefined {
  return Object.hasOwn(REASONS, code)
    ? 'a request with the proof that lies here would be denied so'
    : undefined;
}

async function mended({ code }: Ailment, fix: NonNullable<Ailment['fix']>) {
  try {
    return { code, ok: true, said: await fix() };
  } catch (error) {
    return { code, ok: false, said: `${code}: ${error instanceof Error ? error.message : error}` };
  }
}
