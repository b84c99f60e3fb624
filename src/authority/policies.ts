import type { OpaKeyRead } from '../config/opa-keys.ts';
import { type Bundle, loadBundle } from '../policy/bundle.ts';
import { type BundleDiff, diffBundles } from '../policy/diff.ts';
import { EMBEDDED_TRUST } from '../policy/embedded.ts';
import { compileEngine } from '../policy/engine.ts';
import type { Sources } from '../policy/policy-files.ts';
import { type BundleArchive, checkTrust, type PolicyRegistry, type Trust } from '../policy/registry.ts';
import { Denial } from '../reason.ts';
import { PROFILES, type Profile } from '../schema/common.ts';
import { StoreConflict } from '../store/errors.ts';
import type { BundleInfo, Tenant } from '../store/model.ts';
import type { Store } from '../store/store.ts';
import { notFound, Refusal } from './refusal.ts';
import type { Revision, Revisions, TestedRevision } from './revisions.ts';

/** Bundles, and whom to believe about them. */
export interface Trusted {
  readonly bundles: readonly Bundle[];
  readonly trust: Trust;
}

export interface PolicyWho {
  readonly by: string;
  readonly reason?: string | undefined;
}

/** An act of an operator. `at` in milliseconds. */
export interface PolicyAct {
  readonly act: 'activate' | 'rollback';
  readonly sha256: string;
  readonly revision: string;
  readonly serial: number;
  readonly by: string;
  readonly reason: string | null;
  readonly at: number;
}

export interface PolicyHistory {
  readonly bundles: readonly (BundleInfo & Revision)[];
  /** By profile, the latest first, 100 at most. */
  readonly acts: Readonly<Partial<Record<Profile, readonly PolicyAct[]>>>;
}

/**
 * Policies belong to the deployment. What an operator put into force stays so over a restart, whatever `bundles.source` holds,
 * until a bundle with a higher serial than there ever was comes from there. What fails leaves the present ones in force.
 */
export interface Policies {
  /** From `bundles.source`: all or none. Throws as `PolicyRegistry.activate`. */
  take(configured: Trusted): Promise<void>;
  /** Keeps a signed bundle; nothing comes into force. Refusal: bundle_rejected, conflict. InputError: it is no bundle. */
  publish(files: ReadonlyMap<string, Uint8Array>, who: PolicyWho): Promise<Bundle>;
  /** Runs tests against a kept bundle, and remembers the outcome in the place of the one before. Refusal: not_found, and as `Revisions.test`. */
  test(sha256: string, tests: Sources, who: PolicyWho): Promise<TestedRevision>;
  /** A kept bundle with what its tests came to, null: not known. Refusal: not_found. */
  tested(sha256: string): Promise<{ readonly bundle: Bundle; readonly tests: TestedRevision | null }>;
  /**
   * Puts kept bundles into force, all or none. Refusal: not_found, bundle_rejected (also one whose tests failed), bundle_rollback (a serial
   * that is not higher).
   */
  activate(digests: readonly string[], who: PolicyWho): Promise<readonly Bundle[]>;
  /** Puts an earlier bundle into force; default: the one of the next lower serial that ever was. Refusal: not_found, bundle_rejected. */
  rollback(profile: Profile, to: string | undefined, who: PolicyWho): Promise<Bundle>;
  history(): Promise<PolicyHistory>;
  /** Of two kept bundles of one profile. Refusal: not_found, conflict. */
  diff(from: string, to: string): Promise<BundleDiff>;
}

export interface PoliciesOptions {
  readonly registry: PolicyRegistry;
  readonly archive: BundleArchive;
  readonly store: Pick<Store, 'appendEvent' | 'getDocument' | 'putDocument' | 'listBundles'>;
  readonly revisions: Revisions;
  readonly home: Tenant;
  readonly clock: () => number;
  /** Public keys that may sign bundles, 32 bytes each. */
  readonly keys: () => readonly Uint8Array[];
  /** Those that may sign as `opa build` does, by name. */
  readonly opaKeys: () => ReadonlyMap<string, OpaKeyRead>;
}

/** What an operator decided about a profile. `sha256` null: what `bundles.source` holds. */
interface Held {
  readonly sha256: string | null;
  readonly acts: readonly PolicyAct[];
}

const KIND = 'policy';
const ACTS_AT_MOST = 100;

export function createPolicies({
  registry,
  archive,
  store,
  revisions,
  home,
  clock,
  keys,
  opaKeys,
}: PoliciesOptions): Policies {
  let queue: Promise<unknown> = Promise.resolve();

  const trust = (): Trust => ({
    kind: 'either',
    of: [
      EMBEDDED_TRUST,
      { kind: 'signed', keys: keys(), opaKeys: opaKeys(), now: Math.floor(clock() / 1000) },
    ],
  });

  async function heldOf(profile: Profile): Promise<Held & { readonly version: number }> {
    const found = await store.getDocument(KIND, profile);
    return found === null
      ? { sha256: null, acts: [], version: 0 }
      : { ...(found.body as Held), version: found.version };
  }

  async function hold(profile: Profile, sha256: string | null, act: PolicyAct | null): Promise<void> {
    const { version, acts } = await heldOf(profile);
    const body: Held = { sha256, acts: act === null ? acts : [act, ...acts].slice(0, ACTS_AT_MOST) };
    await store.putDocument({ ...home, kind: KIND, id: profile, version, expires_at: null, body });
  }

  async function kept(sha256: string): Promise<Bundle> {
    const bundle = await archive.get(sha256);
    if (bundle === null) throw notFound('bundle');
    return bundle;
  }

  /** Bundles of the source that are not newer than all there was give way to what an operator put into force. */
  async function standing({
    bundles,
    trust: believed,
  }: Trusted): Promise<Trusted & { readonly released: readonly Profile[] }> {
    const marks = registry.marks();
    const standing: Bundle[] = [];
    const pinned = new Set<string>();
    const released: Profile[] = [];
    for (const bundle of bundles) {
      const { sha256 } = await heldOf(bundle.name);
      const newer = bundle.serial > (marks.get(bundle.name)?.serial ?? 0);
      if (sha256 === null || sha256 === bundle.sha256 || newer) {
        standing.push(bundle);
        if (sha256 !== null && newer) released.push(bundle.name);
        continue;
      }
      const held = await kept(sha256);
      checkTrust(held, trust());
      pinned.add(sha256);
      standing.push(held);
    }
    const both: Trust = { kind: 'either', of: [{ kind: 'pinned', digests: pinned }, believed] };
    return { bundles: standing, trust: pinned.size === 0 ? believed : both, released };
  }

  async function take(configured: Trusted): Promise<void> {
    const { bundles, trust: believed, released } = await standing(configured);
    const held = bundles.filter((bundle) => !configured.bundles.includes(bundle)).map(({ sha256 }) => sha256);
    const changed = await exchange(bundles, believed, new Set(held));
    for (const profile of released) await hold(profile, null, null);
    for (const bundle of changed) await announce(bundle, {});
  }

  /** Those that were not in force. */
  async function exchange(bundles: readonly Bundle[], believed: Trust, returning?: ReadonlySet<string>) {
    const before = registry.marks();
    await registry.activate(bundles, believed, returning);
    return bundles.filter(({ name, sha256 }) => before.get(name)?.sha256 !== sha256);
  }

  async function announce({ name, sha256 }: Bundle, more: object): Promise<void> {
    await store.appendEvent({ ...home, type: 'bundle', payload: { sha256, name, ...more }, time: clock() });
  }

  async function act(bundles: readonly Bundle[], kind: PolicyAct['act'], who: PolicyWho): Promise<void> {
    const before = new Map([...registry.marks()].map(([name, { sha256 }]) => [name, sha256]));
    const returning = new Set(kind === 'rollback' ? bundles.map(({ sha256 }) => sha256) : []);
    const changed = await exchange(bundles, trust(), returning);
    const { by, reason } = who;
    try {
      // Remembered first: a crash in between leaves what a start brings into force, and then announces.
      for (const { name, sha256, revision, serial } of changed) {
        await hold(name, sha256, {
          act: kind,
          sha256,
          revision,
          serial,
          by,
          reason: reason ?? null,
          at: clock(),
        });
      }
      for (const bundle of changed) {
        await announce(bundle, { act: kind, by, ...(reason === undefined ? {} : { reason }) });
      }
    } catch (error) {
      await putBack(changed, before);
      throw error;
    }
  }

  /** What could not be made durable is not in force either. */
  async function putBack(changed: readonly Bundle[], before: ReadonlyMap<Profile, string>): Promise<void> {
    const digests = changed.flatMap(({ name }) => before.get(name) ?? []);
    const bundles = await Promise.all(digests.map(kept));
    const pins = new Set(digests);
    await registry.activate(bundles, { kind: 'pinned', digests: pins }, pins);
  }

  async function publish(files: ReadonlyMap<string, Uint8Array>, { by, reason }: PolicyWho): Promise<Bundle> {
    const bundle = await loadBundle(files);
    checkTrust(bundle, trust());
    await compileEngine(bundle, { spare: false });
    await archive.put(bundle);
    const { sha256, name, revision, serial } = bundle;
    await revisions.published(sha256, by, reason ?? null);
    const noted = { by, ...(reason === undefined ? {} : { reason }) };
    const payload = { action: 'policy_publish', sha256, name, revision, serial, ...noted };
    await store.appendEvent({ ...home, type: 'admin', payload, time: clock() });
    return bundle;
  }

  /** As a commit whose tests fail never comes into force. To go back is always possible. */
  async function requireTestsHold({ revision, sha256 }: Bundle): Promise<void> {
    const { tests } = await revisions.of(sha256);
    if (tests === null || tests.failed === 0) return;
    const { failed } = tests;
    const when = new Date(tests.at).toISOString();
    throw new Refusal(
      'bundle_rejected',
      `${failed} of the tests of ${revision} failed at ${when}: mend it, or test it again`,
    );
  }

  async function rollback(profile: Profile, to: string | undefined, who: PolicyWho): Promise<Bundle> {
    const bundle = await kept(to ?? (await lowerThan(profile)));
    if (bundle.name !== profile)
      throw new Refusal('conflict', `${bundle.revision} is a bundle of ${bundle.name}`);
    await act([bundle], 'rollback', who);
    return bundle;
  }

  async function lowerThan(profile: Profile): Promise<string> {
    const past = (await store.listBundles()).filter(
      ({ name, activated_at }) => name === profile && activated_at !== null,
    );
    const active = past.find(({ sha256 }) => sha256 === registry.marks().get(profile)?.sha256);
    const lower = past
      .filter(({ serial }) => serial < (active?.serial ?? 0))
      .sort((a, b) => b.serial - a.serial);
    if (lower[0] === undefined)
      throw new Refusal('conflict', `there was none before it: nothing of ${profile} to go back to`);
    return lower[0].sha256;
  }

  /** One change at a time: what is in force, what is remembered and what is announced are one. */
  function inTurn<T>(run: () => Promise<T>): Promise<T> {
    const turn = queue.then(run);
    queue = turn.catch(() => undefined);
    return turn;
  }

  return {
    take: (configured) => inTurn(() => take(configured)),
    publish: (files, who) => refusing(() => publish(files, who)),
    activate: (digests, who) =>
      refusing(() =>
        inTurn(async () => {
          const bundles = await Promise.all(digests.map(kept));
          for (const bundle of bundles) await requireTestsHold(bundle);
          await act(bundles, 'activate', who);
          return bundles;
        }),
      ),
    rollback: (profile, to, who) => refusing(() => inTurn(() => rollback(profile, to, who))),
    async test(sha256, tests, { by }) {
      return revisions.test(await kept(sha256), tests, by);
    },
    async tested(sha256) {
      const { tests } = await revisions.of(sha256);
      return { bundle: await kept(sha256), tests };
    },
    async history() {
      const acts = await Promise.all(
        PROFILES.map(async (profile) => [profile, (await heldOf(profile)).acts] as const),
      );
      const [bundles, known] = await Promise.all([store.listBundles(), revisions.all()]);
      return {
        bundles: bundles.map((bundle) => ({
          ...bundle,
          ...(known.get(bundle.sha256) ?? { published: null, tests: null }),
        })),
        acts: Object.fromEntries(acts),
      };
    },
    async diff(from, to) {
      const [before, after] = await Promise.all([kept(from), kept(to)]);
      if (before.name === after.name) return diffBundles(before, after);
      throw new Refusal('conflict', `${before.revision} and ${after.revision} are of two profiles`);
    },
  };
}

/** A bundle that is refused is no denial of a request: the operator is told why. */
async function refusing<T>(run: () => Promise<T>): Promise<T> {
  try {
    return await run();
  } catch (error) {
    if (error instanceof StoreConflict) throw new Refusal('conflict', error.message);
    if (!(error instanceof Denial)) throw error;
    const code = error.code === 'bundle_rollback' ? 'bundle_rollback' : 'bundle_rejected';
    const mend = code === 'bundle_rollback' ? ': to go back on purpose, roll back' : '';
    throw new Refusal(code, error.message + mend);
  }
}
