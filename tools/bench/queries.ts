import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { type LogShape, makeLog, runtimeOf } from '../load/make-log.ts';
import { type LemmaProcess, startLemma } from './lemma.ts';
import { atMost, type Figure, percentile, print, type Report } from './measure.ts';

/**
 * Decision queries over a long log, by each filter, over HTTP: p50 and p99; the time to start on it, and memory.
 *
 *     npm run bench -- queries [--folder <made by tools/load/make-log.ts>] [--decisions 2000000] [--runtimes 50000] [--calls 200]
 */

const { values } = parseArgs({
  options: {
    folder: { type: 'string' },
    runtimes: { type: 'string', default: '50000' },
    decisions: { type: 'string', default: '2000000' },
    days: { type: 'string', default: '30' },
    calls: { type: 'string', default: '200' },
    json: { type: 'boolean', default: false },
  },
});
const shape: LogShape = {
  runtimes: Number(values.runtimes),
  decisions: Number(values.decisions),
  days: Number(values.days),
};
const calls = Number(values.calls);

const DECISIONS = '/api/wallet/runtimes/decisions';
const TARGET_MS = 50;
const START_MS = 3000;

/** Queries of each kind; `n` counts its calls. Values are spread over what there is. */
const QUERIES: Readonly<Record<string, (n: number) => Record<string, string>>> = {
  none: () => ({}),
  runtime: (n) => ({ runtime: some(n).runtime_id }),
  'runtime, oldest first': (n) => ({ runtime: some(n).runtime_id, order: 'asc' }),
  'runtime that is not there': (n) => ({ runtime: `stranger-${n}` }),
  agent: (n) => ({ agent: some(n).agent_id }),
  workspace: (n) => ({ workspace: some(n).workspace_id }),
  subject: (n) => ({ subject: some(n).subject }),
  'verdict allow': () => ({ verdict: 'allow' }),
  'verdict deny': () => ({ verdict: 'deny' }),
  'reason, usual': () => ({ reason: 'scope_denied' }),
  'reason, one in 200,000': () => ({ reason: 'replay_detected' }),
  'route, usual': (n) => ({ route: `documents.read-${2 * (n % 10) + 1}` }),
  'route, one in 200,000': () => ({ route: 'documents.purge' }),
  'since and until': (n) => ({ since: daysAgo(1 + (n % 20)), until: daysAgo(n % 20) }),
  'agent and reason': (n) => ({ agent: some(n).agent_id, reason: 'taint_stale' }),
};

function some(n: number) {
  return runtimeOf((n * 104_729) % shape.runtimes, shape.runtimes);
}

function daysAgo(days: number): string {
  return new Date(Date.now() - days * 86_400_000).toISOString();
}

async function timed(
  lemma: LemmaProcess,
  query: Record<string, string>,
): Promise<{ ms: number; found: number }> {
  const began = performance.now();
  const { status, text } = await lemma.get(`${DECISIONS}?${new URLSearchParams(query)}`);
  const ms = performance.now() - began;
  if (status !== 200) throw new Error(`${status}: ${text.slice(0, 500)}`);
  return { ms, found: (JSON.parse(text) as { decisions: unknown[] }).decisions.length };
}

async function measure(folder: string): Promise<Report> {
  const lemma = await startLemma({ data: folder });
  try {
    const figures: Figure[] = [
      atMost('start to announced', lemma.startedMs, 'ms', START_MS),
      { name: 'resident after start', value: lemma.resident(), unit: 'MiB' },
    ];
    for (const [name, query] of Object.entries(QUERIES)) {
      const results: { ms: number; found: number }[] = [];
      for (let n = 0; n < calls; n++) results.push(await timed(lemma, query(n)));
      const times = results.map(({ ms }) => ms);
      const found = results.reduce((sum, one) => sum + one.found, 0) / calls;
      figures.push(
        atMost(
          `by ${name}, p99`,
          percentile(times, 99),
          'ms',
          TARGET_MS,
          `p50 ${percentile(times, 50).toFixed(1)} ms, max ${Math.max(...times).toFixed(1)} ms, ${found.toFixed(0)} records`,
        ),
      );
    }
    figures.push({ name: 'resident after the queries', value: lemma.resident(), unit: 'MiB' });
    return { title: `Decision queries: ${shape.decisions} decisions, ${shape.runtimes} runtimes`, figures };
  } finally {
    await lemma.stop();
  }
}

const given = values.folder === undefined ? null : resolve(process.env.INIT_CWD ?? '.', values.folder);
const folder = given ?? mkdtempSync(join(tmpdir(), 'lemma-queries-'));
try {
  if (!existsSync(join(folder, 'lemma.db'))) {
    const took = makeLog(folder, shape, Date.now(), (line) => console.error(line));
    console.error(`made in ${took.toFixed(0)} s`);
  }
  const report = await measure(folder);
  if (values.json) console.log(JSON.stringify(report, null, 2));
  else print([report]);
} finally {
  if (given === null) rmSync(folder, { recursive: true, force: true });
}
