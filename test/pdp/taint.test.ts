import assert from 'node:assert/strict';
import { bearing, chain, keys, proving } from '../support/kit.ts';
import { type Running, running, vectors } from '../support/running.ts';

const tainting = (vectors.routes as { id: string }[]).map((route) =>
  route.id === 'documents.read' ? { ...route, taint_on_response: true } : route,
);
const read = () => bearing(chain());
const write = (epoch: number) =>
  proving(chain({ runtime: { claims: { taint_epoch: epoch } } }), keys.runtime, {
    method: 'PUT',
    text: '{}',
  });

describe('a route whose answers taint, behind a gateway that shows no answers', () => {
  let service: Running;
  beforeEach(async () => {
    service = await running({ config: { routes: tainting } });
  });
  afterEach(() => service.stop());

  it('has raised the epoch when its allow is answered', async () => {
    assert.equal((await service.grpc(write(0))).verdict, 'allow');
    assert.equal((await service.grpc(read())).verdict, 'allow');
    assert.equal((await service.grpc(write(0))).verdict, 'taint_stale');
    assert.equal((await service.grpc(write(1))).verdict, 'allow');
  });

  it('raises it on both borders', async () => {
    await service.grpc(read());
    await service.rest(read());
    assert.equal((await service.grpc(write(2))).verdict, 'allow');
  });

  it('taints nobody with a denial', async () => {
    await service.grpc(bearing(chain({ runtime: { scope: [] } })));
    assert.equal((await service.grpc(write(0))).verdict, 'allow');
  });
});
