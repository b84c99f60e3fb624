import assert from 'node:assert/strict';
import { bearing, chain, keys } from '../support/kit.ts';
import { type Running, running, vectors } from '../support/running.ts';
import { folders, tally, times, untilFull, withRun, writing } from './support.ts';

const FULL = { log: { max_bytes: 1 } };
const ROUTES = [
  ...(vectors.routes as object[]),
  {
    ...(vectors.routes as object[])[0],
    id: 'reports.read',
    path: '/v1/reports/{id}',
    risk: 'high',
  },
];

describe('a full disk, through the real gRPC port', () => {
  const temporary = folders();
  let service: Running;

  beforeEach(async () => {
    service = await running({ folder: temporary.make(), config: { ...FULL, routes: ROUTES } });
    await untilFull(service);
  });
  afterEach(async () => {
    await service.stop();
    temporary.remove();
  });

  async function lost(): Promise<number> {
    // Readers of the log wait for what was queued before them.
    await service.records();
    const text = await (await fetch(`http://${service.app.addresses.control}/metrics`)).text();
    return Number(/^lemma_log_lost_total (\d+)$/m.exec(text)?.[1]);
  }

  const reading = () => bearing(chain());
  const makeRoom = () => service.reload({ routes: ROUTES });

  it('stops what has a PoP', async () => {
    assert.deepEqual(tally(await Promise.all(times(5, () => service.grpc(writing(chain()))))), {
      audit_unavailable: 5,
    });
  });

  it('stops what the profile wants durable, without a PoP too', async () => {
    const make = () => bearing(chain(), { path: '/v1/reports/7' });
    assert.equal((await untilFull(service, make)).verdict, 'audit_unavailable');
  });

  it('stops what counts towards a budget', async () => {
    const make = () => bearing(withRun(1000));
    assert.equal((await untilFull(service, make)).verdict, 'audit_unavailable');
  });

  it('does not stop reading of low risk', async () => {
    assert.deepEqual(tally(await Promise.all(times(50, () => service.grpc(reading())))), { allow: 50 });
  });

  it('counts what it lost of that, and shows it', async () => {
    await Promise.all(times(50, () => service.grpc(reading())));
    assert.equal((await lost()) > 0, true);
  });

  it('ends once a reload gives more room', async () => {
    await makeRoom();
    assert.equal((await service.grpc(writing(chain()))).verdict, 'allow');
  });

  it('leaves a line that says how many records were lost before it', async () => {
    await Promise.all(times(50, () => service.grpc(reading())));
    const gone = await lost();
    await makeRoom();
    await service.grpc(writing(chain()));
    const { records } = await service.records();
    assert.equal(records.at(-1)?.lost, gone);
  });

  it('takes nothing off a budget', async () => {
    const links = withRun(3);
    await Promise.all(times(5, () => service.grpc(writing(links, keys.run))));
    await makeRoom();
    const after = await Promise.all(times(5, () => service.grpc(writing(links, keys.run))));
    assert.deepEqual(tally(after), { allow: 3, budget_exhausted: 2 });
  });
});
