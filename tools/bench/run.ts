import { spawnSync } from 'node:child_process';
import { resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { againstPeer } from './against-peer.ts';
import { pinLoad } from './cores.ts';
import { floor } from './floor.ts';
import { inProcess } from './in-process.ts';
import { lifetime } from './lifetime.ts';
import { print, type Report } from './measure.ts';
import { profile } from './profile.ts';
import { overload, steady } from './steady.ts';

/**
 * The bench: medians of rounds that take turns, on one machine in one run.
 *
 *     npm run bench -- compiler | policy | policy-data | hostile | queries | kill-lag | firewall | impact | rollback-lag | stream | lighthouse [their own options]
 *     npm run bench -- [in-process peer steady overload lifetime floor profile] [--json] [--rounds 5] [--calls 8000]
 *                      [--decisions 1000000] [--no-peer] [--before <another checkout, installed>]
 */

/** Programs of their own, each with its own options. */
const ALONE = [
  'compiler',
  'policy',
  'policy-data',
  'hostile',
  'queries',
  'kill-lag',
  'firewall',
  'impact',
  'rollback-lag',
  'stream',
  'lighthouse',
];
const [first = '', ...rest] = process.argv.slice(2);
if (ALONE.includes(first)) {
  const program = fileURLToPath(new URL(`./${first}.ts`, import.meta.url));
  process.exit(spawnSync(process.execPath, [program, ...rest], { stdio: 'inherit' }).status ?? 1);
}

const { values, positionals } = parseArgs({
  allowPositionals: true,
  allowNegative: true,
  options: {
    rounds: { type: 'string', default: '5' },
    calls: { type: 'string', default: '8000' },
    before: { type: 'string' },
    peer: { type: 'boolean', default: true },
    decisions: { type: 'string', default: '100000' },
    json: { type: 'boolean', default: false },
  },
});
const rounds = Number(values.rounds);
const calls = Number(values.calls);

/** Relative to where the command was given: npm scripts run elsewhere. */
function before(): string | null {
  return values.before === undefined ? null : resolve(process.env.INIT_CWD ?? '.', values.before);
}

const parts: Record<string, () => Promise<Report>> = {
  'in-process': () => inProcess(rounds, calls),
  peer: () => againstPeer({ rounds, calls, peer: values.peer, before: before() }),
  steady: () => steady(rounds, values.peer),
  overload: () => overload(calls),
  lifetime: () => lifetime(rounds, Number(values.decisions)),
  floor: () => floor(rounds, calls, values.peer),
  profile: () => profile(calls),
};

let pinning: string | null = null;
const reports: Report[] = [];
for (const name of positionals.length === 0
  ? Object.keys(parts).filter((name) => name !== 'profile' && name !== 'floor')
  : positionals) {
  const part = parts[name];
  if (part === undefined) throw new Error(`no part "${name}"; there are: ${Object.keys(parts).join(', ')}`);
  // With the store's thread beside it, this process is what is measured, and has all cores.
  if (name !== 'in-process') pinning ??= pinLoad();
  reports.push(await part());
}
if (values.json) console.log(JSON.stringify({ node: process.version, pinning, reports }, null, 2));
else {
  if (pinning !== null) console.log(pinning);
  print(reports);
}
