import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { stringify } from 'yaml';
import { publish } from '../../test/pdp/support.ts';
import { ATTACKS } from '../../test/policy/hostile-attacks.ts';
import { fixture } from '../../test/policy/support.ts';
import type { WireRequest } from '../../test/support/kit.ts';
import { type Agent, type Serving, servedConfig, serving } from '../../test/support/serving.ts';

/**
 * What hostile policies cost those who ask for something else: `lemma serve` as a process of its own, asked over gRPC in
 * an open loop (requests leave at their time, whether or not earlier ones are answered; latency counts from that time).
 * The others write, with PoP and a durable record, under the profile high; a share of all requests runs away under low.
 * Rounds of the shares take turns, so that a noisy neighbour hits all alike.
 *
 *     npm run bench -- hostile [--rate 100] [--seconds 4] [--rounds 3] [--json]
 */

const SHARES = [0, 0.01, 0.05];
interface Row {
  readonly share: number;
  readonly others: Figures;
  readonly hostile: Figures;
  /** Answers that are not what they must be. */
  readonly wrong: number;
}

/** Milliseconds. */
interface Figures {
  readonly count: number;
  readonly p50: number;
  readonly p99: number;
  readonly max: number;
}

interface Asked {
  readonly hostile: boolean;
  readonly ms: number;
  readonly right: boolean;
}

const { values } = parseArgs({
  options: {
    rate: { type: 'string', default: '100' },
    seconds: { type: 'string', default: '4' },
    rounds: { type: 'string', default: '3' },
    json: { type: 'boolean', default: false },
  },
});
const rate = Number(values.rate);
const seconds = Number(values.seconds);

const folder = await mkdtemp(join(tmpdir(), 'lemma-bench-'));
const bundles = await publish(join(folder, 'bundles'), fixture('hostile'), { serial: 1 });
await writeFile(join(folder, 'lemma.yaml'), stringify({ ...servedConfig(), bundles }));
const service = await serving(folder);
try {
  const rows = await measured(service, await service.onboard('bench'), Number(values.rounds));
  if (values.json) console.log(JSON.stringify({ node: process.version, rate, seconds, rows }, null, 2));
  else print(rows);
} finally {
  await service.end('SIGTERM');
  await rm(folder, { recursive: true });
}

async function measured(target: Serving, agent: Agent, rounds: number): Promise<Row[]> {
  const asked = SHARES.map((): Asked[] => []);
  await run(target, agent, 0.05);
  for (let round = 0; round < rounds; round++) {
    for (const [i, share] of SHARES.entries()) asked[i]?.push(...(await run(target, agent, share)));
  }
  return SHARES.map((share, i) => {
    const all = asked[i] ?? [];
    return {
      share,
      others: figuresOf(all.filter(({ hostile }) => !hostile)),
      hostile: figuresOf(all.filter(({ hostile }) => hostile)),
      wrong: all.filter(({ right }) => !right).length,
    };
  });
}

async function run(target: Serving, agent: Agent, share: number): Promise<Asked[]> {
  // Signed before, so that the asking process has nothing to do but ask.
  const requests = Array.from({ length: rate * seconds }, (_, i) => {
    const hostile = Math.floor((i + 1) * share) > Math.floor(i * share);
    return { hostile, request: hostile ? attack(agent, Math.floor(i * share)) : agent.writing() };
  });
  const start = performance.now() + 20;
  const answers: Promise<Asked>[] = [];
  for (const [i, { hostile, request }] of requests.entries()) {
    const due = start + (i * 1000) / rate;
    if (due > performance.now()) await wait(due - performance.now());
    answers.push(
      target.grpc(request).then(({ verdict }) => {
        const right = hostile ? /^policy_(timeout|error)$/.test(verdict) : verdict === 'allow';
        return { hostile, right, ms: performance.now() - due };
      }),
    );
  }
  return Promise.all(answers);
}

function attack(agent: Agent, index: number): WireRequest {
  const [name, size] = ATTACKS[index % ATTACKS.length] ?? ['', 0];
  const reading = agent.reading();
  return { ...reading, path: `${reading.path}?attack=${name}&size=${size}` };
}

function figuresOf(asked: readonly Asked[]): Figures {
  const sorted = asked.map(({ ms }) => ms).sort((a, b) => a - b);
  const at = (part: number) =>
    sorted[Math.min(sorted.length - 1, Math.floor(part * sorted.length))] ?? Number.NaN;
  return { count: sorted.length, p50: at(0.5), p99: at(0.99), max: at(1) };
}

function print(rows: readonly Row[]): void {
  const ms = (value: number) => (Number.isNaN(value) ? '' : value.toFixed(1));
  console.log(`${rate} requests a second, ms from the time that they were due`);
  console.table(
    rows.map(({ share, others, hostile, wrong }) => ({
      'hostile, %': share * 100,
      others: others.count,
      p50: ms(others.p50),
      p99: ms(others.p99),
      max: ms(others.max),
      hostile: hostile.count,
      'hostile p50': ms(hostile.p50),
      'hostile p99': ms(hostile.p99),
      wrong,
    })),
  );
}
