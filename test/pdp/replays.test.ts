import assert from 'node:assert/strict';
import { bearing, chain, keys, NOW, request, type WireRequest } from '../support/kit.ts';
import { type Running, running, vectors } from '../support/running.ts';
import { folders, PUBLISHER_JWK, publish, told, withRun, writing } from './support.ts';

type Again = { readonly now: { verdict: string; reason: string } | null; readonly why: string | null };

/** A dry run of `/api/wallet/runtimes/decisions/replay`, beside real decisions by gRPC. */
describe('a replay', () => {
  const temporary = folders();
  let service: Running;
  let now = NOW;

  beforeEach(async () => {
    now = NOW;
    service = await running({ clock: () => now });
  });
  afterEach(async () => {
    await service.stop();
    temporary.remove();
  });

  const replay = (body: object) => service.control('/api/wallet/runtimes/decisions/replay', body);
  const described = ({ method, scheme, host, path, headers, body }: WireRequest, at?: string) => ({
    ...{ method, url: `${scheme}://${host}${path}`, headers: Object.fromEntries(headers) },
    ...(body === undefined || body === null
      ? {}
      : { body_base64: Buffer.from(body, 'base64url').toString('base64') }),
    ...(at === undefined ? {} : { at }),
  });
  const asked = async (one: WireRequest, at?: string): Promise<string | null> => {
    const { body } = await replay({ requests: [described(one, at)] });
    return (body.requests as Again[])[0]?.now?.reason ?? null;
  };
  const recordOf = async (one: WireRequest) => {
    const { decisionId } = await service.grpc(one);
    return (await service.explain(decisionId)).record;
  };
  const again = async (record: object): Promise<Again> => {
    const { status, body } = await replay({ records: [record] });
    assert.equal(status, 200, JSON.stringify(body));
    return (body.records as [Again])[0];
  };
  const reasonOf = async (record: object) => (await again(record)).now?.reason ?? null;
  const verb = (name: string, body: object = {}) =>
    service.control(`/api/wallet/runtimes/bot-1/${name}`, body);

  describe('of a captured request', () => {
    it('says what a real one is told', async () => {
      const ones = [bearing(chain()), request(), bearing(chain(), { path: '/elsewhere' }), writing(chain())];
      for (const one of ones) {
        const dry = await asked(one);
        const { verdict } = await service.grpc(one);
        assert.equal(dry === 'allowed' ? 'allow' : dry, verdict);
      }
    });

    it('names the route', async () => {
      const { body } = await replay({ requests: [described(bearing(chain()))] });
      assert.equal((body.requests as { route: string }[])[0]?.route, 'documents.read');
    });

    it('spends no nonce: the real one passes after it, and it passes after the real one', async () => {
      const one = writing(chain());
      const before = await asked(one);
      const { verdict } = await service.grpc(one);
      assert.deepEqual([before, verdict, await asked(one)], ['allowed', 'allow', 'allowed']);
    });

    it('counts on no budget, and sees when it is spent', async () => {
      const links = withRun(1);
      const dry = [await asked(writing(links, keys.run)), await asked(writing(links, keys.run))];
      const { verdict } = await service.grpc(writing(links, keys.run));
      const spent = await asked(writing(links, keys.run));
      assert.deepEqual([...dry, verdict, spent], ['allowed', 'allowed', 'allow', 'budget_exhausted']);
    });

    it('leaves no record', async () => {
      await asked(bearing(chain()));
      await asked(writing(chain()));
      assert.deepEqual((await service.records()).records.length, 0);
    });

    it('is judged at the time that is said', async () => {
      const one = writing(chain());
      now += 120;
      assert.deepEqual(
        [await asked(one), await asked(one, new Date(NOW * 1000).toISOString())],
        ['pop_stale', 'allowed'],
      );
    });

    it('meets the state of now, whatever time is said', async () => {
      const one = bearing(chain());
      await verb('kill');
      assert.equal(await asked(one, new Date(NOW * 1000).toISOString()), 'runtime_killed');
    });

    it('does not taint', async () => {
      const routes = (vectors.routes as { id: string }[]).map((route) =>
        route.id === 'documents.read' ? { ...route, taint_on_response: true } : route,
      );
      await service.reload({ routes });
      assert.equal(await asked(bearing(chain())), 'allowed');
      const { body } = await service.control('/api/wallet/runtimes/bot-1');
      assert.equal((body.runtime as { taint_epoch: number }).taint_epoch, 0);
    });
  });

  describe('of a recorded decision', () => {
    it('says the same while nothing has changed, however late it is', async () => {
      const records = [await recordOf(bearing(chain())), await recordOf(writing(chain()))];
      const denied = await recordOf(bearing(chain(), { method: 'PUT' }));
      now += 86_400;
      assert.deepEqual(
        [await reasonOf(records[0] as object), await reasonOf(records[1] as object), await reasonOf(denied)],
        ['allowed', 'allowed', 'pop_required'],
      );
    });

    const stops: readonly (readonly [verb: string, reason: string])[] = [
      ['kill', 'runtime_killed'],
      ['contain', 'runtime_inactive'],
    ];
    for (const [name, reason] of stops)
      it(`sees a ${name}`, async () => {
        const record = await recordOf(bearing(chain()));
        await verb(name);
        assert.equal(await reasonOf(record), reason);
      });

    it('sees a taint', async () => {
      const record = await recordOf(writing(chain()));
      await verb('taint', { reason: 'a page said so' });
      assert.equal(await reasonOf(record), 'taint_stale');
    });

    it('sees a link, and a key that signed a PoP, taken back', async () => {
      const [links, others] = [chain(), withRun(9)];
      const records = [await recordOf(writing(links)), await recordOf(writing(others, keys.run))];
      await verb('revoke', { lemma_id: links[1]?.id });
      await verb('revoke', { key: keys.run.id });
      assert.deepEqual(
        [await reasonOf(records[0] as object), await reasonOf(records[1] as object)],
        ['revoked', 'revoked'],
      );
    });

    const routes = (change: (route: { id: string }) => object[]) =>
      (vectors.routes as { id: string }[]).flatMap((route) =>
        route.id === 'documents.read' ? change(route) : [route],
      );
    const changes: readonly (readonly [what: string, change: (route: { id: string }) => object[], string])[] =
      [
        ['is gone', () => [], 'method_not_allowed'],
        ['is of another path', (r) => [{ ...r, path: '/v2/documents/{id}' }], 'method_not_allowed'],
        ['wants another scope', (r) => [{ ...r, scope: ['other.read'] }], 'scope_denied'],
        ['is for another audience', (r) => [{ ...r, audience: 'https://b.example' }], 'audience_mismatch'],
        ['is of critical risk', (r) => [{ ...r, risk: 'critical' }], 'pop_required'],
      ];
    for (const [what, change, reason] of changes)
      it(`sees that its route ${what}`, async () => {
        const record = await recordOf(bearing(chain()));
        await service.reload({ routes: routes(change) });
        assert.equal(await reasonOf(record), reason);
      });

    it('sees another policy in force', async () => {
      const record = await recordOf(bearing(chain(), { path: '/v1/documents/42?tell=x_own' }));
      await service.reload({ bundles: await publish(temporary.make(), told, { serial: 3 }) });
      assert.equal(await reasonOf(record), 'x_own');
    });

    it('sees that its root is trusted no more', async () => {
      const record = await recordOf(bearing(chain()));
      await service.reload({ trust: [{ org: 'acme', env: 'prod', keys: [PUBLISHER_JWK] }] });
      assert.equal(await reasonOf(record), 'root_untrusted');
    });

    it('is not made of what a check stopped before its facts were written down', async () => {
      const { now: outcome, why } = await again(await recordOf(request()));
      assert.equal(outcome, null);
      assert.match(why ?? '', /^auth_required: a check decided/);
    });

    it('is not made of a record of another organisation', async () => {
      const record = await recordOf(bearing(chain()));
      assert.deepEqual(await again({ ...record, org: 'other' }), {
        now: null,
        why: 'it is of another org or env',
      });
    });

    it('leaves no record of its own', async () => {
      const record = await recordOf(bearing(chain()));
      await again(record);
      assert.equal((await service.records()).records.length, 1);
    });
  });

  it('refuses what is no record and no request, and names the field', async () => {
    const record = await recordOf(bearing(chain()));
    const wrong: readonly (readonly [object, RegExp])[] = [
      [{ records: [{ ...record, input: { ...record.input, v: 2 } }] }, /records\[0\]\.input\.v/],
      [{ records: [{}] }, /records\[0\]/],
      [{ requests: [{ method: 'GET', url: '/relative' }] }, /requests\[0\]\.url: must be absolute/],
      [{ requests: [{ method: 'GET', url: 'https://a.example/', at: 'today' }] }, /requests\[0\]\.at/],
      [
        { requests: [{ method: 'GET', url: 'https://a.example/', at: '2030-02-31T00:00:00Z' }] },
        /requests\[0\]\.at: is no time of any calendar/,
      ],
      [{ decisions: [] }, /decisions/],
    ];
    for (const [body, field] of wrong) {
      const answer = await replay(body);
      assert.equal(answer.status, 400);
      assert.match(String(answer.body.message), field);
    }
  });
});
