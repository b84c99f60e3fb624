import assert from 'node:assert/strict';
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { Client, credentials } from '@grpc/grpc-js';
import { decide } from '../../src/pdp/decide.ts';
import { REASONS, type ReasonCode } from '../../src/reason.ts';
import type { CheckResponseMessage } from '../../src/schema/check.ts';
import { startGrpc } from '../../src/server/grpc.ts';
import { checkMethod, loadProtos } from '../../src/server/proto.ts';
import type { EventType, StoreEvent } from '../../src/store/model.ts';
import { attacks } from '../attacks/cases.ts';
import { fixture } from '../policy/support.ts';
import { bearing, chain, keyNamed, keys, NOW, proving, type WireRequest } from '../support/kit.ts';
import {
  connect,
  type Running,
  type RunningOptions,
  running,
  toCheckRequest,
  type Verdict,
  vectors,
  verdictOf,
} from '../support/running.ts';
import {
  type ComposedOptions,
  composed,
  databaseOf,
  folders,
  inStore,
  PUBLISHER_JWK,
  publish,
  registration,
  tokened,
  tokenFor,
  told,
  untilFull,
  withRun,
  writing,
} from './support.ts';

/** Codes that nothing in the service gives yet, and the part that will. */
const LATER: Partial<Record<ReasonCode, string>> = {
  freshness_stale: 'leases: with the store in this process, the state has no age',
};

describe('reason codes, through the real gRPC port', () => {
  const produced = new Set<string>();
  const temporary = folders();
  const ends: (() => Promise<void>)[] = [];
  const policies = folders();
  const policyFolder = policies.make();
  let shared: Running;
  /** With a policy for low routes that does what it is told, its serial 5. */
  let policed: Running;

  before(async () => {
    shared = await running();
    policed = await running({ config: { bundles: await publish(policyFolder, told, { serial: 5 }) } });
  });
  after(async () => {
    await shared.stop();
    await policed.stop();
    policies.remove();
  });
  afterEach(async () => {
    for (const end of ends.splice(0).reverse()) await end();
    temporary.remove();
  });

  /** A service of the test's own, stopped after it. */
  async function service(options: RunningOptions = {}): Promise<Running> {
    const one = await running({ folder: temporary.make(), ...options });
    ends.push(() => one.stop());
    return one;
  }

  /** A folder where a service ran, and left these events. */
  async function left(...events: Pick<StoreEvent, 'type' | 'payload'>[]): Promise<string> {
    const folder = temporary.make();
    await (await running({ folder })).stop();
    await inStore(folder, async (store) => {
      for (const event of events)
        await store.appendEvent({
          org: 'acme',
          env: 'prod',
          time: NOW * 1000,
          ...event,
        } as StoreEvent & { type: EventType });
    });
    return folder;
  }

  /** The gRPC port over parts of a service that is not whole. */
  async function port(options: ComposedOptions) {
    const { pdp, close } = await composed(temporary.make(), options);
    ends.push(close);
    const log = { info: () => undefined, error: () => undefined };
    const server = await startGrpc({
      address: '127.0.0.1:0',
      decide: (asked) => decide(asked, pdp),
      ready: () => true,
      log,
    });
    ends.push(() => server.drain());
    const client = connect(server.address);
    ends.push(async () => client.close());
    return async (one: WireRequest) => verdictOf(await client.check(toCheckRequest(one)));
  }

  function produces(code: ReasonCode, how: string, ask: () => Promise<Verdict>): void {
    produced.add(code);
    it(`${code}: ${how}`, async () => {
      const { verdict, http, grpc } = await ask();
      const wanted = code === 'allowed' ? 'allow' : code;
      assert.deepEqual({ verdict, http, grpc }, { verdict: wanted, ...REASONS[code] });
    });
  }

  const constructed = new Map<ReasonCode, { name: string; request: WireRequest }>();
  for (const one of [...attacks(), ...vectors.cases]) {
    const code = (one.expect === 'allow' ? 'allowed' : one.expect) as ReasonCode;
    if (code !== 'replay_detected' && !constructed.has(code)) constructed.set(code, one);
  }
  for (const [code, one] of constructed) produces(code, one.name, () => shared.grpc(one.request));

  const links = () => chain();

  produces('runtime_killed', 'a kill by the control API', async () => {
    const { control, grpc } = await service();
    await control('/api/wallet/runtimes/bot-1/kill', {});
    return grpc(bearing(links()));
  });

  produces('runtime_inactive', 'contained before the start', async () => {
    const folder = await left({ type: 'status', payload: { runtime_id: 'bot-1', status: 'inactive' } });
    return (await service({ folder })).grpc(bearing(links()));
  });
  produces('runtime_inactive', 'withdrawn from the file', async () => {
    const { reload, grpc } = await service();
    await reload({ runtimes: [] });
    return grpc(bearing(links()));
  });

  produces('revoked', "a link's id", async () => {
    const { control, grpc } = await service();
    const one = links();
    await control('/api/wallet/runtimes/bot-1/revoke', { lemma_id: one[1]?.id });
    return grpc(bearing(one));
  });
  produces('revoked', "the holder's key", async () => {
    const { control, grpc } = await service();
    const holder = keyNamed('holder');
    await control('/api/wallet/runtimes/bot-1/revoke', { key: holder.id });
    return grpc(bearing(chain({}, { runtime: holder })));
  });
  produces('revoked', 'the issuer', async () => {
    const { control, grpc } = await service();
    await control('/api/wallet/runtimes/bot-1/revoke', { key: keys.issuer.id });
    return grpc(bearing(links()));
  });

  produces('replay_detected', 'one PoP twice', async () => {
    const once = proving(links(), keys.runtime);
    await shared.grpc(once);
    return shared.grpc(once);
  });

  produces('replay_check_unavailable', 'the database is gone, the keys are not', async () => {
    const folder = await left();
    for (const end of ['', '-wal', '-shm']) rmSync(`${databaseOf(folder)}${end}`, { force: true });
    return (await service({ folder })).grpc(proving(links(), keys.runtime));
  });

  produces('taint_stale', 'a proof of the epoch before the taint', async () => {
    const folder = await left({ type: 'taint', payload: { runtime_id: 'bot-1', taint_epoch: 1 } });
    return (await service({ folder })).grpc(writing(links()));
  });

  produces('budget_exhausted', 'one more than the budget', async () => {
    const run = withRun(1);
    await shared.grpc(writing(run, keys.run));
    return shared.grpc(writing(run, keys.run));
  });

  produces('legacy_disabled', 'a token where no data lists the route', () =>
    shared.grpc(tokened(tokenFor(links()))),
  );

  produces('token_expired', 'a token that has ended', () =>
    shared.grpc(tokened(tokenFor(links(), { expires_at: NOW }))),
  );

  produces('clock_untrusted', 'a clock set back by 31 s', async () => {
    let now = NOW;
    const { grpc } = await service({ clock: () => now });
    await grpc(bearing(links()));
    now -= 31;
    return grpc(bearing(links()));
  });

  produces('audit_unavailable', 'no room for the record', async () => {
    const one = await service({ config: { log: { max_bytes: 1 } } });
    return untilFull(one);
  });

  const tell = (what: string) => bearing(links(), { path: `/v1/documents/42?tell=${what}` });

  const telling = (what: string) => policed.grpc(tell(what));

  produces('policy_denied', 'the policy says so', () => telling('policy_denied'));
  produces('policy_error', 'the policy says nothing', () => telling('nothing'));
  produces('policy_timeout', 'the policy does not end', () => telling('loop'));

  it("x_own: a code of the policy's author", async () => {
    const { verdict, http, grpc } = await telling('x_own');
    assert.deepEqual({ verdict, http, grpc }, { verdict: 'x_own', http: 403, grpc: 7 });
  });

  produces('overloaded', 'more at once than can be under way, and wait', async () => {
    const { grpc } = await service({ config: { limits: { concurrency: 1, queue: 0, queue_ms: 1 } } });
    const answers = await Promise.all(Array.from({ length: 500 }, () => grpc(writing(links()))));
    return answers.find(({ verdict }) => verdict !== 'allow') ?? (await grpc(bearing(links())));
  });

  produces('rate_limited', 'one source, twice at once', async () => {
    const { app } = await service({ config: { limits: { per_source: { rate: 1, burst: 1 } } } });
    const client = connect(app.addresses.grpc[0] ?? '');
    ends.push(async () => client.close());
    const { attributes } = toCheckRequest(bearing(links()));
    const source = { address: { socket_address: { address: '192.0.2.1' } } };
    const ask = () => client.check({ attributes: { ...attributes, source } });
    await ask();
    return verdictOf(await ask());
  });

  produces('policy_unavailable', 'no policy is loaded', async () =>
    (await port({ withoutPolicies: true }))(bearing(links())),
  );

  produces('state_not_ready', 'the state is not loaded yet', async () =>
    (await port({ unloaded: true }))(bearing(links())),
  );

  produces('internal_error', 'bytes that are no CheckRequest', async () => {
    const method = checkMethod(loadProtos());
    const client = new Client(shared.app.addresses.grpc[0] ?? '', credentials.createInsecure());
    ends.push(async () => client.close());
    const answer = await new Promise<CheckResponseMessage>((resolve, reject) => {
      client.makeUnaryRequest(
        method.path,
        (bytes: Buffer) => bytes,
        (bytes: Buffer) => method.responseDeserialize(bytes) as CheckResponseMessage,
        Buffer.from('ffffffffff', 'hex'),
        (error, value) =>
          error === null && value !== undefined ? resolve(value) : reject(error ?? new Error('no answer')),
      );
    });
    return verdictOf(answer);
  });

  describe('of bundles, which an activation gives and no request', () => {
    for (const code of ['bundle_rejected', 'bundle_rollback'] as const) produced.add(code);

    /** What refuses: a bundle of a stranger's hand, or an older one. */
    const refused = {
      bundle_rejected: { serial: 7, by: keyNamed('stranger').seed },
      bundle_rollback: { serial: 4 },
    };

    const refusal = (code: ReasonCode) => new RegExp(`bundles\\.source: ${code}: `);

    /** Takes the folder into use as it is then. */
    const reload = (more: object = {}) =>
      policed.reload({ bundles: { source: policyFolder, keys: [PUBLISHER_JWK] }, ...more });

    for (const code of ['bundle_rejected', 'bundle_rollback'] as const) {
      it(`${code}: a reload is refused`, async () => {
        await publish(policyFolder, told, refused[code]);
        await assert.rejects(reload(), refusal(code));
      });

      it(`${code}: what ran before the reload goes on`, async () => {
        await publish(policyFolder, told, refused[code]);
        await reload().catch(() => undefined);
        const { decisionId } = await policed.grpc(tell('x_own'));
        assert.equal((await policed.explain(decisionId)).bundle?.revision, 'low-5');
      });

      it(`${code}: a start is refused`, async () => {
        const [home, folder] = [temporary.make(), temporary.make()];
        const bundles = await publish(folder, told, { serial: 5 });
        await (await running({ folder: home, config: { bundles } })).stop();
        await publish(folder, told, refused[code]);
        await assert.rejects(running({ folder: home, config: { bundles } }), refusal(code));
      });
    }

    it('bundle_rejected: a stripped signature', async () => {
      await publish(policyFolder, told, { serial: 6 });
      rmSync(join(policyFolder, 'low', '.lemma-signature.json'));
      await assert.rejects(reload(), refusal('bundle_rejected'));
    });

    it('bundle_rejected: a policy that calls what WebAssembly does not run', async () => {
      await publish(policyFolder, fixture('host'), { serial: 6 });
      await assert.rejects(reload(), refusal('bundle_rejected'));
    });

    it('bundle_rollback: a refused reload leaves the runtimes of the file too', async () => {
      await publish(policyFolder, told, refused.bundle_rollback);
      await reload({ runtimes: [registration('bot-9')] }).catch(() => undefined);
      assert.equal((await policed.grpc(tell('allow'))).verdict, 'allow');
    });
  });

  it('are each produced here, or belong to a part that is still to come', () => {
    const all = Object.keys(REASONS);
    assert.deepEqual(
      {
        nowhere: all.filter((code) => !produced.has(code) && !Object.hasOwn(LATER, code)),
        both: Object.keys(LATER).filter((code) => produced.has(code)),
        unknown: [...produced, ...Object.keys(LATER)].filter((code) => !all.includes(code)),
      },
      { nowhere: [], both: [], unknown: [] },
    );
  });
});
