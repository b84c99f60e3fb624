import { createHash } from 'node:crypto';
import type { Bundle } from '../policy/bundle.ts';
import { CompilerUnavailable, openCompiler } from '../policy/compiler/compiler.ts';
import { PolicyRefused } from '../policy/make.ts';
import { isRego, type Sources } from '../policy/policy-files.ts';
import { type RevisionTests, testBundle } from '../policy/revision-tests.ts';
import type { Tenant } from '../store/model.ts';
import type { Store } from '../store/store.ts';
import { retrying } from './changing.ts';
import { Refusal } from './refusal.ts';

/** Which tests were run, and who gave them. */
export interface TestedBy {
  /** An operator's id, or `service`: the commit that it built brought them. */
  readonly by: string;
  /** The commit or the folder's digest; null: an operator gave them. */
  readonly commit: string | null;
}

/** What is remembered of the latest run. `at` in milliseconds; `tests_sha256`: of what was run, hex (`digestOfTests`). */
export interface TestedRevision extends RevisionTests, TestedBy {
  readonly at: number;
  readonly tests_sha256: string;
}

/**
 * Tests of kept bundles. Nobody claims their outcome: they run here, on the very Rego and data that the bundle holds. A bundle holds no
 * tests, so of one that came alone nothing is known.
 */
export interface RevisionTesting {
  /** Null: not known. */
  of(sha256: string): Promise<TestedRevision | null>;
  /** By digest. */
  all(): Promise<ReadonlyMap<string, TestedRevision>>;
  /** Refusal: bundle_rejected (the tests do not compile, or there is none), conflict (no compiler is here). */
  run(bundle: Bundle, tests: Sources, by: string): Promise<TestedRevision>;
  /** Of a run that was made already, when its bundle was built. */
  note(sha256: string, outcome: RevisionTests, tests: Sources, about: TestedBy): Promise<void>;
}

export interface RevisionTestingOptions {
  readonly store: Pick<Store, 'getDocument' | 'putDocument' | 'listDocuments'>;
  readonly home: Tenant;
  readonly clock: () => number;
}

const KIND = 'policy-tests';
const PAGE = 1000;

export function createRevisionTesting({ store, home, clock }: RevisionTestingOptions): RevisionTesting {
  let queue: Promise<unknown> = Promise.resolve();

  async function keep(sha256: string, body: TestedRevision): Promise<TestedRevision> {
    await retrying(async () => {
      const version = (await store.getDocument(KIND, sha256))?.version ?? 0;
      await store.putDocument({ ...home, kind: KIND, id: sha256, version, expires_at: null, body });
    });
    return body;
  }

  const withTime = (outcome: RevisionTests, tests: Sources, about: TestedBy): TestedRevision => ({
    ...outcome,
    ...about,
    at: clock(),
    tests_sha256: digestOfTests(tests),
  });

  return {
    async of(sha256) {
      const found = await store.getDocument(KIND, sha256);
      return found === null ? null : (found.body as TestedRevision);
    },
    async all() {
      const known = new Map<string, TestedRevision>();
      for (let cursor: string | null = ''; cursor !== null; ) {
        const page = await store.listDocuments(KIND, home, { cursor, limit: PAGE });
        for (const { id, body } of page.documents) known.set(id, body as TestedRevision);
        cursor = page.next_cursor;
      }
      return known;
    },
    run(bundle, tests, by) {
      // One at a time: each has a process of its own.
      const turn = queue.then(async () => {
        const outcome = await outcomeOf(bundle, tests);
        return keep(bundle.sha256, withTime(outcome, tests, { by, commit: null }));
      });
      queue = turn.catch(() => undefined);
      return turn;
    },
    async note(sha256, outcome, tests, about) {
      await keep(sha256, withTime(outcome, tests, about));
    },
  };
}

/** SHA-256 over path, length and text of each file, sorted by path. */
function digestOfTests(tests: Sources): string {
  const hash = createHash('sha256');
  for (const [path, text] of [...tests].sort(([a], [b]) => (a < b ? -1 : 1)))
    hash.update(`${path}\0${Buffer.byteLength(text)}\0${text}`);
  return hash.digest('hex');
}

/** In OPA's module, never in an `opa` of this machine: what somebody sends reaches no network and no file from there. */
async function outcomeOf(bundle: Bundle, tests: Sources): Promise<RevisionTests> {
  if (![...bundle.files.keys()].some(isRego))
    throw new Refusal('bundle_rejected', `${bundle.revision} holds no Rego: its tests have nothing to read`);
  const compiler = await openCompiler({ engine: 'wasm' }).catch((error: unknown) => {
    if (error instanceof CompilerUnavailable) throw new Refusal('conflict', error.message);
    throw error;
  });
  try {
    const outcome = await testBundle(compiler, bundle, tests);
    if (outcome.passed + outcome.failed + outcome.skipped > 0) return outcome;
    throw new Refusal(
      'bundle_rejected',
      'there is no test among these files: write rules test_… in *_test.rego',
    );
  } catch (error) {
    if (error instanceof PolicyRefused) throw new Refusal('bundle_rejected', error.message);
    throw error;
  } finally {
    await compiler.close();
  }
}
