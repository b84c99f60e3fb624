import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { publicKeyOf, randomBytes, signEd25519, verifyEd25519 } from '#runtime';
import { toBase64url } from '../../src/crypto/base64url.ts';
import type { Append } from '../../src/decision-log/log.ts';
import { decide } from '../../src/pdp/decide.ts';
import { preparePop } from '../../src/proof/sign-pop.ts';
import { toRequest } from '../../src/request/envoy.ts';
import type { RecordBody } from '../../src/schema/decision.ts';
import type { AuthzRequest } from '../../src/schema/request.ts';
import { decodeCheckRequest } from '../../src/server/check-wire.ts';
import { onServerCore } from './cores.ts';
import { cpuOf, end } from './lemma.ts';
import { closedLoop, connectLoad, type LoadClient, mustAllow } from './load.ts';
import { atLeast, type Figure, inFlight, interleaved, median, type Report } from './measure.ts';
import { openParts, type Parts } from './parts.ts';
import { buildPeer, startPeer } from './peer.ts';
import { makeWorld, type World } from './world.ts';

const IN_FLIGHT = 16;

/**
 * What a whole decision over gRPC costs at the least: those of its parts that are not ours, each by itself and with
 * nothing else in the caches. Microseconds of CPU, all threads. Beside it OPA, doing the same in Rego: how many times as
 * fast a service of these parts could be that did nothing else.
 */
export async function floor(rounds: number, calls: number, peer: boolean): Promise<Report> {
  const world = makeWorld();
  const parts = await openParts(world);
  const http2 = await startHttp2();
  const opa = peer ? await startPeer(buildPeer(), 'proofs', world.opa.data) : null;
  const client = await connectLoad(http2.address);
  const other = opa === null ? null : await connectLoad(opa.address);
  try {
    const taken = await decided(world, parts, calls);
    const candidates: Record<string, () => Promise<number>> = {
      http2: () => cpuOfServer(http2, client, world.whole(calls)),
      signature: async () => signature(taken.requests[0], calls),
      evaluation: async () => evaluation(taken.appends, parts),
      record: () => record(world, taken),
    };
    if (opa !== null && other !== null)
      candidates.opa = () => cpuOfServer(opa, other, world.opa.whole(Math.ceil(calls / 8)));
    const times = await interleaved(candidates, rounds);
    const of = (name: string) => median(times[name] ?? []);
    const figure = (name: string, value: number, note: string): Figure => ({ name, value, unit: 'us', note });
    const sum = ['http2', 'signature', 'evaluation', 'record'].reduce((all, name) => all + of(name), 0);
    return {
      title: 'A whole decision’s parts that are not ours, alone: CPU',
      figures: [
        figure('HTTP/2', of('http2'), 'node:http2, 16 in flight, the same messages, a constant answer'),
        figure('signature', of('signature'), 'one Ed25519 over what a PoP signs'),
        figure('evaluation', of('evaluation'), 'high profile, the contract’s input, engine and result read'),
        figure('record', of('record'), 'SQLite’s thread: durable, 16 in flight'),
        figure('sum', sum, 'no decoding, no checks, no input and no record made'),
        ...(opa === null
          ? []
          : [
              figure('OPA, the same in Rego', of('opa'), 'signatures and attenuation, its log on'),
              atLeast('OPA / sum', of('opa') / sum, 'x', 8, 'what a service of these parts could not exceed'),
            ]),
      ],
    };
  } finally {
    client.close();
    other?.close();
    await opa?.stop();
    await http2.stop();
    await parts.close();
  }
}

/** Microseconds of a server's, all threads, for each of the messages. */
async function cpuOfServer(
  { pid }: { readonly pid: number },
  client: LoadClient,
  messages: readonly Uint8Array[],
): Promise<number> {
  const before = cpuOf(pid);
  mustAllow(await closedLoop(client, messages, IN_FLIGHT), 'floor');
  return ((cpuOf(pid) - before) * 1000) / messages.length;
}

interface Taken {
  readonly requests: readonly AuthzRequest[];
  readonly appends: readonly { readonly body: RecordBody; readonly how: Append }[];
}

/** Whole decisions, and what their log was given. */
async function decided(world: World, { pdp }: Parts, calls: number): Promise<Taken> {
  const appends: { body: RecordBody; how: Append }[] = [];
  const log = {
    ...pdp.log,
    append(body: RecordBody, how: Append) {
      appends.push({ body, how });
      return undefined;
    },
  };
  const requests = world.whole(calls).map((bytes) => toRequest(decodeCheckRequest(Buffer.from(bytes))));
  for (const request of requests) {
    const { verdict, reason } = await decide(request, { ...pdp, log });
    if (verdict !== 'allow') throw new Error(`denied: ${reason}`);
  }
  return { requests, appends };
}

function signature(request: AuthzRequest | undefined, calls: number): number {
  if (request === undefined) throw new Error('no request');
  const proof = request.headers.find(([name]) => name === 'x-lemma-proof')?.[1] ?? '';
  const seed = randomBytes(32);
  const key = publicKeyOf(seed);
  const url = `https://${request.host}${request.target}`;
  const statement = { method: request.method, url, proof, keyid: toBase64url(key), created: 0 };
  const signed = Array.from({ length: calls }, () => {
    const { base } = preparePop(statement);
    return { base, by: signEd25519(base, seed) };
  });
  return cpuOfThread(calls, () => {
    for (const { base, by } of signed) if (!verifyEd25519(by, base, key)) throw new Error('does not hold');
  });
}

function evaluation(appends: Taken['appends'], { pdp }: Parts): number {
  const { engine } = pdp.policies.active('high');
  const inputs = appends.map(({ how }) => new TextEncoder().encode(how.inputJson));
  return cpuOfThread(inputs.length, () => {
    for (const input of inputs) if (!engine.evaluate(input).result.allow) throw new Error('denied');
  });
}

/** What is left of the process's CPU without this thread's: the store's. */
async function record(world: World, { appends }: Taken): Promise<number> {
  const { log, close } = await openParts(world);
  const before = { all: process.cpuUsage(), own: process.threadCpuUsage() };
  await inFlight(appends, IN_FLIGHT, async ({ body, how }) => {
    await log.append(body, how);
  });
  const own = process.threadCpuUsage(before.own);
  const all = process.cpuUsage(before.all);
  await close();
  return (all.user + all.system - own.user - own.system) / appends.length;
}

/** Microseconds for each of so many. */
function cpuOfThread(count: number, work: () => void): number {
  const before = process.threadCpuUsage();
  work();
  const { user, system } = process.threadCpuUsage(before);
  return (user + system) / count;
}

interface Served {
  readonly address: string;
  readonly pid: number;
  stop(): Promise<void>;
}

async function startHttp2(): Promise<Served> {
  const program = fileURLToPath(new URL('./floor-http2.ts', import.meta.url));
  const [command, args] = onServerCore(process.execPath, [program]);
  const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  const [port] = (await once(createInterface({ input: child.stdout }), 'line')) as [string];
  return { address: `127.0.0.1:${port}`, pid: child.pid ?? 0, stop: () => end(child) };
}
