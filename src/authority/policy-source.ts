import { publicKeyOf } from '#runtime';
import type { Bundle } from '../policy/bundle.ts';
import { CompilerUnavailable, openCompiler } from '../policy/compiler/compiler.ts';
import { lineOf, PolicyRefused } from '../policy/make.ts';
import { OriginFailed, type PolicyOrigin, type PolicyTree, TreeRefused } from '../policy/origin.ts';
import { isTestFile, textsOf } from '../policy/policy-files.ts';
import type { BundleArchive, PolicyRegistry } from '../policy/registry.ts';
import { placeInBundle } from '../policy/revision-tests.ts';
import { signBundle } from '../policy/signature.ts';
import { buildTested, TestsFailed } from '../policy/tested.ts';
import { Denial, InputError } from '../reason.ts';
import type { BundleSetting } from '../schema/config.ts';
import type { Tenant } from '../store/model.ts';
import type { Store } from '../store/store.ts';
import type { Policies } from './policies.ts';
import type { Revisions } from './revisions.ts';

/** Policies that are built here. */
export type RegoSetting = BundleSetting & { readonly rego: NonNullable<BundleSetting['rego']> };

/** A commit as it was looked at. `at` in milliseconds; `author` and `subject` are what whoever pushed it wrote. */
interface Looked {
  readonly commit: string;
  readonly author: string;
  readonly subject: string;
  readonly at: number;
}

export const REJECTIONS = [
  'policy_invalid',
  'tests_failed',
  'commit_refused',
  'commit_rewound',
  'bundle_rejected',
] as const;

/** A commit that never came into force, and why. */
export interface RejectedCommit extends Looked {
  readonly code: (typeof REJECTIONS)[number];
  /** A line for each problem. */
  readonly message: string;
}

/** What is in force of a repository. */
interface AcceptedCommit extends Looked {
  /** Id of the tree of policies: what does not change it changes no bundle. */
  readonly tree: string;
  readonly bundles: readonly string[];
}

export interface SourceStatus {
  readonly source: string;
  readonly accepted: (Looked & { readonly bundles: readonly string[] }) | null;
  /** Whether the branch is at a commit that was rejected: the first of `rejected`. */
  readonly behind: boolean;
  /** What the branch is at cannot be known or built, since when (milliseconds); null: it can. */
  readonly failing: { readonly since: number; readonly message: string } | null;
  /** The latest first, 20 at most. */
  readonly rejected: readonly RejectedCommit[];
}

/**
 * A branch of a repository, or a folder, as the source of policies; what a folder holds is a commit here, which may follow any. Each commit that it comes to is checked, tested, built and signed here;
 * one that fails never comes into force, and is remembered with its reason. A commit must follow the one in force: a branch
 * that was moved back, or made anew, is refused unless `rewind_to` names its commit. Serials are given here, each over all that
 * were, so that the branch wins over what was published before it moved.
 */
export interface PolicySource {
  /**
   * Puts into force what the branch is at or, where that is rejected or cannot be read, what was in force of it before.
   * InputError (`bundles.source`): there is neither.
   */
  begin(setting: RegoSetting): Promise<void>;
  /** Looks again. InputError, once for each commit and each failure: why what is there is not in force. */
  look(): Promise<void>;
  /** Null: policies come from elsewhere. */
  status(): SourceStatus | null;
  /** They come from elsewhere from now on. */
  end(): void;
}

export interface PolicySourceOptions {
  readonly policies: Pick<Policies, 'take'>;
  readonly registry: Pick<PolicyRegistry, 'marks'>;
  readonly archive: Pick<BundleArchive, 'get'>;
  readonly store: Pick<Store, 'getDocument' | 'putDocument'>;
  readonly revisions: Pick<Revisions, 'built'>;
  readonly originOf: (setting: RegoSetting) => PolicyOrigin;
  readonly home: Tenant;
  readonly clock: () => number;
  /** Of the key that signs bundles now. */
  readonly seed: () => Uint8Array;
  /** A start with what was in force before, since the branch is at nothing that can be. */
  readonly onBehind: (message: string) => void;
}

interface State {
  readonly setting: RegoSetting;
  readonly origin: PolicyOrigin;
  readonly accepted: AcceptedCommit | null;
  readonly rejected: readonly RejectedCommit[];
  /** Of the document. */
  readonly version: number;
}

/** What is kept. */
type Kept = Pick<State, 'accepted' | 'rejected'> & { readonly source: string };

const KIND = 'policy-source';
const ID = 'source';
const REJECTED_AT_MOST = 20;
const LINES_AT_MOST = 20;

export function createPolicySource(options: PolicySourceOptions): PolicySource {
  const { policies, registry, archive, store, revisions, originOf, home, clock } = options;
  let state: State | null = null;
  let head: string | null = null;
  let failing: SourceStatus['failing'] = null;
  /** Looked at with this setting: what is in them stays as bad as it was. */
  let known = new Set<string>();

  async function opened(setting: RegoSetting): Promise<State> {
    const found = await store.getDocument(KIND, ID);
    const kept = found === null ? null : (found.body as Kept);
    const version = found?.version ?? 0;
    const origin = originOf(setting);
    return kept?.source === setting.source
      ? { setting, origin, version, accepted: kept.accepted, rejected: kept.rejected }
      : { setting, origin, version, accepted: null, rejected: [] };
  }

  async function saved(next: State): Promise<State> {
    const { setting, version, accepted, rejected } = next;
    const body: Kept = { source: setting.source, accepted, rejected };
    const written = await store.putDocument({
      ...home,
      kind: KIND,
      id: ID,
      version,
      expires_at: null,
      body,
    });
    return { ...next, version: written };
  }

  /** What was in force of it stays so, or comes back after a restart. False where the archive has it no more. */
  async function stand({ accepted }: State): Promise<boolean> {
    if (accepted === null) return false;
    const bundles = await Promise.all(accepted.bundles.map((sha256) => archive.get(sha256)));
    const whole = bundles.filter((bundle): bundle is Bundle => bundle !== null);
    if (whole.length < bundles.length) return false;
    // This process built them and wrote their digests down; the key that signed them may be retired.
    await policies.take({ bundles: whole, trust: { kind: 'pinned', digests: new Set(accepted.bundles) } });
    return true;
  }

  /** Throws Rejected. */
  async function take(from: State, commit: string, anew: boolean): Promise<State> {
    const { accepted, origin } = from;
    const about: Looked = { commit, ...(await origin.about(commit)), at: clock() };
    try {
      await checkFollows(from, commit);
      const tree = await origin.tree(commit);
      const bundles =
        accepted?.tree === tree.id && !anew ? accepted.bundles : await builtAndTaken(about, tree);
      await origin.keep(commit);
      return await saved({ ...from, accepted: { ...about, tree: tree.id, bundles } });
    } catch (error) {
      const why = reasonOf(error);
      if (why === null) throw error;
      throw new Rejected({ ...about, ...why });
    }
  }

  async function checkFollows({ accepted, origin, setting }: State, commit: string): Promise<void> {
    if (accepted === null || setting.rewind_to === commit) return;
    if (await origin.follows(commit, accepted.commit)) return;
    const older = await origin.follows(accepted.commit, commit);
    const what = older ? 'is older than' : 'does not follow';
    throw new Rewound(
      `${commit} ${what} ${accepted.commit}, which is in force: undo a change by \`git revert\`; or name ${commit} as bundles.rewind_to`,
    );
  }

  async function builtAndTaken({ commit, author: name }: Looked, { files }: PolicyTree): Promise<string[]> {
    const author = name === '' ? null : name;
    const serial = Math.max(0, ...[...registry.marks().values()].map((mark) => mark.serial)) + 1;
    const compiler = await openCompiler();
    const seed = options.seed();
    const bundles: Bundle[] = [];
    try {
      // Two builds of one commit are two revisions where their serials are two.
      const suffix = `${commit.slice(0, 12)}-${serial}`;
      for (const { bundle: made, tests } of await buildTested(compiler, files, { serial, suffix })) {
        const bundle = signBundle(made, seed);
        bundles.push(bundle);
        const ran = textsOf(files, (path) => isTestFile(path) && placeInBundle(path, bundle.name) !== null);
        await revisions.built(bundle.sha256, { author, commit }, tests, ran);
      }
    } finally {
      await compiler.close();
    }
    const now = Math.floor(clock() / 1000);
    await policies.take({ bundles, trust: { kind: 'signed', keys: [publicKeyOf(seed)], now } });
    return bundles.map(({ sha256 }) => sha256);
  }

  async function fetched({ origin }: State): Promise<string> {
    const commit = await origin.latest();
    failing = null;
    return commit;
  }

  async function begin(setting: RegoSetting): Promise<void> {
    if (state?.setting.source === setting.source) {
      known = new Set();
      state = { ...state, setting };
      return;
    }
    const before = { head, failing, known };
    [head, failing, known] = [null, null, new Set()];
    try {
      state = await begun(await opened(setting));
    } catch (error) {
      ({ head, failing, known } = before);
      throw error;
    }
  }

  async function begun(first: State): Promise<State> {
    try {
      head = await fetched(first);
      return await taken(first, head);
    } catch (error) {
      const why = complaintOf(error);
      if (why === null || !(await stand(first))) throw why ?? error;
      options.onBehind(why.message);
      if (error instanceof Rejected) return remembered(first, error);
      failing = { since: clock(), message: messageOf(error) };
      return first;
    }
  }

  async function taken(first: State, commit: string): Promise<State> {
    if (first.accepted?.commit !== commit) return take(first, commit, false);
    try {
      if (await stand(first)) return first;
    } catch (error) {
      // Other bundles were in force in the meantime: the branch is what was chosen last.
      if (!(error instanceof Denial && error.code === 'bundle_rollback')) throw error;
    }
    return take(first, commit, true);
  }

  async function remembered(from: State, { commit }: Rejected): Promise<State> {
    known.add(commit.commit);
    const others = from.rejected.filter((one) => one.commit !== commit.commit);
    return saved({ ...from, rejected: [commit, ...others].slice(0, REJECTED_AT_MOST) });
  }

  async function look(): Promise<void> {
    if (state === null) return;
    const before = failing;
    try {
      head = await fetched(state);
      if (head !== state.accepted?.commit && !known.has(head)) state = await take(state, head, false);
    } catch (error) {
      if (error instanceof Rejected) state = await remembered(state, error);
      else failing = { since: before?.since ?? clock(), message: messageOf(error) };
      if (failing !== null && failing.message === before?.message) return;
      throw complaintOf(error) ?? error;
    }
  }

  return {
    begin,
    look,
    status() {
      if (state === null) return null;
      const { setting, accepted, rejected } = state;
      const behind = head !== null && head !== accepted?.commit && rejected[0]?.commit === head;
      const shown = accepted === null ? null : withoutTree(accepted);
      return { source: setting.source, accepted: shown, behind, failing, rejected };
    },
    end() {
      state = null;
      head = null;
      failing = null;
      known = new Set();
    },
  };
}

function withoutTree({ tree: _tree, ...accepted }: AcceptedCommit) {
  return accepted;
}

class Rejected extends Error {
  override readonly name = 'Rejected';
  readonly commit: RejectedCommit;

  constructor(commit: RejectedCommit) {
    super(`commit ${commit.commit} is not put into force: ${commit.code}: ${commit.message}`);
    this.commit = commit;
  }
}

class Rewound extends Error {
  override readonly name = 'Rewound';
}

/** Why a commit is bad; null for what is no fault of it. */
function reasonOf(error: unknown): Pick<RejectedCommit, 'code' | 'message'> | null {
  if (error instanceof PolicyRefused)
    return { code: 'policy_invalid', message: some(error.problems.map(lineOf)) };
  if (error instanceof InputError) return { code: 'policy_invalid', message: error.message };
  if (error instanceof TestsFailed) return { code: 'tests_failed', message: some(error.message.split('\n')) };
  if (error instanceof TreeRefused) return { code: 'commit_refused', message: error.message };
  if (error instanceof Rewound) return { code: 'commit_rewound', message: error.message };
  if (error instanceof Denial && error.code === 'bundle_rejected')
    return { code: 'bundle_rejected', message: error.message };
  return null;
}

/** As the configuration's own problem; null for what is the service's. */
function complaintOf(error: unknown): InputError | null {
  const known =
    error instanceof Rejected || error instanceof OriginFailed || error instanceof CompilerUnavailable;
  return known ? new InputError([{ field: 'bundles.source', message: error.message }]) : null;
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

function some(lines: readonly string[]): string {
  const more = lines.length - LINES_AT_MOST;
  return [...lines.slice(0, LINES_AT_MOST), ...(more > 0 ? [`and ${more} more`] : [])].join('\n');
}
