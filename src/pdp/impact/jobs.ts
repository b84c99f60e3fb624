import type { BundleArchive } from '../../policy/registry.ts';
import type { Impact } from '../../schema/impact.ts';
import { StoreConflict } from '../../store/errors.ts';
import type { Tenant } from '../../store/model.ts';
import type { Store } from '../../store/store.ts';
import type { ReportLimits } from './report.ts';
import { runImpact } from './run.ts';

/** Which decisions: the last ones, of a span of time (milliseconds; null: open). */
export interface ImpactWish {
  readonly since: number | null;
  readonly until: number | null;
  readonly last: number;
}

export type ImpactState = 'running' | 'done' | 'failed' | 'cancelled';

/** A published bundle's impact on the log. Times in milliseconds. */
export interface ImpactJob extends ImpactWish {
  readonly sha256: string;
  readonly revision: string;
  readonly state: ImpactState;
  readonly by: string;
  readonly started_at: number;
  readonly ended_at: number | null;
  /** Evaluated so far. */
  readonly records: number;
  readonly error: string | null;
  readonly report: Impact | null;
}

/** One at a time: its thread takes one core from the decisions at most, for a minute at most. */
export interface ImpactJobs {
  /** Begins; resolves with it as it is then. */
  start(
    sha256: string,
    tenant: Tenant,
    wish: ImpactWish,
    by: string,
  ): Promise<ImpactJob | 'bundle_unknown' | 'busy'>;
  /** The tenant's last one of a bundle, for 30 days. */
  find(sha256: string, tenant: Tenant): Promise<ImpactJob | null>;
  /** Ends one that runs; resolves with it as it is then. Null: there is none. */
  cancel(sha256: string, tenant: Tenant): Promise<ImpactJob | null>;
  close(): Promise<void>;
}

export interface ImpactJobsOptions {
  readonly store: Pick<Store, 'queryRecords' | 'getDocument' | 'putDocument'>;
  readonly archive: Pick<BundleArchive, 'get'>;
  readonly clock: () => number;
  readonly onError: (error: unknown, doing: string) => void;
  /** What one may take, milliseconds (60,000). */
  readonly atMostMs?: number;
}

interface Running {
  job: ImpactJob;
  readonly tenant: Tenant;
  readonly ending: AbortController;
  readonly done: Promise<void>;
}

const KIND = 'policy_impact';
const KEPT_MS = 30 * 86_400_000;
const PAGE = 500;
/** What is kept of a report. */
const LIMITS: ReportLimits = { changes: 500, groups: 100 };

class Cancelled extends Error {
  override readonly name = 'Cancelled';
}

export function createImpactJobs(options: ImpactJobsOptions): ImpactJobs {
  const { store, archive, clock, onError, atMostMs = 60_000 } = options;
  let running: Running | null = null;
  let starting = false;

  const isOf = ({ job, tenant }: Running, sha256: string, { org, env }: Tenant) =>
    job.sha256 === sha256 && tenant.org === org && tenant.env === env;

  async function* lines(tenant: Tenant, { since, until, last }: ImpactWish): AsyncGenerator<Uint8Array> {
    const span = { ...(since === null ? {} : { since }), ...(until === null ? {} : { until }) };
    let cursor: string | null = null;
    for (let left = last; left > 0; ) {
      const limit = Math.min(PAGE, left);
      const place = cursor === null ? {} : { cursor };
      const page = await store.queryRecords({ ...tenant, ...span, ...place, order: 'desc', limit });
      if (page.lines.length > 0) yield Buffer.from(`${page.lines.join('\n')}\n`);
      left -= page.lines.length;
      cursor = page.next_cursor;
      if (cursor === null) return;
    }
  }

  async function work(run: Running, bundle: NonNullable<Awaited<ReturnType<BundleArchive['get']>>>) {
    const { tenant, ending } = run;
    const signal = AbortSignal.any([ending.signal, AbortSignal.timeout(atMostMs)]);
    try {
      const report = await runImpact({
        lines: lines(tenant, run.job),
        candidates: [bundle],
        bundleOf: (sha256) => archive.get(sha256),
        threads: 1,
        limits: LIMITS,
        signal,
        onProgress: ({ records }) => {
          run.job = { ...run.job, records };
        },
      });
      run.job = { ...run.job, state: 'done', ended_at: clock(), records: report.records, report };
    } catch (error) {
      run.job = { ...run.job, ...failed(error, atMostMs), ended_at: clock() };
    }
    await keep(run).catch((error: unknown) => onError(error, 'the impact of a policy was not kept'));
  }

  async function keep({ job, tenant }: Running): Promise<void> {
    const id = idOf(job.sha256, tenant);
    const known = await store.getDocument(KIND, id);
    const version = known?.version ?? 0;
    const document = { ...tenant, kind: KIND, id, version, expires_at: clock() + KEPT_MS, body: job };
    await store.putDocument(document).catch((error: unknown) => {
      // Another control plane has kept a later one.
      if (!(error instanceof StoreConflict)) throw error;
    });
  }

  return {
    async start(sha256, { org, env }, wish, by) {
      if (running !== null || starting) return 'busy';
      starting = true;
      try {
        const bundle = await archive.get(sha256);
        if (bundle === null) return 'bundle_unknown';
        const { revision } = bundle;
        const at = { started_at: clock(), ended_at: null };
        const empty = { records: 0, error: null, report: null };
        const job: ImpactJob = { ...wish, sha256, revision, state: 'running', by, ...at, ...empty };
        const { promise: done, resolve } = Promise.withResolvers<void>();
        const run: Running = { job, tenant: { org, env }, ending: new AbortController(), done };
        running = run;
        void work(run, bundle).finally(() => {
          running = null;
          resolve();
        });
        return job;
      } finally {
        starting = false;
      }
    },
    async find(sha256, tenant) {
      if (running !== null && isOf(running, sha256, tenant)) return running.job;
      const found = await store.getDocument(KIND, idOf(sha256, tenant));
      return found === null ? null : (found.body as ImpactJob);
    },
    async cancel(sha256, tenant) {
      const run = running;
      if (run === null || !isOf(run, sha256, tenant)) return null;
      run.ending.abort(new Cancelled('an operator ended it'));
      await run.done;
      return run.job;
    },
    async close() {
      running?.ending.abort(new Cancelled('the service stops'));
      await running?.done;
    },
  };
}

function idOf(sha256: string, { org, env }: Tenant): string {
  return `${org}/${env}/${sha256}`;
}

function failed(error: unknown, atMostMs: number): Pick<ImpactJob, 'state' | 'error'> {
  if (error instanceof Cancelled) return { state: 'cancelled', error: error.message };
  if (error instanceof DOMException && error.name === 'TimeoutError')
    return { state: 'failed', error: `it took more than ${atMostMs / 1000} s: ask for fewer decisions` };
  return { state: 'failed', error: error instanceof Error ? error.message : String(error) };
}
