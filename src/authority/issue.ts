import { keyProblem, publicKeyOf } from '#runtime';
import { fromBase64url, toBase64url } from '../crypto/base64url.ts';
import { thumbprint } from '../crypto/thumbprint.ts';
import type { Gate } from '../gate/gate.ts';
import type { LiveRuntime } from '../gate/runtimes.ts';
import { MAX_LIFE, verifyChain } from '../proof/chain.ts';
import { credentialOf, issueDelegation, issueRoot, issueRuntime } from '../proof/issue.ts';
import { createTrust } from '../proof/trust.ts';
import { Denial, InputError } from '../reason.ts';
import { type IssueProofBody, PROOF_TTL } from '../schema/api.ts';
import { type Profile, stricter } from '../schema/common.ts';
import type { CredentialJson, Lemma, RootLemma } from '../schema/lemma.ts';
import type { Route } from '../schema/request.ts';
import type { Tenant } from '../store/model.ts';
import { grantProblems } from './grants.ts';
import type { Identity } from './identity.ts';
import { notFound, Refusal } from './refusal.ts';

/** A proof for a runtime: what it is given, and what was decided about it. `expires_at` in seconds. */
export interface IssuedProof {
  readonly credential: CredentialJson;
  readonly runtime_id: string;
  readonly profile: Profile;
  readonly taint_epoch: number;
  readonly expires_at: number;
}

export interface IssuerOptions {
  readonly home: Tenant;
  readonly identity: Identity;
  /** The seed that signs roots now. */
  readonly issuer: () => Uint8Array;
  readonly gate: Gate;
  readonly clock: () => number;
  /** The running route map. */
  readonly routes: () => readonly Route[];
}

/** Roots that are kept for the next proof; one per set of audiences. */
const ROOTS_AT_MOST = 256;

/**
 * Gives the verb that binds a key to a registered runtime at its current taint epoch: root, delegation to the automation
 * key, runtime. The chain holds no more scope, audience and time than was asked for.
 *
 * It throws InputError for what the operator may not grant; Refusal: not_found, conflict (another subject), runtime_killed,
 * runtime_inactive, moved (the epoch is not the one that was approved), key_weak, revoked.
 */
export function createIssuer(options: IssuerOptions): (body: IssueProofBody) => IssuedProof {
  const { home, identity, issuer, gate, clock, routes } = options;
  let signing = signingWith(issuer());
  const operatorKey = publicKeyOf(identity.operatorSeed);
  const automationKey = publicKeyOf(identity.automationSeed);
  const roots = new Map<string, RootLemma>();

  function signingWith(seed: Uint8Array) {
    const trust = createTrust([{ ...home, keys: [{ x: toBase64url(publicKeyOf(seed)) }] }]);
    return { seed, trust };
  }

  /** A key that was rotated signs no more, not even by the roots that are kept. */
  function followKey(): void {
    if (issuer() === signing.seed) return;
    signing = signingWith(issuer());
    roots.clear();
  }

  function rootFor(audience: readonly string[], now: number, until: number): RootLemma {
    const name = [...audience].sort().join(' ');
    const kept = roots.get(name);
    if (kept !== undefined && kept.not_before <= now && kept.expires_at >= until) return kept;
    const root = issueRoot(
      signing.seed,
      identity.subject,
      { org: home.org, env: home.env },
      {
        key: operatorKey,
        audience,
        issued_at: now,
        expires_at: now + MAX_LIFE.root,
      },
    );
    if (roots.size >= ROOTS_AT_MOST) roots.clear();
    roots.set(name, root);
    return root;
  }

  function mint(
    body: IssueProofBody,
    key: Uint8Array,
    runtime: LiveRuntime,
    profile: Profile,
  ): readonly Lemma[] {
    const now = Math.floor(clock() / 1000);
    const terms = {
      audience: body.audience,
      scope: body.scope,
      issued_at: now,
      expires_at: now + (body.ttl_s ?? PROOF_TTL.usual),
    };
    const { runtime_id, agent_id, workspace_id, taint_epoch } = runtime;
    const { budget, bounds, intent = `runtime ${runtime_id} of agent ${agent_id}` } = body;
    const root = rootFor(body.audience, now, terms.expires_at);
    const delegation = issueDelegation(
      root,
      identity.operatorSeed,
      { intent },
      { ...terms, key: automationKey },
    );
    const claims = {
      runtime_id,
      agent_id,
      workspace_id,
      profile,
      taint_epoch,
      ...(budget === undefined ? {} : { budget }),
      ...(bounds === undefined ? {} : { bounds }),
    };
    return [root, delegation, issueRuntime(delegation, identity.automationSeed, claims, { ...terms, key })];
  }

  /** Links that a PDP of this deployment would take now; null where one of them was revoked. */
  function usable(links: readonly Lemma[]): readonly Lemma[] | null {
    return gate.stopped(verifyChain(links, signing.trust)) === 'revoked' ? null : links;
  }

  return (body) => {
    const runtime = gate.runtime(home.org, home.env, body.runtime_id);
    if (runtime === null) throw notFound('runtime');
    checkRuntime(runtime, body, identity.subject);
    const key = holderKey(body, runtime);
    const problems = grantProblems(body, routes(), home);
    if (problems.length > 0) throw new InputError(problems);
    followKey();
    const profile = stricter(runtime.profile, body.profile ?? 'low');
    try {
      let links = usable(mint(body, key, runtime, profile));
      if (links === null) {
        // A root that is kept may be what was revoked; a key stays so.
        roots.clear();
        links = usable(mint(body, key, runtime, profile));
      }
      if (links === null)
        throw new Refusal('revoked', 'a key that the chain needs was revoked: use a new one');
      const expires_at = links.at(-1)?.expires_at ?? 0;
      const { runtime_id, taint_epoch } = runtime;
      return { credential: credentialOf(links), runtime_id, profile, taint_epoch, expires_at };
    } catch (error) {
      if (error instanceof Denial) throw new InputError([{ field: fieldOf(error), message: error.message }]);
      throw error;
    }
  };
}

function checkRuntime(runtime: LiveRuntime, body: IssueProofBody, subject: string): void {
  const { runtime_id, status, taint_epoch } = runtime;
  if (status === 'killed')
    throw new Refusal('runtime_killed', `${runtime_id} was killed: register a new runtime id`);
  if (status === 'inactive') throw new Refusal('runtime_inactive', `${runtime_id} is contained`);
  if (runtime.subject !== subject) {
    throw new Refusal(
      'conflict',
      `${runtime_id} belongs to ${runtime.subject}: only its own operator can sign for it`,
    );
  }
  if (body.taint_epoch !== undefined && body.taint_epoch !== taint_epoch) {
    throw new Refusal(
      'moved',
      `the taint epoch is ${taint_epoch}, not ${body.taint_epoch}: look again, then approve`,
    );
  }
}

function holderKey(body: IssueProofBody, runtime: LiveRuntime): Uint8Array {
  const key = fromBase64url(body.key) ?? new Uint8Array();
  const weak = keyProblem(key);
  if (weak !== null) throw new Refusal('key_weak', `key: ${weak}; make a new Ed25519 key`);
  if (runtime.keys !== null && !runtime.keys.includes(thumbprint(key))) {
    throw new InputError([{ field: 'key', message: `${runtime.runtime_id} is registered with other keys` }]);
  }
  return key;
}

function fieldOf({ code }: Denial): string {
  return code === 'key_reused' ? 'key' : '';
}
