import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import { buffer } from 'node:stream/consumers';
import type { Command } from 'commander';
import { outcomeOf, replayWith } from '../pdp/replay.ts';
import { type Bundle, readBundleTar } from '../policy/bundle.ts';
import { compileEngine, type Engine } from '../policy/engine.ts';
import type { Profile } from '../schema/common.ts';
import type { BundleRef } from '../schema/decision.ts';
import { type Call, countOption, type Result, textOption } from './command.ts';
import { controlApi, defineControlOptions } from './control-api.ts';
import { defineFilters } from './decision-filters.ts';
import { misuse } from './exit.ts';
import { readBundles } from './policy-bundle-files.ts';
import { explained } from './policy-errors.ts';
import { digestOf } from './policy-revision.ts';
import { failOnOf, type Row, reportOf, rowOf } from './replay-report.ts';
import { type Source, sourcesOf } from './replay-source.ts';
import { judgeOf, replayThrough, sendAgain } from './replay-through.ts';

export function define(command: Command): void {
  command
    .argument(
      '[source...]',
      'Exports (ndjson), decision ids, captured requests (ndjson, .har); default: the log of the running service, by the filters',
    )
    .option('--through <firewall|pdp>', 'What is in force now (default: the local firewall that runs)')
    .option('--send', 'Send captured requests for good, through the local firewall: no dry run')
    .option(
      '--runtime-id <id>',
      'Whose proof captured requests without a credential show (default: LEMMA_PROOF_FILE, LEMMA_RUNTIME_ID, the only one)',
    )
    .option('--bundle <bundle>', 'A candidate: folder, tar.gz, or digest or revision of a published one')
    .option('--fail-on <newly-allowed|changed>', 'Exit code 1 where there is such a one')
    .option('--limit <count>', 'How many are listed at most, changed ones first', '100');
  defineFilters(command, true);
  defineControlOptions(command);
}

/**
 * Asks about recorded decisions or captured requests again, and shows what would change: with a candidate bundle, or as
 * things are now. Without `--send` nothing is forwarded, spent, counted or recorded.
 */
export async function run(call: Call): Promise<Result> {
  const named = textOption(call.options, 'bundle');
  const { through, send } = call.options;
  const failOn = failOnOf(call);
  const limit = countOption(call.options, 'limit', '--limit') ?? 100;
  if (named !== undefined && (through !== undefined || send === true))
    throw misuse('--bundle asks a candidate, --through and --send what is in force: say one of them');
  if (through !== undefined && through !== 'firewall' && through !== 'pdp')
    throw misuse('--through must be firewall or pdp');
  if (named !== undefined) {
    const bundles = await explained(() => candidates(call, named));
    const rows = await explained(() => replayAll(sourcesOf(call), bundles));
    const refs = bundles.map(({ name, revision, sha256 }): BundleRef => ({ name, revision, sha256 }));
    const against = refs.map(({ name, revision }) => `${name} ${revision}`).join(', ');
    return reportOf(call, rows, { failOn, limit, against, data: { bundles: refs } });
  }
  if (send === true) {
    if (through === 'pdp') throw misuse('--send goes through the firewall: nothing else sends');
    const { rows, name } = await sendAgain(call, sourcesOf(call));
    return reportOf(call, rows, { failOn, limit, against: name, data: { through: 'firewall', sent: true } });
  }
  const judge = await judgeOf(call, through ?? 'firewall');
  const rows = await replayThrough(call, judge, sourcesOf(call));
  const data = { through: through ?? 'firewall', sent: false };
  return reportOf(call, rows, { failOn, limit, against: judge.name, data });
}

/** A bundle where it lies, or one that the control plane keeps. */
async function candidates(call: Call, named: string): Promise<Bundle[]> {
  if (existsSync(resolve(call.folder, named)))
    return (await readBundles(call.folder, named)).map(({ bundle }) => bundle);
  const api = controlApi(call);
  const stream = await api.stream(`/api/wallet/policies/bundles/${await digestOf(api, named)}`);
  return [readBundleTar(await buffer(stream))];
}

/** The last record of a decision is its verdict. */
async function replayAll(sources: AsyncIterable<Source>, bundles: readonly Bundle[]): Promise<Row[]> {
  const rows = new Map<string, Row>();
  const engines = new Map<string, Promise<Engine>>();
  const engineOf = (profile: Profile | null) => {
    const bundle = bundles.find(({ name }) => name === profile);
    if (bundle === undefined) return null;
    const engine = engines.get(bundle.name) ?? compileEngine(bundle, { spare: false });
    engines.set(bundle.name, engine);
    return engine;
  };
  for await (const source of sources) {
    if (source.kind === 'request')
      throw misuse(
        '--bundle is for recorded decisions: a captured request has no input yet, so use --through',
      );
    const { record, line } = source;
    const { decision_id, route, profile } = record;
    const again = await replayWith(await engineOf(profile), record, line);
    rows.set(
      decision_id,
      rowOf({ decision_id, request: null, route: route?.id ?? null, was: outcomeOf(record) }, again),
    );
  }
  return [...rows.values()];
}
