import assert from 'node:assert/strict';
import { REASONS } from '../../src/reason.ts';
import type { WireRequest } from '../support/kit.ts';
import { type Running, running, vectors } from '../support/running.ts';

const cases = vectors.cases.filter(({ level }) => level === 'full');

/** A recorded request as `authorize` takes it. */
function described({ method, scheme, host, path, headers, body }: WireRequest): object {
  const lines: Record<string, string[]> = {};
  for (const [name, value] of headers) lines[name] = [...(lines[name] ?? []), value];
  const seen = body === undefined || body === null ? null : Buffer.from(body, 'base64url').toString('base64');
  return {
    method,
    scheme,
    host,
    target: path,
    headers: lines,
    ...(seen === null ? {} : { body_base64: seen }),
  };
}

const PATH = '/api/wallet/runtimes/bot-1/authorize';

for (const listener of ['decision', 'control'] as const) {
  describe(`authorize, on the ${listener} listener`, () => {
    let service: Running;
    let grpc: Running;
    before(async () => {
      [service, grpc] = [await running(), await running()];
    });
    after(async () => {
      await service.stop();
      await grpc.stop();
    });

    for (const one of cases) {
      it(`${one.name}: as over gRPC, ${one.expect}`, async () => {
        const { verdict, http } = await grpc.grpc(one.request);
        const { status, body } = await service[listener](PATH, described(one.request));
        assert.deepEqual([body.success === true ? 'allow' : body.error, status], [verdict, http]);
      });
    }

    it('leaves a record of its own border', async () => {
      const { body } = await service[listener](PATH, described(cases[0]?.request as WireRequest));
      const { records } = await service.records();
      const record = records.find(({ decision_id }) => decision_id === body.decision_id);
      assert.equal(record?.border, 'authorize');
    });

    it('explains equal', async () => {
      const { body } = await service[listener](PATH, described(cases[0]?.request as WireRequest));
      const { evaluated_again } = await service.explain(String(body.decision_id));
      assert.equal(evaluated_again?.equal, true);
    });

    it('decides for no other runtime than the one that the proof binds', async () => {
      await service.control('/api/wallet/runtimes/bootstrap', {
        runtime_id: 'bot-2',
        agent_id: 'bot',
        workspace_id: 'prod',
      });
      const path = PATH.replace('bot-1', 'bot-2');
      const { body } = await service[listener](path, described(cases[0]?.request as WireRequest));
      assert.equal(body.error, 'runtime_unknown');
    });
  });
}

describe("the operator's key", () => {
  let service: Running;
  before(async () => {
    service = await running();
  });
  after(() => service.stop());

  async function post(listener: 'decision' | 'control', authorization?: string): Promise<number> {
    const answer = await fetch(`http://${service.app.addresses[listener]}${PATH}`, {
      method: 'POST',
      headers: {
        'content-type': 'application/json',
        ...(authorization === undefined ? {} : { authorization }),
      },
      body: JSON.stringify(described(cases[0]?.request as WireRequest)),
    });
    await answer.arrayBuffer();
    return answer.status;
  }

  it('is not asked for by authorize on the decision listener', async () => {
    assert.equal(await post('decision'), REASONS.allowed.http);
  });

  for (const [name, authorization] of [
    ['none', undefined],
    ["another's", `Bearer lm_op_${'A'.repeat(43)}`],
    ['an empty one', 'Bearer '],
  ] as const) {
    it(`is asked for by authorize on the control listener: ${name} is 401`, async () => {
      assert.equal(await post('control', authorization), 401);
    });
  }

  it('opens authorize on the control listener', async () => {
    assert.equal(await post('control', `Bearer ${service.operatorKey}`), REASONS.allowed.http);
  });

  for (const path of ['/kill', '/revoke']) {
    it(`has no verb to open on the decision listener: ${path} is 404`, async () => {
      const { status } = await service.decision(`/api/wallet/runtimes/bot-1${path}`, {});
      assert.equal(status, 404);
    });
  }
});
