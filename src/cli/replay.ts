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
import { type Recorded, recordedIn } from './replay-source.ts';

export function define(command: Command): void {
  command
    .argument(
      '[source...]',
      'Exports (ndjson) or decision ids (default: the log of the running service, by the filters)',
    )
    .option('--bundle <bundle>', 'A candidate: folder, tar.gz, or digest or revision of a published one')
    .option('--fail-on <newly-allowed|changed>', 'Exit code 1 where there is such a one')
    .option('--limit <count>', 'How many are listed at most, changed ones first', '100');
  defineFilters(command, true);
  defineControlOptions(command);
}

/** Asks about recorded decisions again, and shows what would change. Nothing is forwarded, spent, counted or recorded. */
export async function run(call: Call): Promise<Result> {
  const named = textOption(call.options, 'bundle');
  if (named === undefined) throw misuse('say with what: --bundle <folder, tar.gz, digest or revision>');
  const failOn = failOnOf(call);
  const limit = countOption(call.options, 'limit', '--limit') ?? 100;
  const bundles = await explained(() => candidates(call, named));
  const rows = await explained(() => replayAll(recordedIn(call), bundles));
  const refs = bundles.map(({ name, revision, sha256 }): BundleRef => ({ name, revision, sha256 }));
  const against = refs.map(({ name, revision }) => `${name} ${revision}`).join(', ');
  return reportOf(call, rows, { failOn, limit, against, data: { bundles: refs } });
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
async function replayAll(recorded: AsyncIterable<Recorded>, bundles: readonly Bundle[]): Promise<Row[]> {
  const rows = new Map<string, Row>();
  const engines = new Map<string, Promise<Engine>>();
  const engineOf = (profile: Profile | null) => {
    const bundle = bundles.find(({ name }) => name === profile);
    if (bundle === undefined) return null;
    const engine = engines.get(bundle.name) ?? compileEngine(bundle, { spare: false });
    engines.set(bundle.name, engine);
    return engine;
  };
  for await (const { record, line } of recorded) {
    const { decision_id, route, profile } = record;
    const again = await replayWith(await engineOf(profile), record, line);
    rows.set(decision_id, rowOf({ decision_id, route: route?.id ?? null, was: outcomeOf(record) }, again));
  }
  return [...rows.values()];
}
