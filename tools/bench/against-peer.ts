import { cpuOf, startLemma } from './lemma.ts';
import { closedLoop, connectLoad, type LoadClient, mustAllow } from './load.ts';
import { atLeast, type Figure, interleaved, median, percentile, type Report } from './measure.ts';
import { buildPeer, startPeer } from './peer.ts';
import { makeWorld } from './world.ts';

const IN_FLIGHT = 16;

export interface PeerOptions {
  readonly rounds: number;
  /** Calls of a round; the peer, slower, gets fewer. */
  readonly calls: number;
  /** Without it, or where it can't be built, Lemma is measured alone. */
  readonly peer: boolean;
  /** Another checkout, measured in the same rounds: what a change gained. */
  readonly before: string | null;
}

/** What each did with a request of the stream, for the table. */
const CHECKED = [
  '  (a)  Lemma: chain of 3 (cached after the first), attenuation, times, PoP over method, target, body; nonce spent once, durably; kill, revocation, taint; high-profile Rego on the contract’s input; a hash-chained record, durable before the answer.',
  "  (a') OPA:   the same signatures and attenuation in Rego (io.jwt.verify_eddsa, 3 links + PoP with body), times, scope, host, path. No nonce, no revocation, no kill; its log line is printed behind the answer and not synced.",
  '  (b)  Lemma: chain of 3 (cached), attenuation, times, reach; kill, revocation, taint; low-profile Rego; a hash-chained record, written behind the answer.',
  "  (b') OPA:   a role-based policy over users, roles and permissions (1,000 users); who calls is believed from a header, nothing is verified.",
  '  Both: Envoy’s default headers, one connection, 16 in flight, one core for the server; the credential is the only difference between the streams.',
];

/** Whole decisions over gRPC, and the same stream at opa-envoy-plugin, in turns. */
export async function againstPeer({ rounds, calls, peer, before }: PeerOptions): Promise<Report> {
  const world = makeWorld();
  const binary = peer ? builtOrNull() : null;
  const stops: (() => unknown)[] = [];
  const clientOf = async (address: string) => {
    const client = await connectLoad(address);
    stops.push(client.close);
    return client;
  };
  const seen: Seen = { p99: new Map(), cpu: new Map() };
  const rate =
    (name: string, server: Served, make: (count: number) => Uint8Array[], count: number) => async () => {
      const messages = make(count);
      const before = cpuOf(server.pid);
      const run = await closedLoop(server.client, messages, IN_FLIGHT);
      mustAllow(run, name);
      note(seen.cpu, name, ((cpuOf(server.pid) - before) * 1000) / count);
      note(seen.p99, name, percentile(run.latencies, 99));
      return count / (run.elapsedMs / 1000);
    };
  try {
    const lemma = await startLemma(world.config);
    stops.push(() => lemma.stop());
    const ours = { client: await clientOf(lemma.grpc), pid: lemma.pid };
    const candidates: Record<string, () => Promise<number>> = {
      a: rate('a', ours, world.whole, calls),
      b: rate('b', ours, world.bearer, calls),
    };
    if (before !== null) {
      const old = await startLemma(world.config, { checkout: before });
      stops.push(() => old.stop());
      const served = { client: await clientOf(old.grpc), pid: old.pid };
      candidates['a before'] = rate('a before', served, world.whole, calls);
      candidates['b before'] = rate('b before', served, world.bearer, calls);
    }
    if (binary !== null) {
      for (const [name, policy, make, fewer] of [
        ["a'", 'proofs', world.opa.whole, 8],
        ["b'", 'rbac', world.opa.bearer, 3],
      ] as const) {
        const peer = await startPeer(binary, policy, world.opa.data);
        stops.push(() => peer.stop());
        const served = { client: await clientOf(peer.address), pid: peer.pid };
        candidates[name] = rate(name, served, make, Math.ceil(calls / fewer));
      }
    }
    const rates = await interleaved(candidates, rounds);
    const title = 'gRPC against opa-envoy-plugin, one core, 16 in flight, records on';
    return { title, figures: figuresOf(rates, seen), notes: CHECKED };
  } finally {
    for (const stop of stops.reverse()) await stop();
  }
}

interface Served {
  readonly client: LoadClient;
  readonly pid: number;
}

/** Per candidate and round; the first is the warm-up's. */
interface Seen {
  readonly p99: Map<string, number[]>;
  /** Microseconds of the server's CPU, all threads, for one decision: what a busy neighbour changes least. */
  readonly cpu: Map<string, number[]>;
}

function note(into: Map<string, number[]>, name: string, value: number): void {
  into.set(name, [...(into.get(name) ?? []), value]);
}

function builtOrNull(): string | null {
  try {
    return buildPeer();
  } catch (error) {
    process.stderr.write(
      `${error instanceof Error ? error.message : String(error)}\nLemma is measured alone.\n`,
    );
    return null;
  }
}

function figuresOf(rates: Readonly<Record<string, readonly number[]>>, seen: Seen): Figure[] {
  const names = {
    a: 'whole decision',
    b: 'bearer, low',
    "a'": 'OPA: the same in Rego',
    "b'": 'OPA: RBAC',
    'a before': 'whole decision, the other checkout',
    'b before': 'bearer, low, the other checkout',
  };
  const middle = (of: ReadonlyMap<string, number[]>, key: string) => median((of.get(key) ?? []).slice(1));
  const figures: Figure[] = Object.entries(names).flatMap(([key, name]) => {
    const found = rates[key];
    if (found === undefined) return [];
    const note = `p99 ${middle(seen.p99, key).toFixed(1)} ms, CPU ${middle(seen.cpu, key).toFixed(0)} us; rounds ${found.map((r) => r.toFixed(0)).join(' ')}`;
    return [{ name: `(${key}) ${name}`, value: median(found), unit: '/s', note }];
  });
  const ratio = (over: string, under: string, least: number) => {
    const [above, below] = [rates[over], rates[under]];
    if (above === undefined || below === undefined) return [];
    const byCpu = middle(seen.cpu, under) / middle(seen.cpu, over);
    const note = `by the CPU of a decision ${byCpu.toFixed(1)}`;
    return [atLeast(`(${over}) / (${under})`, median(above) / median(below), 'x', least, note)];
  };
  const gains = ['a', 'b'].flatMap((key) => {
    const [now, then] = [rates[key], rates[`${key} before`]];
    if (now === undefined || then === undefined) return [];
    const note = `by the CPU of a decision ${(middle(seen.cpu, `${key} before`) / middle(seen.cpu, key)).toFixed(2)}`;
    return [{ name: `(${key}) / before`, value: median(now) / median(then), unit: 'x', note }];
  });
  return [...figures, ...ratio('a', "a'", 8), ...ratio('b', "b'", 3), ...gains];
}
