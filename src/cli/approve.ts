import { resolve } from 'node:path';
import type { Command } from 'commander';
import { type Call, countOption, type Result, textOption } from './command.ts';
import { type Answer, cell, controlApi, defineControlOptions, member } from './control-api.ts';
import { misuse } from './exit.ts';
import { dataFolder } from './local/folder.ts';
import { readProof, replaceProof, runtimeFiles } from './local/runtime-files.ts';
import { replaceFile } from './local/state.ts';
import { shown } from './next-steps.ts';
import { defineReason } from './reason.ts';
import { askVerb } from './runtime-verb.ts';

export function define(command: Command): void {
  command.argument('<runtime-id>', 'The runtime');
  command.option(
    '--epoch <n>',
    'The taint epoch that you looked at; without it, what tainted the runtime is shown',
  );
  command.option('--proof <lemma-id>', 'The proof to go on from (default: the latest)');
  command.option('--ttl <seconds>', 'How long the new proof lives (default: 900)');
  command.option(
    '--out <file>',
    'Write the new proof there, as LEMMA_PROOF_FILE takes it (default: over the one of the same key here)',
  );
  defineReason(command);
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
  const where = keep(call, answer);
  return {
    data: { ...answer, written_to: where },
    lines: [
      `${call.args[0]} is approved at epoch ${epoch}, until ${cell(answer.expires_at)}`,
      where === null ? cell(answer.header) : `written to ${where}`,
    ],
  };
}

/** To `--out`; else in the place of the runtime's proof here, where that is for the same key. Null: it is shown only. */
function keep(call: Call, { credential }: Answer): string | null {
  if (typeof credential !== 'object' || credential === null) return null;
  const out = textOption(call.options, 'out');
  if (out !== undefined) {
    replaceFile(resolve(call.folder, out), JSON.stringify(credential));
    return out;
  }
  const files = runtimeFiles(dataFolder(call), call.args[0] ?? '');
  if (readProof(files)?.credential.key !== member(credential, 'key')) return null;
  replaceProof(files, credential);
  return shown(files.proof, call.folder);
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
