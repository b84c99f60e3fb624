import { setTimeout as wait } from 'node:timers/promises';
import { startLemma } from './lemma.ts';
import { closedLoop, connectLoad, mustAllow } from './load.ts';
import { atMost, median, type Report } from './measure.ts';
import { makeWorld } from './world.ts';

const IDLE_MS = 3000;
const BATCH = 10_000;
/** After so many decisions code is compiled, and heap and caches have their size. */
const WARM_AFTER = 50_000;
/** How many sizes are taken together: one alone says how long ago V8 collected its garbage. */
const WINDOW = 5;

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
      { name: `resident after ${WARM_AFTER} decisions`, value: soak.warm, unit: 'MiB' },
      {
        name: `resident after ${decisions}`,
        value: soak.end,
        unit: 'MiB',
        note: `at most ${soak.most.toFixed(0)}`,
      },
      atMost('growth between the two', soak.percent, '%', 5, 'bearer, low'),
    ],
  };
}

interface Grown {
  /** MiB; medians of some sizes in a row. */
  readonly warm: number;
  readonly end: number;
  readonly most: number;
  readonly percent: number;
}

/** NaN throughout for so few decisions that nothing follows the warm-up. */
async function grown(decisions: number): Promise<Grown> {
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
  const after = sizes.slice(WARM_AFTER / BATCH);
  const warm = median(after.slice(0, WINDOW));
  const end = median(after.slice(-WINDOW));
  return { warm, end, most: Math.max(...sizes), percent: (100 * (end - warm)) / warm };
}
