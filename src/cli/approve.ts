import { writeFileSync } from 'node:fs';
import { resolve } from 'node:path';
import type { Command } from 'commander';
import { type Call, countOption, type Result, textOption } from './command.ts';
import { cell, controlApi, defineControlOptions, member } from './control-api.ts';
import { misuse } from './exit.ts';
import { askVerb } from './runtime-verb.ts';

export function define(command: Command): void {
  command.argument('<runtime-id>', 'The runtime');
  command.option(
    '--epoch <n>',
    'The taint epoch that you looked at; without it, what tainted the runtime is shown',
  );
  command.option('--proof <lemma-id>', 'The proof to go on from (default: the latest)');
  command.option('--ttl <seconds>', 'How long the new proof lives (default: 900)');
  command.option('--out <file>', 'Write the new proof there, as LEMMA_PROOF_FILE takes it');
  command.option('--reason <text>', 'Why, for the log');
  defineControlOptions(command);
}

/** Shows what tainted a runtime; with the epoch that was shown, has a short proof issued. Void where it moved. */
export async function run(call: Call): Promise<Result> {
  const epoch = countOption(call.options, 'epoch', '--epoch');
  if (epoch === undefined) return show(call);
  const ttl = countOption(call.options, 'ttl', '--ttl');
  if (ttl === 0) throw misuse('--ttl counts from 1');
  const lemmaId = textOption(call.options, 'proof');
  const answer = await askVerb(call, 'approve', {
    taint_epoch: epoch,
    ...(lemmaId === undefined ? {} : { lemma_id: lemmaId }),
    ...(ttl === undefined ? {} : { ttl_s: ttl }),
  });
  const out = textOption(call.options, 'out');
  if (out !== undefined)
    writeFileSync(resolve(call.folder, out), JSON.stringify(answer.credential), { mode: 0o600 });
  const where = out === undefined ? cell(answer.header) : `written to ${out}`;
  return {
    data: answer,
    lines: [`${call.args[0]} is approved at epoch ${epoch}, until ${cell(answer.expires_at)}`, where],
  };
}

async function show(call: Call): Promise<Result> {
  const [runtime = ''] = call.args;
  const shown = await controlApi(call).get(`/api/wallet/runtimes/${encodeURIComponent(runtime)}`);
  const epoch = cell(member(shown, 'runtime', 'taint_epoch'));
  const taints = Array.isArray(shown.tainted_by) ? shown.tainted_by : [];
  return {
    data: { runtime: shown.runtime, tainted_by: taints, proofs: shown.proofs },
    lines: [
      `${runtime} is at taint epoch ${epoch}`,
      ...taints.map(
        (event) =>
          `  epoch ${cell(member(event, 'taint_epoch'))}  ${cell(member(event, 'at'))}  ${cell(member(event, 'reason'))}`,
      ),
      `To approve it as it is: ${call.program} approve ${runtime} --epoch ${epoch}`,
    ],
  };
}
