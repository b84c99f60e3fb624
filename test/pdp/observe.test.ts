import assert from 'node:assert/strict';
import { attacks } from '../attacks/cases.ts';
import { bearing, chain, keys, NOW, proving, request, type WireRequest } from '../support/kit.ts';
import { type Running, running, type Verdict, vectors } from '../support/running.ts';
import { folders, untilFull, withRun, writing } from './support.ts';

const OBSERVED = {
  routes: (vectors.routes as object[]).map((route) => ({ ...route, mode: 'observe' })),
};

/** Headers that Envoy is told to set, by name. */
function headersOf({ response }: Verdict): Record<string, string> {
  const options = 'ok_response' in response ? response.ok_response.headers : [];
  return Object.fromEntries(options.map(({ header }) => [header.key, header.value]));
}

describe('mode: observe, through the real gRPC port', () => {
  const temporary = folders();
  let service: Running;

  const start = async (config: Record<string, unknown> = {}) => {
    service = await running({ folder: temporary.make(), config: { ...OBSERVED, ...config } });
  };
  const stop = async () => {
    await service.stop();
    temporary.remove();
  };
  before(() => start());
  after(stop);

  async function recordOf({ decisionId }: Verdict) {
    const { records } = await service.records();
    return records.find((record) => record.decision_id === decisionId);
  }

  const withoutPop = () => bearing(chain(), { method: 'PUT' });

  it('answers allow where the policy denies', async () => {
    assert.equal((await service.grpc(withoutPop())).verdict, 'allow');
  });

  it('tells the upstream what the true verdict is', async () => {
    assert.equal(headersOf(await service.grpc(withoutPop()))['x-lemma-observed'], 'pop_required');
  });

  it('tells Envoy that it only observed', async () => {
    const { response } = await service.grpc(withoutPop());
    assert.deepEqual(response.dynamic_metadata?.fields?.observed, { boolValue: true });
  });

  it('keeps the true verdict in the record, and says observed', async () => {
    const record = await recordOf(await service.grpc(withoutPop()));
    assert.deepEqual([record?.verdict, record?.reason, record?.observed], ['deny', 'pop_required', true]);
  });

  it('explains equal', async () => {
    const { decisionId } = await service.grpc(withoutPop());
    assert.equal((await service.explain(decisionId)).evaluated_again?.equal, true);
  });

  it('answers the same over the mirror', async () => {
    const answer = await service.rest(withoutPop());
    assert.deepEqual([answer.verdict, headersOf(answer)['x-lemma-observed']], ['allow', 'pop_required']);
  });

  it('says nothing of it where the policy allows', async () => {
    const answer = await service.grpc(bearing(chain()));
    assert.deepEqual(
      [headersOf(answer)['x-lemma-observed'], (await recordOf(answer))?.observed],
      [undefined, false],
    );
  });

  it('lets no client say it', async () => {
    const spoofed = bearing(chain(), { headers: [['x-lemma-observed', 'no']] });
    const { response } = await service.grpc(spoofed);
    const removed = 'ok_response' in response ? response.ok_response.headers_to_remove : [];
    assert.equal(removed.includes('x-lemma-observed'), true);
  });

  for (const code of [
    'auth_required',
    'signature_invalid',
    'proof_expired',
    'pop_invalid',
    'scope_denied',
    'runtime_unknown',
  ]) {
    it(`observes what steps 4 to 13 find: ${code}`, async () => {
      const one = attacks().find(({ expect }) => expect === code);
      const answer = await service.grpc(one?.request ?? request());
      assert.equal(headersOf(answer)['x-lemma-observed'], code);
    });
  }

  for (const code of [
    'payload_too_large',
    'header_ambiguous',
    'credential_ambiguous',
    'path_ambiguous',
    'route_unknown',
    'method_not_allowed',
  ]) {
    it(`denies what steps 1 to 3 find: ${code}`, async () => {
      const one = attacks().find(({ expect }) => expect === code);
      assert.equal((await service.grpc(one?.request ?? request())).verdict, code);
    });
  }

  it('denies a revoked link', async () => {
    const links = chain();
    await service.control('/api/wallet/runtimes/bot-1/revoke', { lemma_id: links[2]?.id });
    assert.equal((await service.grpc(bearing(links))).verdict, 'revoked');
  });

  it('denies a revoked link where the policy would deny too', async () => {
    const links = chain();
    await service.control('/api/wallet/runtimes/bot-1/revoke', { lemma_id: links[2]?.id });
    assert.equal((await service.grpc(bearing(links, { method: 'PUT' }))).verdict, 'revoked');
  });

  it('counts no budget for what it let through', async () => {
    const links = withRun(1);
    await service.grpc(bearing(links, { method: 'PUT' }));
    const { decisionId } = await service.grpc(writing(links, keys.run));
    assert.equal((await service.explain(decisionId)).verdict, 'allow');
  });

  describe('names to the upstream nobody who did not prove it', () => {
    const unproven: readonly (readonly [string, () => WireRequest])[] = [
      ['a PoP of another key', () => proving(chain(), keys.operator)],
      ['a stolen proof without its PoP', () => proving(chain(), keys.runtime, { change: dropPop })],
      ['a proof that has expired', () => bearing(chain({ runtime: { expires_at: NOW } }))],
    ];
    for (const [name, make] of unproven) {
      it(name, async () => {
        const names = Object.keys(headersOf(await service.grpc(make())));
        assert.deepEqual(names.sort(), ['x-lemma-decision-id', 'x-lemma-observed']);
      });
    }
  });

  describe('after a kill', () => {
    before(() => service.control('/api/wallet/runtimes/bot-1/kill', {}));

    it('denies a killed runtime', async () => {
      assert.equal((await service.grpc(bearing(chain()))).verdict, 'runtime_killed');
    });

    it('denies a killed runtime whose request has another fault that is found first', async () => {
      const expired = bearing(chain({ runtime: { expires_at: NOW } }));
      assert.equal((await service.grpc(expired)).verdict, 'runtime_killed');
    });

    it('keeps the denial of a killed runtime as one that was not observed', async () => {
      const record = await recordOf(await service.grpc(withoutPop()));
      assert.deepEqual([record?.reason, record?.observed], ['runtime_killed', false]);
    });
  });

  describe('with a full disk', () => {
    before(async () => {
      await stop();
      await start({ log: { max_bytes: 1 } });
    });

    it('denies what needs a durable record', async () => {
      assert.equal((await untilFull(service)).verdict, 'audit_unavailable');
    });
  });
});

function dropPop(headers: Record<string, string>): void {
  delete headers['x-lemma-pop'];
}
