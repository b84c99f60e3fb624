import { setTimeout as wait } from 'node:timers/promises';
import { startLemma } from './lemma.ts';
import { closedLoop, connectLoad, mustAllow } from './load.ts';
import { atMost, median, type Report } from './measure.ts';
import { makeWorld } from './world.ts';

const IDLE_MS = 3000;
const BATCH = 10_000;

/** Start to the first answer, memory when idle, and whether it stays flat over many decisions. */
export async function lifetime(rounds: number, decisions: number): Promise<Report> {
  const world = makeWorld();
  const starts: number[] = [];
  const idle: number[] = [];
  for (let round = 0; round < rounds; round++) {
    const began = performance.now();
    const lemma = await startLemma(world.config);
    const client = await connectLoad(lemma.grpc);
    mustAllow(await closedLoop(client, world.whole(1), 1), 'the first answer');
    starts.push(performance.now() - began);
    await wait(IDLE_MS);
    idle.push(lemma.resident());
    client.close();
    await lemma.stop();
  }
  const soak = await grown(decisions);
  return {
    title: 'The process',
    figures: [
      atMost('start to first answer', median(starts), 'ms', 700, starts.map((ms) => ms.toFixed(0)).join(' ')),
      atMost('resident when idle', median(idle), 'MiB', 160),
      atMost(`growth over ${decisions} decisions`, soak.percent, '%', 5, soak.note),
    ],
  };
}

/** Resident memory after the first quarter (warm: code compiled, heap at its size) against that at the end. */
async function grown(decisions: number): Promise<{ percent: number; note: string }> {
  const world = makeWorld();
  const lemma = await startLemma(world.config);
  const client = await connectLoad(lemma.grpc);
  const sizes: number[] = [];
  try {
    for (let done = 0; done < decisions; done += BATCH) {
      mustAllow(await closedLoop(client, world.bearer(Math.min(BATCH, decisions - done)), 16), 'soak');
      sizes.push(lemma.resident());
    }
  } finally {
    client.close();
    await lemma.stop();
  }
  const quarter = Math.max(1, Math.floor(sizes.length / 4));
  const early = median(sizes.slice(quarter, 2 * quarter));
  const late = median(sizes.slice(-quarter));
  const note = `${early.toFixed(0)} MiB in the second quarter, ${late.toFixed(0)} in the last; bearer, low`;
  return { percent: (100 * (late - early)) / early, note };
}
