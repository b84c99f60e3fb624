import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { flameGraph } from './flame-graph.ts';
import { startLemma } from './lemma.ts';
import { closedLoop, connectLoad, mustAllow } from './load.ts';
import type { Figure, Report } from './measure.ts';
import { makeWorld } from './world.ts';

const SHOWN = 25;
const OUTPUT = fileURLToPath(new URL('../../node_modules/.cache/bench', import.meta.url));

export interface ProfileNode {
  readonly id: number;
  readonly callFrame: { readonly functionName: string; readonly url: string; readonly lineNumber: number };
  readonly children?: readonly number[];
}

/** What `node --cpu-prof` writes, as far as it is read here; times in microseconds. */
export interface CpuProfile {
  readonly nodes: readonly ProfileNode[];
  readonly samples: readonly number[];
  readonly timeDeltas: readonly number[];
}

/** Where whole decisions over gRPC spend the server's main thread: a flame graph as a file, and the largest by themselves. */
export async function profile(calls: number): Promise<Report> {
  const folder = mkdtempSync(join(tmpdir(), 'lemma-profile-'));
  const world = makeWorld();
  const lemma = await startLemma(world.config, { node: ['--cpu-prof', `--cpu-prof-dir=${folder}`] });
  const client = await connectLoad(lemma.grpc);
  for (let round = 0; round < 3; round++)
    mustAllow(await closedLoop(client, world.whole(calls), 16), 'profile');
  client.close();
  await lemma.stop();
  const [written = ''] = readdirSync(folder);
  const profile = JSON.parse(readFileSync(join(folder, written), 'utf8')) as CpuProfile;
  rmSync(folder, { recursive: true });
  const file = join(OUTPUT, 'flame-graph.svg');
  mkdirSync(OUTPUT, { recursive: true });
  writeFileSync(file, flameGraph(profile, `lemma serve, ${3 * calls} whole decisions over gRPC`));
  return { title: 'The main thread, by itself', figures: largest(profile), notes: [`Flame graph: ${file}`] };
}

export function nameOf({ callFrame: { functionName, url, lineNumber } }: ProfileNode): string {
  const place = url.split('/').slice(-2).join('/');
  return `${functionName || '(anonymous)'}${place === '' ? '' : ` ${place}:${lineNumber + 1}`}`;
}

/** Microseconds of each node by itself, without the time in which there was nothing to do. */
export function selfTimes({ nodes, samples, timeDeltas }: CpuProfile): Map<number, number> {
  const idle = new Set(nodes.filter((node) => node.callFrame.functionName === '(idle)').map(({ id }) => id));
  const times = new Map<number, number>();
  for (const [i, id] of samples.entries()) {
    if (!idle.has(id)) times.set(id, (times.get(id) ?? 0) + (timeDeltas[i] ?? 0));
  }
  return times;
}

function largest(profile: CpuProfile): Figure[] {
  const times = selfTimes(profile);
  const busy = [...times.values()].reduce((sum, time) => sum + time, 0);
  const byName = new Map<string, number>();
  for (const node of profile.nodes) {
    byName.set(nameOf(node), (byName.get(nameOf(node)) ?? 0) + (times.get(node.id) ?? 0));
  }
  return [...byName]
    .toSorted(([, a], [, b]) => b - a)
    .slice(0, SHOWN)
    .map(([name, time]) => ({ name, value: (100 * time) / busy, unit: '%' }));
}
