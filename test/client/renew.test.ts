import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import {
  type Credential,
  createLemmaFetch,
  generateKey,
  LemmaClientError,
  type LemmaEvent,
  type LemmaFetch,
  type LemmaFetchOptions,
  type LemmaKey,
} from '../../src/client/index.ts';
import { openScene, type Scene } from './scene.ts';

/** A schedule that a test carries out itself. */
function manual() {
  let planned: { ms: number; then: () => void } | null = null;
  return {
    schedule: (ms: number, then: () => void) => {
      const mine = { ms, then };
      planned = mine;
      return () => {
        if (planned === mine) planned = null;
      };
    },
    /** Milliseconds until the next call; null: none is planned. */
    inMs: () => planned?.ms ?? null,
    fire() {
      const due = planned;
      planned = null;
      assert.ok(due, 'nothing is planned');
      due.then();
    },
  };
}

describe('a proof is renewed in time', () => {
  let scene: Scene;
  let key: LemmaKey;
  let serial = 0;
  before(async () => {
    scene = await openScene();
  });
  after(() => scene?.close());

  /** An agent of its own runtime, the events that it tells, and what it asks of the control plane. */
  async function agent(terms: object = {}, over: Partial<LemmaFetchOptions> = {}) {
    serial += 1;
    const runtimeId = `renewing-${serial}`;
    key = await generateKey();
    const credential = await scene.onboard(runtimeId, key.publicKey, terms);
    const timer = manual();
    const waiting: ((event: LemmaEvent) => void)[] = [];
    const events: LemmaEvent[] = [];
    const asked: string[] = [];
    const lemmaFetch: LemmaFetch = createLemmaFetch({
      ...{ credential, key, renew: { control: scene.control }, gateways: [scene.gateway] },
      clock: () => scene.now() * 1000,
      schedule: timer.schedule,
      onEvent: (event) => {
        events.push(event);
        waiting.shift()?.(event);
      },
      fetch: (input, init) => {
        if (String(input).startsWith(scene.control)) asked.push(String(input));
        return fetch(input, init);
      },
      ...over,
    });
    const event = () => new Promise<LemmaEvent>((resolve) => void waiting.push(resolve));
    return { runtimeId, credential, lemmaFetch, timer, event, events, asked };
  }

  function verb(runtimeId: string, name: string, body: object) {
    return scene.service.control(`/api/wallet/runtimes/${runtimeId}/${name}`, body);
  }

  const stopped = (reason: string) => (error: unknown) => {
    assert.ok(error instanceof LemmaClientError, String(error));
    assert.equal(error.code, 'renewal_stopped');
    assert.equal(error.reason, reason);
    return true;
  };

  it('between three and four fifths of its life, with the same key and scope', async () => {
    const { lemmaFetch, timer, event, credential } = await agent({ ttl_s: 1000 });
    const due = timer.inMs() ?? 0;
    assert.ok(due >= 600_000 && due <= 800_000, String(due));
    scene.forward(Math.ceil(due / 1000));
    const told = event();
    timer.fire();
    const renewed = await told;
    assert.ok(renewed.type === 'renewed', renewed.type);
    assert.notEqual(renewed.credential.id, credential.id);
    assert.deepEqual(
      [renewed.credential.key, renewed.credential.scope, renewed.credential.audience],
      [credential.key, credential.scope, credential.audience],
    );
    assert.equal(lemmaFetch.credential, renewed.credential);
    assert.equal((await lemmaFetch(scene.url('write'), { method: 'PUT', body: 'x' })).status, 200);
    assert.ok((timer.inMs() ?? 0) >= 600_000);
  });

  it('once, however many ask at the same time', async () => {
    const { lemmaFetch, asked } = await agent();
    const [one, other] = await Promise.all([lemmaFetch.renew(), lemmaFetch.renew()]);
    assert.equal(one, other);
    assert.equal(asked.length, 1);
  });

  it('before a request that comes when it is almost over', async () => {
    const { lemmaFetch, credential } = await agent({ ttl_s: 100 });
    scene.forward(97);
    assert.equal((await lemmaFetch(scene.url('read'))).status, 200);
    assert.notEqual(lemmaFetch.credential.id, credential.id);
  });

  it('not once it is over: that is said, and nothing is sent', async () => {
    const { lemmaFetch, timer, asked, event } = await agent({ ttl_s: 100 });
    scene.forward(101);
    await assert.rejects(lemmaFetch(scene.url('read')), (error: unknown) => {
      assert.ok(error instanceof LemmaClientError);
      return error.code === 'proof_expired';
    });
    const told = event();
    timer.fire();
    assert.equal((await told).type, 'renewal_stopped');
    assert.equal(timer.inMs(), null);
    assert.deepEqual(asked, []);
  });

  it('never after a kill', async () => {
    const { lemmaFetch, timer, runtimeId, asked } = await agent();
    await verb(runtimeId, 'kill', {});
    await assert.rejects(lemmaFetch.renew(), stopped('runtime_killed'));
    assert.equal(timer.inMs(), null);
    await assert.rejects(lemmaFetch.renew(), stopped('runtime_killed'));
    assert.equal(asked.length, 1);
  });

  it('never after a request was denied for a kill', async () => {
    const { lemmaFetch, timer, runtimeId, asked, events } = await agent();
    await verb(runtimeId, 'kill', {});
    await assert.rejects(lemmaFetch(scene.url('read')), /runtime_killed/);
    assert.deepEqual(
      events.map(({ type }) => type),
      ['renewal_stopped'],
    );
    assert.equal(timer.inMs(), null);
    await assert.rejects(lemmaFetch.renew(), stopped('runtime_killed'));
    assert.deepEqual(asked, []);
  });

  it('not while it is contained, and again when that is over', async () => {
    const { lemmaFetch, timer, runtimeId, event } = await agent();
    await verb(runtimeId, 'contain', {});
    await assert.rejects(lemmaFetch.renew(), (error: unknown) => {
      assert.ok(error instanceof LemmaClientError);
      return error.code === 'renewal_failed' && error.reason === 'runtime_inactive';
    });
    await verb(runtimeId, 'resume', {});
    const told = event();
    timer.fire();
    assert.equal((await told).type, 'renewed');
  });

  it('not past a taint: a person approves, and the agent goes on with what was approved', async () => {
    const { lemmaFetch, timer, runtimeId } = await agent({ ttl_s: 1000 });
    await verb(runtimeId, 'taint', { reason: 'a page told it to' });
    await assert.rejects(lemmaFetch.renew(), stopped('taint_stale'));
    assert.equal(timer.inMs(), null);
    const { body } = await verb(runtimeId, 'approve', { taint_epoch: 1 });
    lemmaFetch.use((body as { credential: Credential }).credential);
    assert.equal((await lemmaFetch(scene.url('write'), { method: 'PUT', body: 'x' })).status, 200);
    assert.notEqual(timer.inMs(), null);
  });

  it('not with a budget, which an operator gives anew', async () => {
    const { lemmaFetch } = await agent({ budget: { operations: 3 } });
    await assert.rejects(lemmaFetch.renew(), stopped('conflict'));
  });

  it('again later while the control plane is away, later each time', async () => {
    const { lemmaFetch, timer, events } = await agent(
      {},
      { fetch: () => Promise.reject(new TypeError('fetch failed')) },
    );
    const waits: number[] = [];
    for (let i = 0; i < 9; i++) {
      await assert.rejects(lemmaFetch.renew(), /did not answer/);
      waits.push(timer.inMs() ?? 0);
    }
    const most = waits.map((_, i) => Math.min(60_000, 1000 * 2 ** i));
    assert.ok(
      waits.every((wait, i) => wait <= (most[i] ?? 0) && wait >= (most[i] ?? 0) / 2),
      waits.join(' '),
    );
    assert.deepEqual(
      events.map((event) => (event.type === 'renewal_failed' ? event.again_in_ms : event.type)),
      waits,
    );
  });

  it('no sooner than it is told to', async () => {
    const server = createServer((_, response) => {
      response.writeHead(429, { 'retry-after': '7' }).end('{"success":false,"error":"rate_limited"}');
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    try {
      const control = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
      const { lemmaFetch, timer } = await agent({}, { renew: { control }, fetch });
      await assert.rejects(lemmaFetch.renew(), /rate_limited/);
      assert.equal(timer.inMs(), 7000);
    } finally {
      server.close();
    }
  });

  it("by no proof that is somebody else's", async () => {
    const other = await scene.onboard('somebody-else', (await generateKey()).publicKey);
    const answer = async () => Response.json({ success: true, credential: other });
    const { lemmaFetch } = await agent({}, { fetch: answer as typeof fetch });
    await assert.rejects(lemmaFetch.renew(), /no proof of this runtime/);
  });

  it('no more after it was closed', async () => {
    const { lemmaFetch, timer, asked } = await agent();
    lemmaFetch.close();
    assert.equal(timer.inMs(), null);
    await assert.rejects(lemmaFetch.renew(), /closed/);
    assert.deepEqual(asked, []);
  });

  it('is not possible without a control plane', async () => {
    const { credential } = await agent();
    await assert.rejects(createLemmaFetch({ credential, key }).renew(), /^LemmaClientError: renew: /);
  });
});
