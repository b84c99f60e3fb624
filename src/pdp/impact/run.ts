import { availableParallelism } from 'node:os';
import type { Bundle } from '../../policy/bundle.ts';
import type { Impact } from '../../schema/impact.ts';
import { inBlocks } from './blocks.ts';
import { lentPolicies, openPool, sentCandidate } from './pool.ts';
import type { ThreadOptions } from './protocol.ts';
import { createTally, REPORT_LIMITS, type ReportLimits } from './report.ts';

export interface ImpactOptions {
  /** Lines of the decision log, or of an export of it, in pieces of any size. */
  readonly lines: AsyncIterable<Uint8Array>;
  /** One a profile at most. */
  readonly candidates: readonly Bundle[];
  /** The bundle that decided, by its digest; null where it is not to be had. */
  readonly bundleOf: (sha256: string) => Promise<Bundle | null>;
  /** Only decisions by bundles with one of these digests or revisions. Default: all. */
  readonly only?: readonly string[] | null;
  /** Default: as many as the machine has cores, 4 at most. */
  readonly threads?: number;
  readonly limits?: ReportLimits;
  readonly signal?: AbortSignal;
  readonly onProgress?: (progress: { readonly records: number }) => void;
}

const THREADS_AT_MOST = 4;

/**
 * Evaluates recorded inputs with a candidate, in threads of their own. Each must give its recorded result first, with the
 * bundle that decided it: where one does not, nothing is compared, and the report says which do not.
 *
 * @throws InputError: a line is no record; a bundle does not load
 * @throws the signal's reason, once it is aborted
 */
export async function runImpact(options: ImpactOptions): Promise<Impact> {
  const { lines, candidates, signal, limits = REPORT_LIMITS, onProgress = () => undefined } = options;
  signal?.throwIfAborted();
  const tally = createTally(candidates, limits);
  const threads = options.threads ?? Math.min(availableParallelism(), THREADS_AT_MOST);
  const data: ThreadOptions = {
    candidates: await Promise.all(candidates.map(sentCandidate)),
    only: options.only ?? null,
    broken: new Int32Array(new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT)),
  };
  const policies = lentPolicies(options.bundleOf, tally.knows);
  const pool = openPool(threads, data, policies, (counted) => {
    tally.take(counted);
    onProgress({ records: tally.records });
  });
  const abort = () => pool.fail(signal?.reason);
  signal?.addEventListener('abort', abort, { once: true });
  try {
    for await (const block of inBlocks(lines)) await pool.give(block);
    await pool.settled();
    signal?.throwIfAborted();
  } finally {
    signal?.removeEventListener('abort', abort);
    await pool.close();
  }
  return tally.report();
}
