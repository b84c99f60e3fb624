import assert from 'node:assert/strict';
import { mock } from 'node:test';
import { createShedding, type Shedding } from '../../src/pdp/shed.ts';
import { toRequest } from '../../src/request/envoy.ts';
import type { RecordBody } from '../../src/schema/decision.ts';
import { bearing, chain } from '../support/kit.ts';
import { toCheckRequest } from '../support/running.ts';
import { type Composed, composed, folders } from './support.ts';

describe('shedding', () => {
  const temporary = folders();
  const request = toRequest(toCheckRequest(bearing(chain())));
  let world: Composed;
  let shedding: Shedding;
  /** What the log was given. */
  let written: { readonly record: RecordBody; readonly durable: boolean | undefined }[];

  before(async () => {
    world = await composed(temporary.make());
  });
  after(async () => {
    await world.close();
    temporary.remove();
  });
  beforeEach(() => {
    mock.timers.enable({ apis: ['setTimeout'] });
    written = [];
    const append: Composed['log']['append'] = (record, options) => {
      written.push({ record, durable: options.durable });
      return world.log.append(record, options);
    };
    shedding = createShedding({ ...world.pdp, log: { ...world.log, append } });
  });
  afterEach(() => {
    shedding.close();
    mock.timers.reset();
  });

  const counted = () => written.map(({ record }) => [record.reason, record.requests]);
  const idOf = (...about: Parameters<Shedding['deny']>) => shedding.deny(...about).decision_id;
  /** As many sources as have a record of their own. */
  const crowd = () => Array.from({ length: 100 }, (_, i) => idOf('rate_limited', 'grpc', `${i}`));

  it('denies with the code it is given', () => {
    const { verdict, reason } = shedding.deny('overloaded', 'grpc');
    assert.deepEqual([verdict, reason], ['deny', 'overloaded']);
  });

  it('counts its denials by code', () => {
    shedding.deny('overloaded', 'grpc');
    shedding.deny('overloaded', 'rest');
    shedding.deny('rate_limited', request, '192.0.2.1');
    assert.deepEqual(shedding.stats(), { overloaded: 2, rate_limited: 1 });
  });

  it('counts nothing before it denied', () => {
    assert.deepEqual(shedding.stats(), { overloaded: 0, rate_limited: 0 });
  });

  it('writes one record of a second, with their number', () => {
    for (let i = 0; i < 3; i++) shedding.deny('overloaded', 'grpc');
    mock.timers.tick(1000);
    assert.deepEqual(counted(), [['overloaded', 3]]);
  });

  it('writes none before the second is over', () => {
    shedding.deny('overloaded', 'grpc');
    mock.timers.tick(999);
    assert.deepEqual(counted(), []);
  });

  it('writes what is open when it is closed', () => {
    shedding.deny('overloaded', 'grpc');
    shedding.close();
    assert.deepEqual(counted(), [['overloaded', 1]]);
  });

  it('begins another record after a second', () => {
    const first = idOf('overloaded', 'grpc');
    mock.timers.tick(1000);
    assert.notEqual(idOf('overloaded', 'grpc'), first);
  });

  it('writes each record once', () => {
    shedding.deny('overloaded', 'grpc');
    mock.timers.tick(1000);
    shedding.deny('rate_limited', 'grpc');
    mock.timers.tick(1000);
    assert.deepEqual(counted(), [
      ['overloaded', 1],
      ['rate_limited', 1],
    ]);
  });

  it('waits for no disk', () => {
    shedding.deny('overloaded', 'grpc');
    shedding.close();
    assert.deepEqual(
      written.map(({ durable }) => durable),
      [false],
    );
  });

  it('gives one decision to all of a border and code', () => {
    assert.equal(idOf('overloaded', 'grpc'), idOf('overloaded', 'grpc'));
  });

  it('gives each code a decision of its own', () => {
    assert.notEqual(idOf('overloaded', 'grpc'), idOf('rate_limited', 'grpc'));
  });

  it('gives each border a decision of its own', () => {
    assert.notEqual(idOf('overloaded', 'grpc'), idOf('overloaded', 'rest'));
  });

  it('gives each source a decision of its own', () => {
    assert.equal(new Set(crowd()).size, 100);
  });

  it('takes the border of a request that was read', () => {
    assert.equal(idOf('overloaded', request), idOf('overloaded', request.border));
  });

  it('names the source in its record', () => {
    shedding.deny('rate_limited', 'grpc', '192.0.2.1');
    shedding.close();
    assert.deepEqual(written[0]?.record.failed?.facts, { source: '192.0.2.1' });
  });

  it('names no source where all are concerned', () => {
    shedding.deny('overloaded', 'grpc');
    shedding.close();
    assert.deepEqual(written[0]?.record.failed?.facts, {});
  });

  it('puts sources beyond a hundred into one record', () => {
    crowd();
    assert.equal(idOf('rate_limited', 'grpc', 'a'), idOf('rate_limited', 'grpc', 'b'));
  });

  it('names none of those beyond a hundred', () => {
    crowd();
    shedding.deny('rate_limited', 'grpc', 'one more');
    shedding.close();
    assert.deepEqual(written.at(-1)?.record.failed?.facts, {});
  });

  it('leaves one of the hundred its record when more come', () => {
    const [first] = crowd();
    assert.equal(idOf('rate_limited', 'grpc', '0'), first);
  });

  it('records what was read of a request', () => {
    shedding.deny('rate_limited', request, '192.0.2.1');
    shedding.close();
    assert.equal(written[0]?.record.request?.method, request.method);
  });

  it('records nothing of a request that was not read', () => {
    shedding.deny('overloaded', 'rest');
    shedding.close();
    const { border, request: asked, trace_id } = written[0]?.record ?? {};
    assert.deepEqual([border, asked, trace_id], ['rest', { method: '', host: '', path: '' }, null]);
  });
});
