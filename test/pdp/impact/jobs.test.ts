import assert from 'node:assert/strict';
import { createImpactJobs, type ImpactJobs, type ImpactJobsOptions } from '../../../src/pdp/impact/jobs.ts';
import { compileEngine } from '../../../src/policy/engine.ts';
import { memoryArchive } from '../../../src/policy/registry.ts';
import type { PolicyInput } from '../../../src/schema/input.ts';
import { StoreConflict } from '../../../src/store/errors.ts';
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

/** A log of three decisions, in pages; it is all of the tenant's. */
describe('an impact on the log', () => {
  const NOW = 1_790_000_000_000;
  type Query = Parameters<ImpactJobsOptions['store']['queryRecords']>[0];
  let log: string[];
  let jobs: ImpactJobs;
  let asked: Query[];
  let documents: Map<string, NewDocument>;
  let failures: (readonly [unknown, string])[];
  /** What the log, and what keeping a job, fails with. */
  let gone: Error | null;
  let refuse: Error | null;

  before(async () => {
    const base = allowedInput('low') as unknown as PolicyInput;
    const engine = await compileEngine(told);
    log = ['x_own', 'allow', 'x_own'].map((tell, n) =>
      recordedLine(n, engine, { ...base, request: { ...base.request, query: { tell: [tell] } } }),
    );
  });
  beforeEach(async () => {
    [asked, documents, failures, gone, refuse] = [[], new Map(), [], null, null];
    jobs = await created();
  });
  afterEach(() => jobs.close());

  async function created(more: Partial<ImpactJobsOptions> = {}): Promise<ImpactJobs> {
    const archive = memoryArchive();
    await archive.put(told);
    return createImpactJobs({
      store: {
        async queryRecords(query) {
          if (gone !== null) throw gone;
          asked.push(query);
          const from = Number(query.cursor ?? 0);
          const lines = log.slice(from, from + Math.min(query.limit ?? 1, 2));
          const next = from + lines.length;
          return { lines, next_cursor: next < log.length ? String(next) : null };
        },
        getDocument: async (kind, id) => documents.get(`${kind} ${id}`) ?? null,
        async putDocument(document) {
          if (refuse !== null) throw refuse;
          documents.set(`${document.kind} ${document.id}`, { ...document, version: document.version + 1 });
          return document.version + 1;
        },
      },
      archive,
      clock: () => NOW,
      onError: (error, doing) => void failures.push([error, doing]),
      ...more,
    });
  }
  const start = (
    wish: Partial<typeof LAST> & { since?: number; until?: number } = {},
    sha256 = told.sha256,
  ) => jobs.start(sha256, TENANT, { ...LAST, ...wish } as typeof LAST, 'ann');
  async function ended(wish = {}) {
    await start(wish);
    await eventually(async () => (await found())?.state !== 'running');
    return found();
  }
  const found = (sha256 = told.sha256, tenant = TENANT) => jobs.find(sha256, tenant);

  it('is told as it begins, and with its report when it is done', async () => {
    const begun = {
      ...LAST,
      sha256: told.sha256,
      revision: told.revision,
      by: 'ann',
      started_at: NOW,
      error: null,
    };
    assert.deepEqual(await start(), { ...begun, state: 'running', ended_at: null, records: 0, report: null });
    await eventually(async () => (await found())?.state !== 'running');
    const { report, ...rest } = (await found()) ?? {};
    assert.deepEqual(rest, { ...begun, state: 'done', ended_at: NOW, records: 3 });
    assert.deepEqual([report?.counts.same, report?.records], [3, 3]);
  });

  it('looks at the latest of the tenant, page by page', async () => {
    await ended();
    const page = { ...TENANT, order: 'desc', limit: 500 };
    assert.deepEqual(asked, [page, { ...page, cursor: '2' }]);
  });

  it('looks at no more than is asked for', async () => {
    const job = await ended({ last: 1 });
    assert.deepEqual([job?.records, asked.map(({ limit }) => limit)], [1, [1]]);
    asked = [];
    assert.equal((await ended({ last: 3 }))?.records, 3);
    assert.deepEqual(
      asked.map(({ limit }) => limit),
      [3, 1],
    );
  });

  it('looks at the span that is asked for', async () => {
    await ended({ since: 5, until: 7 });
    assert.deepEqual([asked[0]?.since, asked[0]?.until], [5, 7]);
  });

  it('is kept for 30 days, for its tenant and its bundle', async () => {
    await ended();
    const [document] = documents.values();
    assert.deepEqual(
      [document?.kind, document?.org, document?.env, document?.expires_at],
      ['policy_impact', 'acme', 'prod', NOW + 30 * 86_400_000],
    );
    assert.equal(await found(told.sha256, { org: 'rival', env: 'prod' }), null);
    assert.equal(await found(told.sha256, { org: 'acme', env: 'test' }), null);
    assert.equal(await found('0'.repeat(64)), null);
  });

  it('is told of by a service that did not make it', async () => {
    await ended();
    jobs = await created();
    assert.equal((await found())?.state, 'done');
  });

  it('takes the place of the one before', async () => {
    await ended();
    assert.equal((await ended({ last: 1 }))?.records, 1);
    assert.deepEqual(
      [...documents.values()].map(({ version }) => version),
      [2],
    );
  });

  it('is one at a time', async () => {
    const both = await Promise.all([start(), start()]);
    assert.equal(both[1], 'busy');
    assert.equal(await start(), 'busy');
  });

  it('can begin once another has ended, or was none', async () => {
    assert.equal(await start({}, '0'.repeat(64)), 'bundle_unknown');
    await ended();
    assert.equal(typeof (await start()), 'object');
  });

  it('is none of another tenant or bundle to cancel, nor once it has ended', async () => {
    await start();
    assert.equal(await jobs.cancel('0'.repeat(64), TENANT), null);
    assert.equal(await jobs.cancel(told.sha256, { org: 'rival', env: 'prod' }), null);
    await eventually(async () => (await found())?.state !== 'running');
    assert.equal(await jobs.cancel(told.sha256, TENANT), null);
  });

  it('says that an operator ended it, and keeps that', async () => {
    await start();
    const job = await jobs.cancel(told.sha256, TENANT);
    assert.deepEqual([job?.state, job?.error, job?.ended_at], ['cancelled', 'an operator ended it', NOW]);
    assert.deepEqual(await found(), job);
  });

  it('ends with the service, and keeps that', async () => {
    await start();
    await jobs.close();
    const job = await found();
    assert.deepEqual([job?.state, job?.error], ['cancelled', 'the service stops']);
  });

  it('fails with what its log fails with', async () => {
    gone = new RangeError('the log is gone');
    const job = await ended();
    assert.deepEqual([job?.state, job?.error, job?.report], ['failed', 'the log is gone', null]);
  });

  it('says that it could not be kept, and ends all the same', async () => {
    refuse = new RangeError('full');
    await start();
    await jobs.close();
    assert.deepEqual(failures, [[refuse, 'the impact of a policy was not kept']]);
    assert.equal(typeof (await start()), 'object');
  });

  it('leaves a later one that another control plane has kept', async () => {
    refuse = new StoreConflict('document_moved', 'it is another version by now');
    await start();
    await jobs.close();
    assert.deepEqual(failures, []);
  });
});
