import { parseArgs } from 'node:util';
import { againstPeer } from './against-peer.ts';
import { pinLoad } from './cores.ts';
import { print, type Report } from './measure.ts';

/**
 * The bench: medians of rounds that take turns, on one machine in one run.
 *
 *     npm run bench [-- peer …] [-- --json --rounds 5 --calls 10000 --no-peer]
 */

const { values, positionals } = parseArgs({
  allowPositionals: true,
  allowNegative: true,
  options: {
    rounds: { type: 'string', default: '5' },
    calls: { type: 'string', default: '8000' },
    peer: { type: 'boolean', default: true },
    json: { type: 'boolean', default: false },
  },
});
const rounds = Number(values.rounds);
const calls = Number(values.calls);

const parts: Record<string, () => Promise<Report>> = {
  peer: () => againstPeer({ rounds, calls, peer: values.peer }),
};

const pinning = pinLoad();
const reports: Report[] = [];
for (const name of positionals.length === 0 ? Object.keys(parts) : positionals) {
  const part = parts[name];
  if (part === undefined) throw new Error(`no part "${name}"; there are: ${Object.keys(parts).join(', ')}`);
  reports.push(await part());
}
if (values.json) console.log(JSON.stringify({ node: process.version, pinning, reports }, null, 2));
else {
  if (pinning !== null) console.log(pinning);
  print(reports);
}
