import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { Pool } from 'undici';
import { publicKeyOf, randomBytes } from '#runtime';
import { toBase64url } from '../../src/crypto/base64url.ts';
import { encodeCredential } from '../../src/proof/issue.ts';
import type { CredentialJson } from '../../src/schema/lemma.ts';
import { onAnyCore } from './cores.ts';
import { cpuOf, end, type LemmaProcess, residentOf, startLemma } from './lemma.ts';
import { atMost, median, percentile, print, type Report } from './measure.ts';

/**
 * What the firewall adds to a plain reverse proxy (Node's server, undici's pool), at a steady rate, in rounds that take
 * turns; and its memory while much streams through it. Both proxies are processes of their own, as is the upstream.
 *
 *     npm run bench -- firewall [--rounds 5] [--seconds 4] [--rate 500] [--megabytes 1000] [--json]
 */
const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '5' },
    seconds: { type: 'string', default: '4' },
    rate: { type: 'string', default: '500' },
    megabytes: { type: 'string', default: '1000' },
    json: { type: 'boolean', default: false },
  },
});
const RATE = Number(values.rate);
const REQUESTS = RATE * Number(values.seconds);
const MEGABYTES = Number(values.megabytes);
const SAMPLE_MS = 100;

interface Part {
  readonly port: number;
  readonly pid: number;
  readonly stop: () => Promise<void>;
}

/** A program beside this one that says its port. It runs wherever there is room, as the firewall does. */
async function part(name: string, ...args: string[]): Promise<Part> {
  const program = fileURLToPath(new URL(`./${name}.ts`, import.meta.url));
  const [command, line] = onAnyCore(process.execPath, [program, ...args]);
  const child: ChildProcess = spawn(command, line, { stdio: ['pipe', 'pipe', 'inherit'] });
  const ended = once(child, 'exit').then((): [string] => {
    throw new Error(`${name} did not start`);
  });
  ended.catch(() => undefined);
  if (child.stdout === null) throw new Error(`${name} has no output`);
  const said = once(createInterface({ input: child.stdout }), 'line');
  const [port] = (await Promise.race([said, ended])) as [string];
  return { port: Number(port), pid: child.pid ?? 0, stop: () => end(child) };
}

/** A runtime's credential for the upstream, as `firewall-connect` gets one. */
async function onboard(lemma: LemmaProcess, origin: string): Promise<string> {
  const agent = { runtime_id: 'bench', agent_id: 'bench', workspace_id: 'bench', profile: 'low' };
  await lemma.post('/api/wallet/runtimes/bootstrap', agent);
  const { credential } = await lemma.post('/api/wallet/runtimes/issue-proof', {
    runtime_id: agent.runtime_id,
    key: toBase64url(publicKeyOf(randomBytes(32))),
    scope: ['bench.use'],
    audience: [origin],
  });
  return encodeCredential(credential as CredentialJson);
}

interface Target {
  readonly pool: Pool;
  readonly path: string;
  readonly headers: Record<string, string>;
}

/** Latencies in milliseconds of requests that are sent at their time, whatever has come back by then. */
function paced({ pool, path, headers }: Target): Promise<number[]> {
  const latencies: number[] = [];
  const start = performance.now();
  let sent = 0;
  return new Promise((resolve, reject) => {
    const one = async () => {
      const began = performance.now();
      const { statusCode, body } = await pool.request({ path, headers, method: 'GET' });
      await body.dump();
      if (statusCode !== 200) throw new Error(`answered ${statusCode}`);
      latencies.push(performance.now() - began);
      if (latencies.length === REQUESTS) resolve(latencies);
    };
    const tick = () => {
      const due = Math.min(REQUESTS, Math.ceil(((performance.now() - start) / 1000) * RATE));
      for (; sent < due; sent++) one().catch(reject);
      if (sent < REQUESTS) setTimeout(tick, 1);
    };
    tick();
  });
}

/** Added latencies: of each round the difference between what two neighbours in time had. */
async function overhead(targets: Record<'plain' | 'firewall', Target & { pid: number }>): Promise<Report> {
  const found = { plain: [] as number[][], firewall: [] as number[][] };
  const cpu = { plain: [] as number[], firewall: [] as number[] };
  for (let round = -1; round < Number(values.rounds); round++) {
    for (const name of ['plain', 'firewall'] as const) {
      const before = cpuOf(targets[name].pid);
      const latencies = await paced(targets[name]);
      if (round < 0) continue; // warms up
      found[name].push(latencies);
      cpu[name].push((cpuOf(targets[name].pid) - before) / REQUESTS);
    }
  }
  const of = (rounds: readonly number[][], percent: number) => rounds.map((l) => percentile(l, percent));
  const added = (percent: number) => {
    const plains = of(found.plain, percent);
    return of(found.firewall, percent).map((value, i) => value - (plains[i] ?? Number.NaN));
  };
  const rounds = (all: readonly number[]) => `rounds ${all.map((value) => value.toFixed(2)).join(' ')}`;
  return {
    title: `The firewall against a plain reverse proxy, ${RATE} requests a second`,
    figures: [
      atMost('added latency, p50', median(added(50)), 'ms', 0.6, rounds(added(50))),
      atMost('added latency, p99', median(added(99)), 'ms', 3, rounds(added(99))),
      ...(['plain', 'firewall'] as const).flatMap((name) =>
        [50, 99].map((percent) => ({
          name: `${name}, p${percent}`,
          value: median(of(found[name], percent)),
          unit: 'ms',
        })),
      ),
      ...(['plain', 'firewall'] as const).map((name) => ({
        name: `${name}, processor time a request`,
        value: median(cpu[name]),
        unit: 'ms',
        note: 'all its threads; what a busy machine leaves comparable',
      })),
    ],
  };
}

/** Resident memory while megabytes stream through, against that of after the first tenth. */
async function streamed({ pool, headers }: Target, path: string, pid: number): Promise<Report> {
  const samples: number[] = [];
  let bytes = 0;
  const timer = setInterval(() => {
    if (bytes > MEGABYTES * 100_000) samples.push(residentOf(pid));
  }, SAMPLE_MS);
  const began = performance.now();
  const { body } = await pool.request({ path, headers, method: 'GET', bodyTimeout: 0 });
  for await (const chunk of body) bytes += (chunk as Buffer).length;
  clearInterval(timer);
  const seconds = (performance.now() - began) / 1000;
  const tenth = Math.max(1, Math.floor(samples.length / 10));
  const growth = median(samples.slice(-tenth)) - median(samples.slice(0, tenth));
  return {
    title: `${MEGABYTES} streamed MB`,
    figures: [
      atMost('memory, last tenth over first', growth, 'MiB', 16, `${samples.length} samples`),
      { name: 'memory, most', value: Math.max(...samples), unit: 'MiB' },
      { name: 'throughput', value: bytes / 1_000_000 / seconds, unit: 'MB/s' },
    ],
  };
}

const upstream = await part('firewall-upstream');
const origin = `http://127.0.0.1:${upstream.port}`;
const plain = await part('firewall-plain', origin);
const api = { id: 'bench', base_url: origin, methods: ['GET'], path_prefixes: ['/'], risk: 'low' };
const lemma = await startLemma(
  {
    firewall: { listen: '127.0.0.1:0', apis: [{ ...api, scope: ['bench.use'], action: 'bench.use' }] },
  },
  { pinned: false },
);
const connections = 64;
const target = (address: string, path: string, headers: Record<string, string>): Target => ({
  pool: new Pool(`http://${address}`, { connections }),
  path,
  headers,
});
const accept = { accept: 'application/json' };
const credential = await onboard(lemma, origin);
const targets = {
  plain: target(`127.0.0.1:${plain.port}`, '/small', accept),
  firewall: target(lemma.firewall ?? '', '/firewall/bench/small', {
    ...accept,
    'x-lemma-credential': credential,
  }),
};
try {
  const reports = [
    await overhead({
      plain: { ...targets.plain, pid: plain.pid },
      firewall: { ...targets.firewall, pid: lemma.pid },
    }),
    await streamed(targets.firewall, `/firewall/bench/stream?${MEGABYTES}`, lemma.pid),
  ];
  if (values.json) console.log(JSON.stringify({ node: process.version, reports }, null, 2));
  else print(reports);
} finally {
  await Promise.all(Object.values(targets).map(({ pool }) => pool.destroy()));
  await lemma.stop();
  await plain.stop();
  await upstream.stop();
}
