import assert from 'node:assert/strict';
import { attacks } from '../attacks/cases.ts';
import { plays } from '../attacks/plays.ts';
import { PLAYERS } from '../attacks/transports.ts';
import { bearing, chain, header, keys, link, proving, request, type WireRequest } from '../support/kit.ts';
import { type Running, running, vectors } from '../support/running.ts';
import { folders, inStore, publish, told, withRun, writing } from './support.ts';

/** Some of everything: allowed, denied by each stage, with and without PoP, body, query. */
function mixed(): WireRequest[] {
  const run = withRun(1);
  return [
    ...attacks()
      .filter((_, index) => index % 5 === 0)
      .map((one) => one.request),
    ...vectors.cases.filter(({ level }) => level === 'full').map((one) => one.request),
    writing(run, keys.run),
    writing(run, keys.run),
    request({ path: '/healthz' }),
  ];
}

describe('explain, of decisions through the real gRPC port', () => {
  const temporary = folders();
  let folder: string;
  let service: Running;

  const start = async () => {
    folder = temporary.make();
    service = await running({ folder });
  };
  const stop = async () => {
    await service.stop();
    temporary.remove();
  };
  before(start);
  after(stop);

  async function restart(config: Record<string, unknown> = {}): Promise<void> {
    await service.stop();
    service = await running({ folder, config });
  }

  /** Ids of those that do not come out as they were recorded. */
  async function unequal(ids: readonly string[]): Promise<string[]> {
    const found: string[] = [];
    for (const id of ids) {
      const { evaluated_again, failed } = await service.explain(id);
      if (!(evaluated_again === null ? failed !== null : evaluated_again.equal)) found.push(id);
    }
    return found;
  }

  it('gives every decision of a mixed run as it was, after a restart too', async () => {
    const ids: string[] = [];
    for (const one of mixed()) ids.push((await service.grpc(one)).decisionId);
    await restart();
    assert.deepEqual(await unequal(ids), []);
  });

  describe('after another bundle was activated', () => {
    const ask = (what: string) => bearing(chain(), { path: `/v1/documents/42?tell=${what}` });
    let first: string;
    let earlier: string;
    let bundles: Awaited<ReturnType<typeof publish>>;

    before(async () => {
      await stop();
      await start();
      first = (await service.grpc(ask('x_own'))).decisionId;
      bundles = await publish(temporary.make(), told, { serial: 3 });
      await service.reload({ bundles });
      earlier = (await service.grpc(ask('x_own'))).decisionId;
      await publish(bundles.source, told, { serial: 4 });
      await service.reload({ bundles });
    });

    it('decides with the new one', async () => {
      const { decisionId } = await service.grpc(ask('x_own'));
      assert.equal((await service.explain(decisionId)).bundle?.revision, 'low-4');
    });

    it('evaluates an old decision with its own revision, and equal', async () => {
      const { bundle, evaluated_again } = await service.explain(earlier);
      assert.deepEqual([bundle?.revision, evaluated_again?.equal], ['low-3', true]);
    });

    it('keeps the verdict of a policy that would say otherwise now', async () => {
      const { verdict, evaluated_again } = await service.explain(first);
      assert.deepEqual([verdict, evaluated_again?.equal], ['allow', true]);
    });

    it('says what the policy that is active now would say', async () => {
      const { verdict, policy_today: today } = await service.explain(first);
      assert.deepEqual(
        [verdict, today?.bundle?.revision, today?.result?.reason, today?.equal, today?.error],
        ['allow', 'low-4', 'x_own', false, null],
      );
    });

    it('shows the Rego of then', async () => {
      const { bundle } = await service.explain(earlier);
      assert.match(bundle?.rego?.['lemma/low/told.rego'] ?? '', /told == "loop"/);
    });

    it('gives a policy that did not end as one that does not end again', async () => {
      const { decisionId } = await service.grpc(ask('loop'));
      const { reason, evaluated_again } = await service.explain(decisionId);
      assert.deepEqual([reason, evaluated_again?.equal], ['policy_timeout', true]);
    });

    it('does all that after a restart as well', async () => {
      await restart({ bundles });
      assert.deepEqual(await unequal([first, earlier]), []);
    });
  });

  describe('of a hard stop', () => {
    it('says which check it was, with its facts', async () => {
      const { decisionId } = await service.grpc(bearing(chain({ runtime: { expires_at: 1_790_000_000 } })));
      const { failed } = await service.explain(decisionId);
      assert.deepEqual([failed?.check, failed?.facts.type], ['proof_expired', 'runtime']);
    });

    it('says that the policy was not asked', async () => {
      const { decisionId } = await service.grpc(request());
      const { evaluated_again, rules } = await service.explain(decisionId);
      assert.deepEqual([evaluated_again, rules], [null, []]);
    });

    for (const [type, code] of [
      ['runtime', 'scope_escalation'],
      ['delegation', 'chain_subject_mismatch'],
    ] as const) {
      it(`marks the ${type} that failed in the chain`, async () => {
        const one = attacks().find(({ expect }) => expect === code);
        const { decisionId } = await service.grpc(one?.request ?? request());
        const links = (await service.explain(decisionId)).chain;
        assert.deepEqual(
          links.filter(({ failed }) => failed).map((failed) => failed.type),
          [type],
        );
      });
    }

    it('marks no link where the chain is not at fault', async () => {
      const { decisionId } = await service.grpc(proving(chain(), keys.operator));
      assert.deepEqual(
        (await service.explain(decisionId)).chain.map(({ failed }) => failed),
        [false, false, false],
      );
    });
  });

  describe('marks the link that a revocation names:', () => {
    let own: Running;
    before(async () => {
      const [one] = vectors.runtimes as readonly object[];
      own = await running({ config: { runtimes: PLAYERS.map((runtime_id) => ({ ...one, runtime_id })) } });
    });
    after(() => own.stop());

    for (const [name, marked] of [
      ['a link that was revoked', [false, true, false]],
      // Of who holds the last link: nothing that he signed came along.
      ["a holder's key that was revoked", [false, false, true]],
    ] as const) {
      it(name, async () => {
        const play = plays().find((one) => one.name === name);
        assert.ok(play?.verb !== undefined);
        await own.control(play.verb.path, play.verb.body);
        const { decisionId } = await own.grpc(play.last);
        const { chain: links, reason } = await own.explain(decisionId);
        assert.deepEqual([reason, links.map(({ failed }) => failed)], ['revoked', marked]);
      });
    }
  });

  it('names the rules that denied, where they stand', async () => {
    const empty = bearing(chain(), { method: 'PUT', headers: [['content-length', '0']] });
    const { decisionId } = await service.grpc(empty);
    const { rules } = await service.explain(decisionId);
    assert.deepEqual(
      rules.map(({ code, file }) => [code, file]),
      [['pop_required', 'lemma/high/decision.rego']],
    );
  });

  it('is not found for an id that nobody has', async () => {
    const { status } = await service.control(`/api/wallet/runtimes/decisions/dec_${'A'.repeat(22)}/explain`);
    assert.equal(status, 404);
  });

  describe('shows no secret', () => {
    const SECRETS = {
      authorization: 'Bearer sekret-authorization',
      cookie: 'session=sekret-cookie',
      body: '{"card":"sekret-body"}',
    };

    async function explained(one: WireRequest): Promise<string> {
      return JSON.stringify(await service.explain((await service.grpc(one)).decisionId));
    }

    const planted = (): WireRequest =>
      writing(chain(), keys.runtime, {
        text: SECRETS.body,
        headers: [
          ['authorization', SECRETS.authorization],
          ['cookie', SECRETS.cookie],
          ['x-api-key', 'sekret-api-key'],
        ],
      });
    const legacy = () => request({ headers: [['authorization', 'Bearer lm_at_sekret-token']] });

    it('that a request carried in its headers or its body', async () => {
      assert.doesNotMatch(await explained(planted()), /sekret/);
    });

    it('that a denied request carried', async () => {
      assert.doesNotMatch(await explained({ ...planted(), method: 'POST' }), /sekret/);
    });

    it('that is a token', async () => {
      assert.doesNotMatch(await explained(legacy()), /sekret/);
    });

    it('that is a credential, or a signature of one of its links', async () => {
      const links = chain();
      const text = await explained(bearing(links));
      const secrets = [header(links), ...links.map(({ signature }) => signature)];
      assert.deepEqual(
        secrets.filter((secret) => text.includes(secret)),
        [],
      );
    });

    it('that is a PoP', async () => {
      const one = proving(chain(), keys.runtime);
      const pop = new Map(one.headers).get('x-lemma-pop') ?? '';
      const signature = /signature=:([^:]+):/.exec(pop)?.[1] ?? 'none';
      const text = await explained(one);
      assert.deepEqual([text.includes(pop), text.includes(signature)], [false, false]);
    });
  });

  describe("shows nothing of another tenant's", () => {
    const OTHER = { org: 'rival', env: 'prod' };

    /** A route and a trusted root of another organisation, served by the same deployment. */
    function shared(): Record<string, unknown> {
      const [first] = vectors.routes as object[];
      const [trusted] = vectors.trust as object[];
      return {
        org: 'acme',
        env: 'prod',
        trust: [trusted, { ...trusted, ...OTHER }],
        routes: [
          ...(vectors.routes as object[]),
          { ...first, ...OTHER, id: 'rival.read', host: 'rival.example' },
        ],
      };
    }

    const rivals = () => chain({ root: { claims: OTHER } });

    before(async () => {
      await stop();
      folder = temporary.make();
      service = await running({ folder, config: shared() });
    });

    it('decision', async () => {
      const { decisionId } = await service.grpc(bearing(rivals(), { host: 'rival.example' }));
      const { status } = await service.control(`/api/wallet/runtimes/decisions/${decisionId}/explain`);
      assert.equal(status, 404);
    });

    it('record in an export', async () => {
      await service.grpc(bearing(rivals(), { host: 'rival.example' }));
      await service.grpc(bearing(chain()));
      const { lines } = await service.records();
      assert.deepEqual(
        lines.filter((line) => line.includes('rival')),
        [],
      );
    });

    it('events', async () => {
      await service.stop();
      await inStore(folder, (store) =>
        store.appendEvent({
          ...OTHER,
          type: 'kill',
          payload: { runtime_id: 'bot-1', reason: 'sekret of the rival' },
          time: 1_790_000_000_000,
        }),
      );
      service = await running({ folder, config: shared() });
      const { decisionId } = await service.grpc(bearing(chain()));
      assert.doesNotMatch(JSON.stringify(await service.explain(decisionId)), /sekret/);
    });
  });

  it('of a run names the run', async () => {
    const [root, delegation, runtime] = chain() as [
      ReturnType<typeof link>,
      ReturnType<typeof link>,
      ReturnType<typeof link>,
    ];
    const run = link('run', runtime, keys.runtime, keys.run, { claims: { run_id: 'job-9' } });
    const { decisionId } = await service.grpc(writing([root, delegation, runtime, run], keys.run));
    assert.equal((await service.explain(decisionId)).record.actor?.run_id, 'job-9');
  });

  it('shows the kill beside it, with its number', async () => {
    await service.grpc(bearing(chain()));
    const { body } = await service.control('/api/wallet/runtimes/bot-1/kill', {});
    const { decisionId } = await service.grpc(bearing(chain()));
    const kills = (await service.explain(decisionId)).events.filter(({ type }) => type === 'kill');
    assert.deepEqual(
      kills.map(({ epoch, seq }) => [epoch, seq]),
      [[body.epoch, body.seq]],
    );
  });
});
