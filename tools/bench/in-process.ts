import { decide } from '../../src/pdp/decide.ts';
import { openDraft, recordOf } from '../../src/pdp/draft.ts';
import { buildInput } from '../../src/pdp/input.ts';
import { checkPop } from '../../src/proof/pop.ts';
import { checkReach } from '../../src/proof/reach.ts';
import { checkTimes } from '../../src/proof/time.ts';
import { bodyFacts } from '../../src/request/body.ts';
import { toRequest } from '../../src/request/envoy.ts';
import { checkSizes, readCredentials } from '../../src/request/headers.ts';
import { signedMessage } from '../../src/request/signed.ts';
import type { CheckRequestMessage } from '../../src/schema/check.ts';
import type { AuthzRequest } from '../../src/schema/request.ts';
import { checkMethod, loadProtos } from '../../src/server/proto.ts';
import { atMost, type Figure, inFlight, interleaved, median, type Report } from './measure.ts';
import { openParts, type Parts } from './parts.ts';
import { makeWorld, type World } from './world.ts';

const IN_FLIGHT = 16;
const { requestDeserialize } = checkMethod(loadProtos());

/** `decide` with a real store, gate and log, called as the listeners call it; and each stage's checks by themselves. */
export async function inProcess(rounds: number, calls: number): Promise<Report> {
  const world = makeWorld();
  const parts = await openParts(world);
  const requests = (bytes: readonly Uint8Array[]) =>
    bytes.map((b) => toRequest(requestDeserialize(Buffer.from(b)) as CheckRequestMessage));
  const cpu: number[] = [];
  const whole = async (made: readonly AuthzRequest[]) => {
    const start = performance.now();
    const before = process.threadCpuUsage();
    await inFlight(made, IN_FLIGHT, async (request) => {
      const { verdict, reason } = await decide(request, parts.pdp);
      if (verdict !== 'allow') throw new Error(`denied: ${reason}`);
    });
    const { user, system } = process.threadCpuUsage(before);
    cpu.push((user + system) / made.length);
    return perCall(start, made.length);
  };
  try {
    const some = Math.ceil(calls / 4);
    const times = await interleaved(
      {
        warm: () => whole(requests(world.whole(calls))),
        cold: () => whole(requests(world.cold(some))),
        ...stages(world, parts, calls),
      },
      rounds,
    );
    const stage = (name: string, values: readonly number[], note: string): Figure => ({
      name: `stage: ${name}`,
      value: median(values),
      unit: 'us',
      note,
    });
    return {
      title: 'In process, one thread and the store’s',
      figures: [
        atMost(
          'whole decision, warm chain',
          median(times.warm),
          'us',
          120,
          `PoP, high profile, durable record; 16 in flight; this thread's CPU ${median(cpu.filter((_, i) => i % 2 === 0)).toFixed(0)} us`,
        ),
        atMost(
          'whole decision, cold chain',
          median(times.cold),
          'us',
          450,
          `the same, three signatures more; CPU ${median(cpu.filter((_, i) => i % 2 === 1)).toFixed(0)} us`,
        ),
        stage('request', times.request, 'decode, headers, route, body'),
        stage('proof', times.proof, 'cached chain, times, PoP, reach'),
        stage('gate', times.gate, 'runtime, revocation, nonce'),
        stage('policy', times.policy, 'input made, written, evaluated'),
        stage('record', times.record, 'record made, written, handed to the store and durable; 16 at a time'),
      ],
    };
  } finally {
    await parts.close();
  }
}

/** One round of each: microseconds a call. What a stage needs of those before it is made outside the measured time. */
function stages(world: World, { pdp, gate, chains, log }: Parts, calls: number) {
  const settings = pdp.settings();
  const checked = (bytes: Uint8Array) => {
    const request = toRequest(requestDeserialize(Buffer.from(bytes)) as CheckRequestMessage);
    checkSizes(request.headers);
    const presented = readCredentials(request, settings.routes.permitted);
    const routed = settings.routes.find(request);
    return { request, presented, routed, body: bodyFacts(request) };
  };
  const proven = (from: ReturnType<typeof checked>) => {
    const now = Math.floor(Date.now() / 1000);
    if (from.presented.kind !== 'proof') throw new Error('no proof');
    const chain = chains.verify(from.presented.value, settings.trust);
    checkTimes(chain.links, now);
    const message = signedMessage(from.request, from.presented, from.body);
    const pop = checkPop(chain, from.presented, message, from.routed.route, now);
    checkReach(chain, from.routed.route, from.request.method, from.routed.target.path);
    if (pop === null) throw new Error('no PoP');
    return { ...from, chain, pop };
  };
  const admit = ({ chain, pop }: ReturnType<typeof proven>) => {
    const nowMs = Date.now();
    const runtime = gate.admit(chain, nowMs);
    gate.spend({ keyid: pop.keyid, nonce: pop.nonce, created: pop.created }, Math.floor(nowMs / 1000));
    return runtime;
  };
  const { engine, ref, meta } = pdp.policies.active('high');
  const evaluated = (from: ReturnType<typeof proven>) => {
    const { request, routed, presented, body, chain, pop } = from;
    const runtime = gate.runtime('acme', 'prod', world.runtimeId);
    const input = buildInput({
      nowMs: Date.now(),
      profile: 'high',
      request,
      routed,
      routeRevision: settings.routes.revision,
      presented,
      body,
      chain,
      pop,
      runtime,
      freshness: gate.freshness(),
      budget: null,
      disclosure: meta,
    });
    const inputJson = JSON.stringify(input);
    const { result, resultJson } = engine.evaluate(new TextEncoder().encode(inputJson));
    if (!result.allow) throw new Error(`denied: ${result.reason}`);
    return { ...from, input, inputJson, result, resultJson };
  };
  const recorded = async ({ request, routed, chain, pop, ...made }: ReturnType<typeof evaluated>) => {
    const draft = {
      ...openDraft(request, Date.now()),
      routed,
      chain,
      links: chain.links,
      bundle: ref,
      ...made,
    };
    const nonce = { keyid: pop.keyid, nonce: pop.nonce, created: pop.created };
    const context = {
      node: 'bench',
      org: 'acme',
      env: 'prod',
      configRevision: 'bench',
      routeRevision: settings.routes.revision,
    };
    const body = recordOf(
      { ...draft, profile: 'high', nonce, verdict: 'allow', reason: 'allowed', reasons: [] },
      context,
    );
    await log.append(body, { durable: true, nonce, inputJson: made.inputJson, resultJson: made.resultJson });
  };
  const each =
    <T>(make: () => T[], work: (item: T) => unknown) =>
    async () => {
      const items = make();
      const start = performance.now();
      for (const item of items) work(item);
      return perCall(start, items.length);
    };
  return {
    request: each(() => world.whole(calls), checked),
    proof: each(() => world.whole(calls).map(checked), proven),
    gate: each(() => world.whole(calls).map((bytes) => proven(checked(bytes))), admit),
    policy: each(() => world.whole(calls).map((bytes) => proven(checked(bytes))), evaluated),
    record: async () => {
      const items = world.whole(calls).map((bytes) => evaluated(proven(checked(bytes))));
      const start = performance.now();
      await inFlight(items, IN_FLIGHT, recorded);
      return perCall(start, items.length);
    },
  };
}

function perCall(start: number, count: number): number {
  return ((performance.now() - start) * 1000) / count;
}
