import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import type { Page } from 'playwright-core';
import { launchChromium } from '../../test/support/chromium.ts';
import { BASE, type Scene, sceneIn } from '../../test/support/console.ts';
import { type DecisionLoad, decisionLoad, patiently, recorded } from '../../test/support/decision-load.ts';
import { feedSaid, toldOf } from '../../test/support/feed-page.ts';
import { type PageProbe, type PageState, type PageTimes, probePage } from '../../test/support/page-probe.ts';
import { atMost, type Figure, median, percentile, print, type Report } from './measure.ts';

/**
 * Whether Agent Ops keeps up with a stream of decisions: real ones, of a real service, in a real Chromium. The Decisions page
 * for `seconds`, then the Overview for a fifth of it. Browser, service and load share the machine.
 *
 *     npm run bench -- stream [--seconds 300] [--rate 500] [--json]
 */
const { values } = parseArgs({
  options: {
    seconds: { type: 'string', default: '300' },
    rate: { type: 'string', default: '500' },
    json: { type: 'boolean', default: false },
  },
});
const RATE = Number(values.rate);
const SECONDS = Number(values.seconds);
const SAMPLE_SECONDS = 5;
const TRACED_SECONDS = 10;
/** Until a page holds as many rows as it ever will. */
const FILLED = 6000;
const MIB = 1024 * 1024;

/** Of the page, and of an empty one beside it: what the machine alone does to a timer. */
interface Probes {
  readonly probe: PageProbe;
  readonly idle: PageProbe;
}

interface Watched {
  readonly states: readonly PageState[];
  readonly times: PageTimes;
  /** How late the empty page's timer was. */
  readonly idle: readonly number[];
  /** Share of the time that the main thread worked. */
  readonly busy: number;
}

async function watched({ probe, idle }: Probes, load: DecisionLoad, seconds: number): Promise<Watched> {
  await Promise.all([probe.times(), idle.times()]);
  const states = [await probe.state()];
  const times = { longTasks: [] as number[], late: [] as number[], delays: [] as number[] };
  const began = performance.now();
  let over = false;
  const sending = load.send(RATE * seconds, RATE).finally(() => {
    over = true;
  });
  while (!over) {
    await Promise.race([sending, sleep(SAMPLE_SECONDS * 1000)]);
    states.push(await probe.state());
    const seen = await probe.times();
    for (const name of ['longTasks', 'late', 'delays'] as const) times[name].push(...seen[name]);
  }
  await sending;
  const worked = (states.at(-1)?.busy ?? Number.NaN) - (states[0]?.busy ?? Number.NaN);
  const busy = worked / ((performance.now() - began) / 1000);
  return { states, times, idle: (await idle.times()).late, busy };
}

function figuresOf({ states, times, idle, busy }: Watched, filled: number): Figure[] {
  // Before, a page fills; then a third at each end: what is drawn and what waits is more at one moment than at another.
  const steady = states.slice(Math.min(filled, Math.max(0, states.length - 2)));
  const end = Math.max(1, Math.floor(steady.length / 3));
  const grown = (of: (state: PageState) => number) =>
    median(steady.slice(-end).map(of)) - median(steady.slice(0, end).map(of));
  const heaps = states.map(({ heap }) => heap / MIB);
  const path = heaps.filter((_, n) => n % Math.ceil(heaps.length / 8) === 0).map((one) => one.toFixed(1));
  return [
    { name: 'heap after collection', value: heaps.at(-1) ?? Number.NaN, unit: 'MiB', note: path.join(' ') },
    atMost('heap grew once filled', grown(({ heap }) => heap) / MIB, 'MiB', 1),
    atMost(
      'DOM nodes grew once filled',
      grown(({ nodes }) => nodes),
      '',
      500,
      `${states.at(-1)?.nodes} at the end`,
    ),
    atMost(
      'listeners grew once filled',
      grown(({ listeners }) => listeners),
      '',
      20,
      `${states.at(-1)?.listeners} at the end`,
    ),
    atMost('a timer was late, p99', percentile(times.late, 99), 'ms', 50, `of ${times.late.length}`),
    {
      name: "an empty page's timer, p99",
      value: percentile(idle, 99),
      unit: 'ms',
      note: 'the machine alone',
    },
    {
      name: 'long tasks (50 ms and more)',
      value: times.longTasks.length,
      unit: '',
      note: times.longTasks.length === 0 ? '' : `the longest ${Math.max(...times.longTasks).toFixed(0)} ms`,
    },
    { name: 'main thread at work', value: busy * 100, unit: '%' },
  ];
}

async function probes(scene: Scene, page: Page): Promise<Probes> {
  const empty = await scene.newPage();
  await empty.goto('about:blank');
  return { probe: await probePage(page), idle: await probePage(empty) };
}

interface TraceEvent {
  readonly name: string;
  readonly ph: string;
  readonly pid: number;
  readonly tid: number;
  readonly dur?: number;
  readonly tdur?: number;
  readonly args: { readonly name?: string };
}

/** Every task of the page's main thread in a few seconds, as the browser traces them. */
async function tasksOf(scene: Scene, page: Page, load: DecisionLoad): Promise<Figure[]> {
  await scene.browser.startTracing(page, { categories: ['toplevel'] });
  await load.send(RATE * TRACED_SECONDS, RATE);
  const trace = await scene.browser.stopTracing();
  const { traceEvents: events } = JSON.parse(trace.toString()) as { readonly traceEvents: TraceEvent[] };
  const mains = events.filter(({ name, args }) => name === 'thread_name' && args.name === 'CrRendererMain');
  const byThread = mains.map(({ pid, tid }) =>
    events.filter((one) => one.pid === pid && one.tid === tid && one.ph === 'X' && /RunTask$/.test(one.name)),
  );
  const worked = (tasks: readonly TraceEvent[]) => tasks.reduce((sum, { tdur = 0 }) => sum + tdur, 0);
  // Of the pages that are open, the one with work to do.
  const [tasks = []] = byThread.sort((a, b) => worked(b) - worked(a));
  const wall = tasks.map(({ dur = 0 }) => dur / 1000);
  const own = tasks.map(({ tdur = 0 }) => tdur / 1000);
  return [
    atMost('a task, p99', percentile(wall, 99), 'ms', 50, `of ${tasks.length} in ${TRACED_SECONDS} s`),
    { name: 'a task, most', value: Math.max(...wall), unit: 'ms' },
    { name: "a task's own processor time, p99", value: percentile(own, 99), unit: 'ms' },
    { name: "a task's own processor time, most", value: Math.max(...own), unit: 'ms' },
  ];
}

async function decisions(scene: Scene, page: Page, load: DecisionLoad): Promise<Report> {
  await page.goto(`${scene.origin}${BASE}/decisions`);
  await page.getByText('Live', { exact: true }).waitFor();
  const seen = await watched(await probes(scene, page), load, SECONDS);
  const tasks = await tasksOf(scene, page, load);
  const kept = await recorded(scene.service);
  const told = async () => toldOf(await feedSaid(page));
  for (let tries = 0; tries < 100 && (await told()) < kept; tries += 1) await sleep(100);
  const { badge, drawn, rows, letGo } = await feedSaid(page);
  const { delays } = seen.times;
  return {
    title: `The Decisions page, ${RATE} a second for ${SECONDS} s`,
    figures: [
      ...figuresOf(seen, Math.ceil(FILLED / RATE / SAMPLE_SECONDS)),
      ...tasks,
      { name: 'from a decision to its row, p50', value: percentile(delays, 50), unit: 'ms' },
      atMost('from a decision to its row, p99', percentile(delays, 99), 'ms', 1000, `of ${delays.length}`),
      atMost('decisions that the page does not tell of', kept - (await told()), '', 0, `of ${kept} recorded`),
      { name: 'rows kept', value: rows, unit: '', note: `${letGo} let go, as the page says; ${drawn} drawn` },
    ],
    notes: [`At the end it says: ${badge}`],
  };
}

async function overview(scene: Scene, page: Page, load: DecisionLoad): Promise<Report> {
  const seconds = Math.max(15, Math.round(SECONDS / 5));
  await page.goto(`${scene.origin}${BASE}`);
  await page.getByRole('img', { name: /^Decisions per second/ }).waitFor();
  const seen = await watched(await probes(scene, page), load, seconds);
  const counted = async () => {
    const label = await page.getByRole('img', { name: /^Decisions per second/ }).getAttribute('aria-label');
    return (label?.match(/[\d,]+(?= (?:allowed|denied))/g) ?? []).reduce(
      (sum, n) => sum + Number(n.replaceAll(',', '')),
      0,
    );
  };
  const due = Math.min(120, seconds) * RATE;
  for (let tries = 0; tries < 50 && (await counted()) < due; tries += 1) await sleep(100);
  return {
    title: `The Overview, ${RATE} a second for ${seconds} s`,
    figures: [
      ...figuresOf(seen, 1),
      atMost('decisions of two minutes that its chart does not count', due - (await counted()), '', RATE * 2),
    ],
  };
}

const folder = mkdtempSync(join(tmpdir(), 'lemma-stream-'));
patiently(folder);
const scene = await sceneIn(await launchChromium(), folder);
const load = await decisionLoad(scene.service);
const reports: Report[] = [];
try {
  const page = await scene.signedIn();
  reports.push(await decisions(scene, page, load), await overview(scene, page, load));
} finally {
  load.close();
  await scene.close();
  rmSync(folder, { recursive: true, force: true });
}
if (values.json) console.log(JSON.stringify({ node: process.version, reports }, null, 2));
else print(reports);
