import type { OpaKeyRead } from '../config/opa-keys.ts';
import { Denial, InputError } from '../reason.ts';
import type { BundleMeta } from '../schema/bundle.ts';
import type { Profile } from '../schema/common.ts';
import type { BundleRef } from '../schema/decision.ts';
import type { Bundle } from './bundle.ts';
import { embeddedFor } from './embedded.ts';
import { compileEngine, type Engine } from './engine.ts';
import type { EvaluationThread } from './evaluation-thread.ts';
import { checkOpaEnvoy } from './opa-envoy-check.ts';
import { verifyByName } from './opa-signature.ts';
import { type RuleText, ruleTextOf } from './rule-text.ts';
import { verifyBundle } from './signature.ts';
import { checkStock, isStock } from './stock.ts';

/** Where every bundle that was ever active is kept, so that explain finds past revisions after a restart. */
export interface BundleArchive {
  put(bundle: Bundle): Promise<void>;
  get(sha256: string): Promise<Bundle | null>;
}

/** Whom to believe. Pinned digests are for what comes with this package; all else is signed. */
export type Trust =
  | { readonly kind: 'pinned'; readonly digests: ReadonlySet<string> }
  | {
      readonly kind: 'signed';
      /** Public keys, 32 bytes each. */
      readonly keys: readonly Uint8Array[];
      /** Who may sign in OPA's way instead, by name. Default: nobody. */
      readonly opaKeys?: ReadonlyMap<string, OpaKeyRead>;
      /** Seconds since 1970. */
      readonly now: number;
    }
  /** Whom one of them believes. */
  | { readonly kind: 'either'; readonly of: readonly Trust[] };

/**
 * How far a profile has come: the highest serial so far, and what is in force, which is older after a rollback. Give it back
 * to the constructor after a restart, and rollback by accident stays refused.
 */
export interface Mark {
  readonly serial: number;
  readonly revision: string;
  readonly sha256: string;
}

export interface ActivePolicy {
  readonly engine: Engine;
  readonly ref: BundleRef;
  readonly meta: BundleMeta;
}

interface Candidate {
  readonly bundle: Bundle;
  /** What is asked before it; null where it stands alone. */
  readonly base: Bundle | null;
  readonly policy: ActivePolicy;
}

const NONE: ReadonlySet<string> = new Set();
/** Compiled past revisions that are kept at hand, for explain and impact. */
const PAST_ENGINES = 8;

/** The active bundle of each profile, and every revision that was active before. */
export class PolicyRegistry {
  readonly #archive: BundleArchive;
  readonly #thread: EvaluationThread | null;
  readonly #active = new Map<Profile, ActivePolicy>();
  readonly #marks: Map<Profile, Mark>;
  /** `name revision` -> digest, of all that was active: a revision means one content, for ever. */
  readonly #revisions = new Map<string, string>();
  /** Oldest use first. */
  readonly #past = new Map<string, Promise<Engine | null>>();
  readonly #listeners = new Set<() => void>();
  #queue: Promise<unknown> = Promise.resolve();

  /** @param thread where the policies' engines `decide` what would stop the event loop */
  constructor(
    archive: BundleArchive,
    marks: ReadonlyMap<Profile, Mark> = new Map(),
    thread: EvaluationThread | null = null,
  ) {
    this.#archive = archive;
    this.#thread = thread;
    this.#marks = new Map(marks);
    for (const [name, mark] of marks) this.#revisions.set(revisionKey(name, mark.revision), mark.sha256);
  }

  /**
   * Puts bundles into force, all of them or none; what runs stays on any failure. They are verified, compiled and
   * archived first, then exchanged within one turn of the event loop. Those that are in force already stay as they are,
   * if they are still trusted. Calls wait for each other.
   *
   * @param returning digests that somebody puts back on purpose, whatever their serial
   * @throws Denial `bundle_rejected`: not trusted, expired, one profile twice, a module that does not load, a known
   * revision with another content; `bundle_rollback`: an older serial, or the same with another content
   * @throws whatever the archive throws
   */
  activate(bundles: readonly Bundle[], trust: Trust, returning: ReadonlySet<string> = NONE): Promise<void> {
    const done = this.#queue.then(() => this.#activateNow(bundles, trust, returning));
    this.#queue = done.catch(() => undefined);
    return done;
  }

  /** Calls once bundles are in force in the place of others. Gives what ends it. */
  onExchange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Throws Denial `policy_unavailable` when the profile has no bundle. */
  active(profile: Profile): ActivePolicy {
    const policy = this.#active.get(profile);
    if (policy === undefined)
      throw new Denial('policy_unavailable', `no policy is loaded for ${profile}`, { profile });
    return policy;
  }

  /** Highest serial so far, per profile. */
  marks(): ReadonlyMap<Profile, Mark> {
    return new Map(this.#marks);
  }

  /** Active or past; null for a digest that was never active here. */
  async engineFor(sha256: string, base?: string): Promise<Engine | null> {
    for (const { engine } of this.#active.values())
      if (engine.ref.sha256 === sha256 && engine.ref.base === base) return engine;
    const key = `${sha256} ${base ?? ''}`;
    const engine = this.#past.get(key) ?? this.#compiledAgain(sha256, base);
    this.#remember(key, engine);
    try {
      const found = await engine;
      if (found === null) this.#past.delete(key);
      return found;
    } catch (cause) {
      this.#past.delete(key);
      throw cause;
    }
  }

  /** The rule behind a denial code, in the Rego of that revision; null when either is not known. */
  async reasonAt(sha256: string, code: string, base?: string): Promise<RuleText | null> {
    const bundle = await this.#archived(sha256);
    const rule = bundle === null ? null : ruleTextOf(bundle, code);
    return rule === null && base !== undefined ? this.reasonAt(base, code) : rule;
  }

  async #compiledAgain(sha256: string, base: string | undefined): Promise<Engine | null> {
    const bundle = await this.#archived(sha256);
    const below = base === undefined ? undefined : await this.#archived(base);
    if (bundle === null || below === null) return null;
    return compileEngine(bundle, { spare: false, thread: this.#thread, base: below });
  }

  async #activateNow(
    bundles: readonly Bundle[],
    trust: Trust,
    returning: ReadonlySet<string>,
  ): Promise<void> {
    checkOnePerProfile(bundles);
    for (const bundle of bundles) {
      checkTrust(bundle, trust);
      this.#checkOrder(bundle, returning.has(bundle.sha256));
    }
    const fresh = bundles.filter(({ name, sha256 }) => this.#active.get(name)?.ref.sha256 !== sha256);
    const candidates: Candidate[] = [];
    // One after the other: what each takes of the event loop must not add up.
    for (const bundle of fresh) candidates.push(await compiled(bundle, this.#thread));
    const bases = candidates.flatMap(({ base }) => base ?? []);
    await Promise.all([...fresh, ...bases].map((bundle) => this.#archive.put(bundle)));
    for (const candidate of candidates) this.#exchange(candidate);
    if (candidates.length > 0) for (const listener of this.#listeners) listener();
  }

  #checkOrder(bundle: Bundle, returns: boolean): void {
    const { name, revision, serial, sha256 } = bundle;
    const mark = this.#marks.get(name);
    const known = this.#revisions.get(revisionKey(name, revision));
    if (known !== undefined && known !== sha256) {
      throw refused('bundle_rejected', bundle, 'is known with another content; give it a new revision', {
        known,
      });
    }
    if (returns || mark === undefined || mark.sha256 === sha256) return;
    if (serial <= mark.serial) {
      throw refused('bundle_rollback', bundle, `has serial ${serial}; it must be over ${mark.serial}`, {
        serial: mark.serial,
      });
    }
  }

  #exchange({ bundle, policy }: Candidate): void {
    const { name, revision, serial, sha256 } = bundle;
    this.#active.set(name, policy);
    const highest = Math.max(serial, this.#marks.get(name)?.serial ?? 0);
    this.#marks.set(name, { serial: highest, revision, sha256 });
    this.#revisions.set(revisionKey(name, revision), sha256);
  }

  async #archived(sha256: string): Promise<Bundle | null> {
    const bundle = await this.#archive.get(sha256);
    if (bundle === null || bundle.sha256 === sha256) return bundle;
    throw refused('bundle_rejected', bundle, 'was given by the archive for another digest', {
      wanted: sha256,
    });
  }

  #remember(sha256: string, engine: Promise<Engine | null>): void {
    this.#past.delete(sha256);
    this.#past.set(sha256, engine);
    const [oldest] = this.#past.keys();
    if (this.#past.size > PAST_ENGINES && oldest !== undefined) this.#past.delete(oldest);
  }
}

async function compiled(bundle: Bundle, thread: EvaluationThread | null): Promise<Candidate> {
  try {
    const { lemma } = bundle.manifest.metadata;
    const base = lemma.adapter === undefined ? null : await embeddedFor(bundle.name);
    const engine = await compileEngine(bundle, { thread, base: base ?? undefined });
    const meta = base === null ? lemma : strictest(lemma, base.manifest.metadata.lemma);
    return { bundle, base, policy: { engine, ref: engine.ref, meta } };
  } catch (cause) {
    if (cause instanceof InputError)
      throw refused('bundle_rejected', bundle, `does not load: ${cause.message}`);
    throw cause;
  }
}

/** What the profile asks of its policy holds for one that comes after it as well. */
function strictest(own: BundleMeta, base: BundleMeta): BundleMeta {
  const confirm = own.confirm || base.confirm;
  return { ...own, confirm, record: base.record === 'durable' ? 'durable' : own.record };
}

function checkOnePerProfile(bundles: readonly Bundle[]): void {
  const seen = new Set<Profile>();
  for (const bundle of bundles) {
    if (seen.has(bundle.name))
      throw refused('bundle_rejected', bundle, 'is the second one for its profile; give one');
    seen.add(bundle.name);
  }
}

/** Throws Denial `bundle_rejected`. */
export function checkTrust(bundle: Bundle, trust: Trust): void {
  switch (trust.kind) {
    case 'pinned':
      if (!trust.digests.has(bundle.sha256))
        throw refused('bundle_rejected', bundle, 'is not among the pinned ones');
      return;
    case 'signed':
      if (isStock(bundle) && trust.opaKeys !== undefined) verifyByName(bundle, trust.opaKeys);
      else verifyBundle(bundle, trust.keys, trust.now);
      checkContent(bundle);
      return;
    case 'either':
      checkEither(bundle, trust.of);
      return;
  }
}

/** What `lemma policy build` did not look at. Throws Denial `bundle_rejected`. */
export function checkContent(bundle: Bundle): void {
  try {
    const { adapter } = bundle.manifest.metadata.lemma;
    if (isStock(bundle) || adapter !== undefined) checkStock(bundle);
    if (adapter === 'opa-envoy') checkOpaEnvoy(bundle);
  } catch (cause) {
    if (cause instanceof InputError) throw refused('bundle_rejected', bundle, `is refused: ${cause.message}`);
    throw cause;
  }
}

/** What the last of them objects to is told. */
function checkEither(bundle: Bundle, trusts: readonly Trust[]): void {
  let objection: unknown = refused('bundle_rejected', bundle, 'is trusted by nobody');
  for (const trust of trusts) {
    try {
      checkTrust(bundle, trust);
      return;
    } catch (error) {
      objection = error;
    }
  }
  throw objection;
}

function revisionKey(name: Profile, revision: string): string {
  return `${name} ${revision}`;
}

function refused(
  code: 'bundle_rejected' | 'bundle_rollback',
  { name, revision, sha256 }: Bundle,
  message: string,
  facts: Denial['facts'] = {},
): Denial {
  return new Denial(code, `bundle ${name} ${revision} ${message}`, { name, revision, sha256, ...facts });
}
