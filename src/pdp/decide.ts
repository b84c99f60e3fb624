import { type DecisionLog, NonceSpentError } from '../decision-log/log.ts';
import { printable } from '../decision-log/record.ts';
import type { Shared } from '../feed/shared.ts';
import { type BudgetLine, countedBy } from '../gate/budget.ts';
import type { Gate } from '../gate/gate.ts';
import { shareWithAll } from '../gate/shared.ts';
import type { PolicyRegistry } from '../policy/registry.ts';
import type { ChainCache } from '../proof/cache.ts';
import type { VerifiedChain } from '../proof/chain.ts';
import { checkPop, type Pop } from '../proof/pop.ts';
import { checkReach } from '../proof/reach.ts';
import { checkTimes } from '../proof/time.ts';
import { checkTokenTimes } from '../proof/token.ts';
import type { TrustSet } from '../proof/trust.ts';
import { Denial, type Reason, type ReasonCode } from '../reason.ts';
import { bodyFacts } from '../request/body.ts';
import { checkSizes, readCredentials } from '../request/headers.ts';
import type { RouteMap } from '../request/route-map.ts';
import { signedMessage } from '../request/signed.ts';
import type { Profile } from '../schema/common.ts';
import type { Decision } from '../schema/decision.ts';
import type { Lemma } from '../schema/lemma.ts';
import type { AuthzRequest, Presented, Route } from '../schema/request.ts';
import type { BudgetUse, Tenant } from '../store/model.ts';
import { type Draft, decisionOf, enter, type Follow, openDraft, recordOf, refuse, taints } from './draft.ts';
import { buildInput, effectiveProfile, type InputFacts } from './input.ts';
import { policyDocument } from './opa-envoy.ts';
import { standing } from './standing.ts';

/** What a reload replaces, whole. */
export interface Settings {
  readonly org: string;
  readonly env: string;
  readonly trust: TrustSet;
  readonly routes: RouteMap;
  readonly configRevision: string;
}

/** What a decision is made with. `clock` gives milliseconds since 1970; `settings` the running configuration. */
export interface Pdp {
  readonly node: string;
  readonly clock: () => number;
  readonly settings: () => Settings;
  readonly chains: ChainCache;
  readonly gate: Gate;
  /** What is counted over all nodes; absent: this node counts alone. */
  readonly shared?: Shared | undefined;
  readonly policies: PolicyRegistry;
  readonly log: DecisionLog;
  /** Raises the runtime's taint epoch; resolves when that is durable and in force. */
  readonly taint: (tenant: Tenant, runtimeId: string, why: string) => Promise<void>;
  /**
   * Where the authority is another process: asks it whether this node's state is whole, and resolves with whether it was so
   * after the call. Never rejects, and never takes long. Absent: the store here is the authority.
   */
  readonly confirm?: () => Promise<boolean>;
  /** Whether this machine was asleep a moment ago: then one renewal is awaited before anything is stale. */
  readonly slept?: () => boolean;
  /** Absent where no traces are collected. */
  readonly follow?: Follow | undefined;
  /** Told of what should never happen, with the decision's id: the caller sees only `internal_error`. */
  readonly onError: (error: unknown, decisionId: string) => void;
}

/**
 * Answers one request. The only place that orders the checks (proofs.md, "Order of checks") and the only one that can
 * allow. Never throws: whatever goes wrong is a denial, with a record.
 */
export async function decide(request: AuthzRequest, pdp: Pdp): Promise<Decision> {
  const draft = openDraft(request, pdp.clock(), pdp.follow);
  const settings = pdp.settings();
  await attempt(draft, pdp, () => examine(draft, pdp, settings));
  observe(draft, pdp);
  await taint(draft, pdp);
  return conclude(draft, pdp, settings);
}

/** Whatever the steps throw is the denial that it is. */
export async function attempt(draft: Draft, pdp: Pdp, steps: () => Promise<void>): Promise<void> {
  try {
    await steps();
  } catch (error) {
    if (!(error instanceof Denial)) pdp.onError(error, draft.id);
    refuse(draft, error);
  }
}

/** Steps 1 to 14, in their order; the first that fails throws its code. */
async function examine(draft: Draft, pdp: Pdp, settings: Settings): Promise<void> {
  const { request } = draft;
  checkSizes(request.headers); //                                               1
  const presented = readCredentials(request, settings.routes.permitted); //      2
  const routed = settings.routes.find(request); //                               3
  draft.routed = routed;
  const body = bodyFacts(request);

  if (routed.route.public) {
    await evaluate(draft, pdp, settings, { presented: { ...presented, kind: 'none' }, body, pop: null });
    return;
  }

  enter(draft, 'proof');
  const now = Math.floor(draft.nowMs / 1000);
  if (presented.kind === 'none') {
    checkAsserted(request, routed.route); //                                     4
    return evaluate(draft, pdp, settings, { presented, body, pop: null });
  }
  const chain = verified(draft, pdp, settings, presented); //                    5 to 9
  checkLife(chain, now); //                                                      10
  const message = signedMessage(request, presented, body);
  const pop = checkPop(chain, presented, message, routed.route, now); //         11
  checkReach(chain, routed.route, request.method, routed.target.path); //        12

  enter(draft, 'gate');
  checkActor(request, chain); //                                                 13
  if (pdp.slept?.() === true) await pdp.confirm?.();
  pdp.gate.admit(chain, draft.nowMs);
  if (pop !== null) spend(draft, pdp, pop, now);
  draft.reservation = pdp.gate.reserve(budgetLines(chain), now);
  await share(draft, pdp, chain);

  await evaluate(draft, pdp, settings, { presented, body, pop }); //             14
}

/** Steps 5 to 9, of a chain or of the legacy token that stands for one. */
export function verified(draft: Draft, pdp: Pdp, { trust }: Settings, presented: Presented): VerifiedChain {
  const decoded = (links: readonly Lemma[]) => {
    draft.links = links;
  };
  const chain =
    presented.kind === 'token'
      ? pdp.chains.verifyToken(presented.value, trust)
      : pdp.chains.verify(presented.value, trust, decoded);
  draft.chain = chain;
  draft.links = chain.links;
  return chain;
}

function checkLife(chain: VerifiedChain, now: number): void {
  if (chain.token === undefined) checkTimes(chain.links, now);
  else checkTokenTimes(chain.token, now);
}

/** Nobody is proven: whether an enforcement point that may do so says who it is. The policy decides what that is worth. */
function checkAsserted({ asserted }: AuthzRequest, { org, env }: Route): void {
  if (asserted === undefined) throw new Denial('auth_required', 'no credential');
  const { by, tenant } = asserted;
  if (tenant !== null && (tenant.org !== org || tenant.env !== env))
    throw new Denial('auth_required', `${by} asserts subjects of ${tenant.org}/${tenant.env} only`);
}

/** What was spent and reserved here counts at all nodes, or not at all. */
export async function share(draft: Draft, pdp: Pdp, chain: VerifiedChain): Promise<void> {
  if (pdp.shared !== undefined && (draft.nonce !== null || draft.reservation !== null))
    draft.reservation = await shareWithAll(pdp.shared, chain, draft, pdp.clock);
}

/** `authorize` names a runtime: it must be the one that the proof binds. */
function checkActor(request: AuthzRequest, chain: VerifiedChain): void {
  const bound = chain.runtime.claims.runtime_id;
  if (request.runtimeId !== undefined && request.runtimeId !== bound) {
    throw new Denial('runtime_unknown', `the proof binds ${bound}, not ${request.runtimeId}`, {
      runtime_id: bound,
    });
  }
  if (request.subjectId !== undefined && request.subjectId !== chain.leaf.subject)
    throw new Denial('runtime_unknown', 'the subject is not the one that the proof names', {
      subject: chain.leaf.subject,
    });
}

export function spend(draft: Draft, pdp: Pdp, pop: Pop, now: number): void {
  const nonce = { keyid: pop.keyid, nonce: pop.nonce, created: pop.created };
  pdp.gate.spend(nonce, now);
  draft.nonce = nonce;
}

function budgetLines(chain: VerifiedChain): BudgetLine[] {
  const { org, env } = chain.root.claims;
  return [chain.runtime, chain.run].flatMap((link) => {
    const limit = link?.claims.budget?.operations;
    return link === null || limit === undefined
      ? []
      : [{ org, env, lemmaId: link.id, limit, expires: link.expires_at }];
  });
}

/** What the checks before the policy made of the request; `request` where the policy is asked about another one. */
type Checked = Pick<InputFacts, 'presented' | 'body' | 'pop'> & Partial<Pick<InputFacts, 'request'>>;

/**
 * Step 14: everything else is a fact, and the profile's Rego decides. Others are decided while a policy that runs long is
 * waited for: what was reserved stays so, and kill and revocation are looked at again at the end.
 */
export async function evaluate(draft: Draft, pdp: Pdp, settings: Settings, checked: Checked): Promise<void> {
  const { request, chain, routed } = draft;
  if (routed === null) throw new Denial('route_unknown', 'no route');
  enter(draft, 'policy');
  const claims = chain?.runtime.claims;
  const live = () =>
    claims === undefined ? null : pdp.gate.runtime(routed.route.org, routed.route.env, claims.runtime_id);
  const confirmed =
    pdp.confirm === undefined ? null : await confirmation(pdp, effectiveProfile(routed, live(), chain));
  const runtime = live();
  const profile = effectiveProfile(routed, runtime, chain);
  const { engine, ref, meta } = pdp.policies.active(profile);
  const freshness = pdp.gate.freshness();
  draft.profile = profile;
  draft.bundle = ref;
  draft.durable = meta.record === 'durable';
  const input = buildInput({
    nowMs: draft.nowMs,
    profile,
    request,
    routed,
    routeRevision: settings.routes.revision,
    ...checked,
    chain,
    runtime,
    freshness: confirmed === null ? freshness : { ...freshness, confirmed },
    budget: draft.reservation,
    disclosure: meta,
  });
  draft.input = policyDocument(input, checked.request ?? request, routed.target.query, meta);
  draft.inputJson = printable(JSON.stringify(draft.input));
  const { result, resultJson } = await engine.decide(new TextEncoder().encode(draft.inputJson));
  draft.result = result;
  draft.resultJson = resultJson;
  draft.reason = result.reason as Reason;
  draft.reasons = result.reasons as Reason[];
  draft.verdict = result.allow ? 'allow' : 'deny';
  if (!result.allow) {
    draft.reservation?.release();
    draft.reservation = null;
  }
}

/** Whether the node's state was whole after the request came, where the profile asks for that. */
async function confirmation(pdp: Pdp, profile: Profile): Promise<boolean> {
  if (!pdp.policies.active(profile).meta.confirm) return false;
  return (await pdp.confirm?.()) ?? false;
}

/** A route in `mode: observe` answers allow and keeps the true verdict; steps 1 to 3, kill and revocation still deny. */
function observe(draft: Draft, pdp: Pdp): void {
  if (draft.verdict === 'allow' || draft.routed?.route.mode !== 'observe') return;
  const stopped = draft.chain === null ? null : pdp.gate.stopped(draft.chain);
  if (stopped === null) draft.observed = true;
  else refuse(draft, new Denial(stopped, 'stopped, whatever the mode'));
}

/**
 * A tainting answer comes after this one, where only the firewall sees it: any other gateway is told "allow" when the
 * epoch is raised already. An allow that can't taint is none.
 */
async function taint(draft: Draft, pdp: Pdp): Promise<void> {
  const { chain, request } = draft;
  if (chain === null || request.border === 'firewall' || !leaves(draft) || !taints(draft)) return;
  try {
    await pdp.taint(
      chain.root.claims,
      chain.runtime.claims.runtime_id,
      `answer of ${draft.routed?.route.id} (${draft.id})`,
    );
  } catch (error) {
    pdp.onError(error, draft.id);
    draft.observed = false;
    refuse(
      draft,
      new Denial('audit_unavailable', 'the taint that its answer brings could not be made durable'),
    );
  }
}

/** The record is kept, then the last look at kill and revocation, then the answer leaves. */
export async function conclude(draft: Draft, pdp: Pdp, settings: Settings): Promise<Decision> {
  const context = {
    node: pdp.node,
    org: settings.org,
    env: settings.env,
    configRevision: settings.configRevision,
    routeRevision: settings.routes.revision,
  };
  const durable = draft.durable || draft.nonce !== null || draft.reservation !== null;
  enter(draft, draft.stage);
  try {
    await pdp.log.append(recordOf(draft, context), {
      ...textsOf(draft),
      durable,
      nonce: draft.nonce,
      budget: budgetUse(draft),
    });
  } catch (error) {
    draft.stage = 'log';
    draft.observed = false;
    refuse(draft, unrecorded(error));
    pdp.onError(error, draft.id);
    return answered(draft, pdp);
  }
  const late = lateStop(draft, pdp);
  if (late !== null) {
    draft.stage = 'answer';
    draft.observed = false;
    draft.reservation = null; // counted in the record above: a budget never grows back
    refuse(draft, new Denial(late, 'it came while the decision was made'));
    try {
      await pdp.log.append(recordOf(draft, context, true), { ...textsOf(draft), durable });
    } catch (error) {
      pdp.onError(error, draft.id);
    }
  }
  return answered(draft, pdp);
}

function answered(draft: Draft, pdp: Pdp): Decision {
  draft.trace?.end(draft);
  const { chain, request } = draft;
  if (chain === null || request.border !== 'firewall' || !leaves(draft)) return decisionOf(draft);
  return { ...decisionOf(draft), stopped: () => standing(chain, pdp) };
}

function textsOf({ inputJson, resultJson }: Draft): { inputJson?: string; resultJson?: string } {
  return { ...(inputJson === null ? {} : { inputJson }), ...(resultJson === null ? {} : { resultJson }) };
}

function budgetUse({ reservation }: Draft): BudgetUse[] {
  return (reservation?.lines ?? []).map((l) => ({
    lemma_id: countedBy(l),
    used_delta: 1,
    expires_at: l.expires,
  }));
}

/** The store knows nonces that this process does not: of another one, before it. */
function unrecorded(error: unknown): Denial {
  return error instanceof NonceSpentError
    ? new Denial('replay_detected', 'this nonce stands in an earlier record')
    : new Denial('audit_unavailable', 'the record could not be made durable');
}

/** Whether the answer, as it stands, lets the request through. */
function leaves({ verdict, observed }: Draft): boolean {
  return verdict === 'allow' || observed;
}

function lateStop(draft: Draft, pdp: Pdp): ReasonCode | null {
  return leaves(draft) && draft.chain !== null ? pdp.gate.stopped(draft.chain) : null;
}
