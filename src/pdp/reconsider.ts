import type { Bound } from '../gate/gate.ts';
import { uncoveredScope } from '../proof/scope.ts';
import { Denial } from '../reason.ts';
import type { Routed } from '../request/route-map.ts';
import { type Profile, stricter } from '../schema/common.ts';
import type { Actor, DecisionRecord, LinkFacts } from '../schema/decision.ts';
import type { PolicyInput } from '../schema/input.ts';
import type { HeaderLine } from '../schema/request.ts';
import type { Pdp } from './decide.ts';
import { routeInput, runtimeInput } from './input.ts';
import { type Again, judged } from './replay.ts';

/**
 * What a recorded request would be told now: by the routes, the trust, the runtime's state and the policy that are in force, at
 * the time that it came at (so that a proof is as old as it was). Its credential and its body are in no record: what they were
 * found to be then is taken as found. A request that a check stopped before its facts were written down cannot be asked again.
 * Nothing is spent, counted or recorded.
 */
export async function reconsider(record: DecisionRecord, pdp: Pdp): Promise<Again> {
  const { input } = record;
  if (input === null) {
    const why = `${record.reason}: a check decided before the facts of the request were written down`;
    return { now: null, why };
  }
  try {
    return await judgedNow(record, input, pdp);
  } catch (error) {
    if (!(error instanceof Denial)) throw error;
    return { now: { verdict: 'deny', reason: error.code }, why: error.message };
  }
}

async function judgedNow(record: DecisionRecord, input: PolicyInput, pdp: Pdp): Promise<Again> {
  const settings = pdp.settings();
  const routed = routeNow(record, input, pdp);
  const { route } = routed;
  if (!route.public) checkCaller(record, input, routed, pdp);
  const runtime =
    record.actor === null ? null : pdp.gate.runtime(route.org, route.env, record.actor.runtime_id);
  const proven: Profile = input.runtime?.profile ?? 'low';
  const profile = stricter(route.risk, runtime?.profile ?? 'low', proven);
  const again: PolicyInput = {
    ...input,
    profile,
    request: { ...input.request, params: { ...routed.params } },
    route: routeInput(route, settings.routes.revision),
    runtime: runtime === null ? null : runtimeInput(runtime, proven),
  };
  return judged(pdp.policies.active(profile).engine, again);
}

/** Whether a protocol was asked for is recorded, not which: to a route it is all one. */
const UPGRADE: readonly HeaderLine[] = [['upgrade', 'recorded']];

/**
 * A gateway of ours names the route. Envoy may have: for the routes of then, it is the recorded one; of others, none is found
 * without. Throws as `RouteMap.find`.
 */
function routeNow(
  { route, border, request: sent }: DecisionRecord,
  { request }: PolicyInput,
  pdp: Pdp,
): Routed {
  const { routes } = pdp.settings();
  const { method, host, path } = request;
  const asked = { method, host, target: path, headers: sent?.upgrade === true ? UPGRADE : [] };
  const named = route === null ? asked : { ...asked, routeId: route.id };
  if (border === 'firewall' || route?.revision === routes.revision) return routes.find(named);
  try {
    return routes.find(asked);
  } catch (error) {
    if (!(error instanceof Denial) || error.code !== 'route_unknown') throw error;
    return routes.find(named);
  }
}

/** Steps 4 to 13, as far as a record knows what they look at. Throws their denials. */
function checkCaller(
  record: DecisionRecord,
  { subject, proof }: PolicyInput,
  routed: Routed,
  pdp: Pdp,
): void {
  const { org, env, audience, scope } = routed.route;
  if (subject.via === 'asserted') return;
  const { actor, links } = record;
  if (proof === null || actor === null || links === null) throw new Denial('auth_required', 'no credential');
  const root = links[0]?.issuer ?? '';
  if (subject.via !== 'token' && !pdp.settings().trust.trusts(root, record.org, record.env))
    throw new Denial('root_untrusted', `${root} is not trusted for ${record.org}/${record.env}`);
  if (!proof.audience.includes(audience) || record.org !== org || record.env !== env)
    throw new Denial('audience_mismatch', `the proof is not for ${audience} of ${org}/${env}`);
  const beyond = uncoveredScope(proof.scope, scope);
  if (beyond !== null) throw new Denial('scope_denied', `${beyond} is not granted`);
  pdp.gate.admit(boundOf(record, actor, links, proof.taint_epoch, pdp.gate), pdp.clock());
}

/** The chain as the gate looks at it. Its keys are in no record, but for the one that signed a PoP. */
function boundOf(
  { org, env, nonce, token }: DecisionRecord,
  actor: Actor,
  links: readonly LinkFacts[],
  taint_epoch: number,
  gate: Pdp['gate'],
): Bound {
  const at = links.findIndex(({ type }) => type === 'runtime');
  const binding = links[at];
  if (binding === undefined) throw new Denial('chain_incomplete', 'the record names no runtime link');
  const { subject, ...claims } = actor;
  const runtime = { ...binding, subject, claims: { ...claims, taint_epoch } };
  const bound = links.map((link) => (link === binding ? runtime : link));
  const keyids = bound.map((_, i) => (i === bound.length - 1 ? (nonce?.keyid ?? '') : ''));
  // Which key was bound is not known: one that the registration takes counts for it.
  const registered = gate.runtime(org, env, actor.runtime_id)?.keys ?? [];
  const good = registered.find((key) => !gate.revoked(org, env, key)) ?? registered[0];
  if (keyids[at] === '' && good !== undefined) keyids[at] = good;
  return {
    links: bound,
    keyids,
    runtime,
    root: { claims: { org, env } },
    ...(token === undefined ? {} : { token: { id: token.id, issuer: '' } }),
  };
}
