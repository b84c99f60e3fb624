import assert from 'node:assert/strict';
import { createImpactJobs, type ImpactJobs } from '../../../src/pdp/impact/jobs.ts';
import { compileEngine } from '../../../src/policy/engine.ts';
import { memoryArchive } from '../../../src/policy/registry.ts';
import type { PolicyInput } from '../../../src/schema/input.ts';
import type { NewDocument } from '../../../src/store/model.ts';
import { allowedInput } from '../../policy/support.ts';
import { eventually } from '../../support/waiting.ts';
import { told } from '../support.ts';
import { recordedLine } from './recorded.ts';

const TENANT = { org: 'acme', env: 'prod' };
const LAST = { since: null, until: null, last: 100_000 };

/** A log without an end: each page has one decision, and there is always another. */
describe('an impact that takes long', () => {
  let line: string;
  let jobs: ImpactJobs;

  before(async () => {
    const input = allowedInput('low') as unknown as PolicyInput;
    line = recordedLine(1, await compileEngine(told), {
      ...input,
      request: { ...input.request, query: { tell: ['x_own'] } },
    });
  });
  afterEach(() => jobs.close());

  async function begun(atMostMs?: number): Promise<void> {
    let kept: NewDocument | null = null;
    const archive = memoryArchive();
    await archive.put(told);
    jobs = createImpactJobs({
      store: {
        queryRecords: async () => ({ lines: [line], next_cursor: '1' }),
        getDocument: async () => kept,
        async putDocument(document) {
          kept = document;
          return 1;
        },
      },
      archive,
      clock: Date.now,
      onError: (error) => {
        throw error;
      },
      ...(atMostMs === undefined ? {} : { atMostMs }),
    });
    assert.equal(typeof (await jobs.start(told.sha256, TENANT, LAST, 'ann')), 'object');
  }
  const found = () => jobs.find(told.sha256, TENANT);

  it('is cancelled by whom it is for, and only by him', async () => {
    await begun();
    await eventually(async () => ((await found())?.records ?? 0) > 0);
    assert.equal(await jobs.cancel(told.sha256, { org: 'acme', env: 'test' }), null);
    assert.equal((await jobs.cancel(told.sha256, TENANT))?.state, 'cancelled');
  });

  it('ends by itself when its time is over', async () => {
    await begun(500);
    await eventually(async () => (await found())?.state !== 'running');
    const job = await found();
    assert.equal(job?.state, 'failed');
    assert.match(job?.error ?? '', /more than 0\.5 s/);
  });
});
