import { deepEqual, equal, ok } from 'node:assert/strict';
import { writing } from '../pdp/support.ts';
import { bearing, chain } from '../support/kit.ts';
import {
  connect,
  type Running,
  running,
  toCheckRequest,
  type Verdict,
  verdictOf,
} from '../support/running.ts';

/** More than a fast machine decides while a few requests over HTTP are answered. */
const CROWD = 1000;

/** A service that takes one decision at a time, and a crowd that waits for its turn. */
describe('while decisions wait for their turn', () => {
  let service: Running;
  let answers: Promise<Verdict>[];
  let answered: number;

  beforeEach(async () => {
    service = await running({ config: { limits: { concurrency: 1, queue: CROWD, queue_ms: 60_000 } } });
    answered = 0;
    const links = chain();
    answers = Array.from({ length: CROWD }, () => service.grpc(writing(links)));
    for (const answer of answers) answer.then(() => answered++);
    await answers[0];
  });
  afterEach(async () => {
    await Promise.all(answers);
    await service.stop();
  });

  it('a kill is done at once, and those that wait meet it', async () => {
    const { status } = await service.control('/api/wallet/runtimes/bot-1/kill', {});
    const before = answered;
    const verdicts = (await Promise.all(answers)).slice(before + 1).map(({ verdict }) => verdict);
    deepEqual([status, [...new Set(verdicts)]], [200, ['runtime_killed']]);
  });

  it('health, readiness and metrics answer', async () => {
    const paths = ['/healthz', '/readyz'].map(async (path) => (await service.decision(path)).status);
    const metrics = await fetch(`http://${service.app.addresses.control}/metrics`);
    const text = await metrics.text();
    ok(answered < CROWD);
    deepEqual(await Promise.all(paths), [200, 200]);
    // Between two decisions there is none.
    ok(/^lemma_decisions_running [01]$/m.test(text));
  });

  it('other reads answer', async () => {
    const { status } = await service.control('/api/wallet/runtimes');
    ok(answered < CROWD);
    equal(status, 200);
  });
});

describe('limits', () => {
  it('are taken over by a reload', async () => {
    const service = await running();
    const client = connect(service.app.addresses.grpc[0] ?? '');
    try {
      await service.reload({ limits: { per_source: { rate: 1, burst: 1 } } });
      const { attributes } = toCheckRequest(bearing(chain()));
      const source = { address: { socket_address: { address: '192.0.2.1' } } };
      const ask = async () =>
        verdictOf(await client.check({ attributes: { ...attributes, source } })).verdict;
      deepEqual([await ask(), await ask()], ['allow', 'rate_limited']);
    } finally {
      client.close();
      await service.stop();
    }
  });
});
