import { createHash } from 'node:crypto';
import type { Bundle } from '../policy/bundle.ts';
import { CompilerUnavailable, openCompiler } from '../policy/compiler/compiler.ts';
import { PolicyRefused } from '../policy/make.ts';
import { isRego, type Sources } from '../policy/policy-files.ts';
import { testBundle } from '../policy/revision-tests.ts';
import type { RevisionTests } from '../schema/revision-tests.ts';
import type { Tenant } from '../store/model.ts';
import type { Store } from '../store/store.ts';
import { retrying } from './changing.ts';
import { Refusal } from './refusal.ts';

/** Who brought a bundle. `at` in milliseconds. */
export interface Published {
  /** An operator's id, or `service`: it built a commit. */
  readonly by: string;
  /** As the commit says, for whom nobody vouches; null: no commit says it. */
  readonly author: string | null;
  /** The commit or the folder's digest; null: an operator brought it. */
  readonly commit: string | null;
  readonly reason: string | null;
  readonly at: number;
}

/** The latest run of tests. `at` in milliseconds; `tests_sha256`: of what was run, hex (`digestOfTests`). */
export interface TestedRevision extends RevisionTests, Pick<Published, 'by' | 'commit' | 'at'> {
  readonly tests_sha256: string;
}

/** What is known of a bundle that the bundle does not hold. Null: not known. */
export interface Revision {
  readonly published: Published | null;
  readonly tests: TestedRevision | null;
}

/**
 * Who brought bundles, and what their tests came to. Nobody claims an outcome: tests run here, on the very Rego and data that the bundle
 * holds. A bundle holds no tests, so of one that came alone nothing is known.
 */
export interface Revisions {
  of(sha256: string): Promise<Revision>;
  /** By digest; those of which something is known. */
  all(): Promise<ReadonlyMap<string, Revision>>;
  /** By an operator. Who brought it first stays. */
  published(sha256: string, by: string, reason: string | null): Promise<void>;
  /** By a commit, with its tests' outcome when it was built. */
  built(
    sha256: string,
    about: Pick<Published, 'author' | 'commit'>,
    outcome: RevisionTests,
    tests: Sources,
  ): Promise<void>;
  /** Refusal: bundle_rejected (the tests do not compile, or there is none), conflict (no compiler is here). */
  test(bundle: Bundle, tests: Sources, by: string): Promise<TestedRevision>;
}

export interface RevisionsOptions {
  readonly store: Pick<Store, 'getDocument' | 'putDocument' | 'listDocuments'>;
  readonly home: Tenant;
  readonly clock: () => number;
}

const KIND = 'policy-revision';
const PAGE = 1000;
const NOTHING: Revision = { published: null, tests: null };

export function createRevisions({ store, home, clock }: RevisionsOptions): Revisions {
  let queue: Promise<unknown> = Promise.resolve();

  async function change(sha256: string, next: (known: Revision) => Partial<Revision>): Promise<void> {
    await retrying(async () => {
      const found = await store.getDocument(KIND, sha256);
      const known = found === null ? NOTHING : (found.body as Revision);
      const body: Revision = { ...known, ...next(known) };
      const version = found?.version ?? 0;
      await store.putDocument({ ...home, kind: KIND, id: sha256, version, expires_at: null, body });
    });
  }

  return {
    async of(sha256) {
      const found = await store.getDocument(KIND, sha256);
      return found === null ? NOTHING : (found.body as Revision);
    },
    async all() {
      const known = new Map<string, Revision>();
      for (let cursor: string | null = ''; cursor !== null; ) {
        const page = await store.listDocuments(KIND, home, { cursor, limit: PAGE });
        for (const { id, body } of page.documents) known.set(id, body as Revision);
        cursor = page.next_cursor;
      }
      return known;
    },
    published: (sha256, by, reason) =>
      change(sha256, ({ published }) => ({
        published: published ?? { by, author: null, commit: null, reason, at: clock() },
      })),
    built: (sha256, { author, commit }, outcome, tests) => {
      const about = { by: 'service', commit, at: clock() };
      return change(sha256, () => ({
        published: { ...about, author, reason: null },
        tests: { ...outcome, ...about, tests_sha256: digestOfTests(tests) },
      }));
    },
    test(bundle, tests, by) {
      // One at a time: each has a process of its own.
      const turn = queue.then(async (): Promise<TestedRevision> => {
        const outcome = await outcomeOf(bundle, tests);
        const about = { by, commit: null, at: clock(), tests_sha256: digestOfTests(tests) };
        const tested = { ...outcome, ...about };
        await change(bundle.sha256, () => ({ tests: tested }));
        return tested;
      });
      queue = turn.catch(() => undefined);
      return turn;
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
