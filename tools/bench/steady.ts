import { startLemma } from './lemma.ts';
import {
  type Answer,
  closedLoop,
  connectLoad,
  type LoadClient,
  mustAllow,
  openLoop,
  type Run,
} from './load.ts';
import { atLeast, atMost, type Figure, median, percentile, type Report } from './measure.ts';
import { buildPeer, startPeer } from './peer.ts';
import { makeWorld } from './world.ts';

const PER_SECOND = 1000;
const SECONDS = 5;
/** Envoy's default: nobody waits longer for an answer. */
const PATIENCE = '200m';
const KILL_AFTER_MS = 1000;

/** A steady 1,000 a second, whole decisions; each latency counts from when the call was due. */
export async function steady(rounds: number, peer: boolean): Promise<Report> {
  const world = makeWorld();
  const p99s: Record<'lemma' | 'opa', number[]> = { lemma: [], opa: [] };
  const lemma = await startLemma(world.config);
  const client = await connectLoad(lemma.grpc);
  const served = peer ? await startPeer(buildPeer(), 'rbac', world.opa.data) : null;
  const other = served === null ? null : await connectLoad(served.address);
  try {
    mustAllow(await closedLoop(client, world.whole(4000), 16), 'warm-up');
    if (other !== null) mustAllow(await closedLoop(other, world.opa.bearer(2000), 16), 'warm-up of OPA');
    for (let round = 0; round < rounds; round++) {
      const run = await openLoop(client, world.whole(PER_SECOND * SECONDS), PER_SECOND);
      mustAllow(run, 'steady');
      p99s.lemma.push(percentile(run.latencies, 99));
      if (other === null) continue;
      const theirs = await openLoop(other, world.opa.bearer(PER_SECOND * SECONDS), PER_SECOND);
      p99s.opa.push(percentile(theirs.latencies, 99));
    }
  } finally {
    client.close();
    other?.close();
    await lemma.stop();
    await served?.stop();
  }
  const rest: Figure[] =
    p99s.opa.length === 0
      ? []
      : [{ name: 'OPA (RBAC), p99', value: median(p99s.opa), unit: 'ms', note: roundsOf(p99s.opa) }];
  return {
    title: `Open loop, ${PER_SECOND} a second, latency from the scheduled time`,
    figures: [atMost('whole decision, p99', median(p99s.lemma), 'ms', 10, roundsOf(p99s.lemma)), ...rest],
  };
}

function roundsOf(values: readonly number[]): string {
  return `rounds ${values.map((value) => value.toFixed(1)).join(' ')}`;
}

/** Three times what it can do, by callers that wait as Envoy does; a kill in the midst of it. */
export async function overload(calls: number): Promise<Report> {
  const world = makeWorld();
  const lemma = await startLemma(world.config);
  const client = await connectLoad(lemma.grpc, PATIENCE);
  try {
    mustAllow(await closedLoop(client, world.whole(calls), 16), 'warm-up');
    const closed = await closedLoop(client, world.whole(calls), 16);
    mustAllow(closed, 'capacity');
    const capacity = calls / (closed.elapsedMs / 1000);
    const rate = 3 * capacity;
    const seconds = 4;
    const flood = await openLoop(client, world.whole(Math.floor(rate * seconds)), rate);
    const goodput = (flood.tally.get('allow') ?? 0) / (flood.elapsedMs / 1000);
    const kill = await killUnder(
      client,
      world.whole(Math.floor(rate * seconds)),
      rate,
      lemma.kill,
      world.runtimeId,
    );
    return {
      title: 'At three times capacity, callers wait 200 ms',
      figures: [
        { name: 'capacity', value: capacity, unit: '/s', note: 'closed loop, 16 in flight' },
        atLeast('goodput', (100 * goodput) / capacity, '% of capacity', 90, tallyOf(flood)),
        atMost('p99 of what is answered', percentile(flood.latencies, 99), 'ms', 25),
        atMost('a kill: the last allow came back', kill.lastAllowMs, 'ms', 100, 'after it was asked for'),
        { name: 'a kill: answered', value: kill.answeredMs, unit: 'ms', note: kill.note },
      ],
    };
  } finally {
    client.close();
    await lemma.stop();
  }
}

interface Kill {
  readonly lastAllowMs: number;
  readonly answeredMs: number;
  readonly note: string;
}

/** Asks for a kill a second into a flood. */
async function killUnder(
  client: LoadClient,
  messages: readonly Uint8Array[],
  rate: number,
  kill: (runtimeId: string) => Promise<void>,
  runtimeId: string,
): Promise<Kill> {
  let asked = Number.NaN;
  let answered = Number.NaN;
  let lastAllow = 0;
  let allowedBefore = 0;
  let killed: Promise<void> | undefined;
  const began = performance.now();
  const onAnswer = (answer: Answer | null) => {
    const now = performance.now();
    if (answer?.code === 0) {
      lastAllow = now;
      if (killed === undefined && now - began > KILL_AFTER_MS / 2) allowedBefore += 1;
    }
    if (killed !== undefined || now - began < KILL_AFTER_MS) return;
    asked = now;
    killed = kill(runtimeId).then(() => {
      answered = performance.now();
    });
  };
  await openLoop(client, messages, rate, { onAnswer });
  await killed;
  const note = `${allowedBefore} allows in the ${KILL_AFTER_MS / 2} ms before; none: nothing to measure`;
  // Where nothing was allowed any more, there was nothing for a kill to end.
  const lastAllowMs = allowedBefore === 0 ? Number.NaN : Math.max(0, lastAllow - asked);
  return { lastAllowMs, answeredMs: answered - asked, note };
}

function tallyOf({ tally }: Run): string {
  return [...tally].map(([name, count]) => `${name} ${count}`).join(', ');
}
