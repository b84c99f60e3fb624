import type { Authority } from '../authority/authority.ts';
import type { RuntimeDetail, ShownProof } from '../authority/detail.ts';
import type { Operator } from '../authority/operators.ts';
import { tenantOf } from '../authority/operators.ts';
import { notFound } from '../authority/refusal.ts';
import { InputError } from '../reason.ts';
import { type KillBody, killSchema } from '../schema/api.ts';
import {
  type ApproveBody,
  approveSchema,
  type JoinTokenBody,
  joinTokenSchema,
  type KillBelowBody,
  killBelowSchema,
  type ReactivateBody,
  reactivateSchema,
  type TaintBody,
  taintSchema,
} from '../schema/api-runtimes.ts';
import type { StoredEvent } from '../store/model.ts';
import type { OperatorHandler } from './guard.ts';
import { reader } from './read.ts';
import { enforcedJson, proofJson, readParams, runtimeJson } from './runtimes-api.ts';
import { timeText } from './time.ts';

const readJoinToken = reader<JoinTokenBody>(joinTokenSchema);
const readKillBelow = reader<KillBelowBody>(killBelowSchema);
const readTaint = reader<TaintBody>(taintSchema);
const readApprove = reader<ApproveBody>(approveSchema);
const readReactivate = reader<ReactivateBody>(reactivateSchema);
const readReason = reader<KillBody>(killSchema);

type Verb =
  | 'joinToken'
  | 'killBelow'
  | 'showRuntime'
  | 'taint'
  | 'approve'
  | 'contain'
  | 'resume'
  | 'reactivate';

/** The verbs on runtimes beyond those of the first tables. */
export function runtimeVerbHandlers(authority: Authority): Record<Verb, OperatorHandler> {
  return {
    async joinToken(operator, request) {
      const body = readJoinToken(request.body);
      if (!authority.signsFor(operator)) throw notFound('organisation');
      const { token, id, expires_at } = await authority.joinTokens.create(body, operator.id, operator.grants);
      return { success: true, token, id, expires_at: timeText(expires_at) };
    },
    async killBelow(operator, request) {
      const { reason, ...delegator } = readKillBelow(request.body);
      if (Object.keys(delegator).length === 0)
        throw new InputError([{ field: '', message: 'name a subject, a lemma_id or a key' }]);
      const { runtimes, ...enforced } = await authority.killBelow(
        delegator,
        whyOf(operator, reason),
        operator,
      );
      return { ...enforcedJson(enforced), runtimes };
    },
    async showRuntime(operator, request) {
      const { id } = readParams(request.params);
      return { success: true, ...detailJson(await authority.detail(operator, id)) };
    },
    async taint(operator, request) {
      const { id } = readParams(request.params);
      const { reason } = readTaint(request.body);
      const { taint_epoch, ...enforced } = await authority.taint(id, reason, tenantOf(operator), operator.id);
      return { ...enforcedJson(enforced), taint_epoch };
    },
    async approve(operator, request) {
      const { id } = readParams(request.params);
      if (!authority.signsFor(operator)) throw notFound('runtime');
      const who = { by: operator.id, grants: operator.grants };
      const { proof, lemma_id, tainted_by } = await authority.approve(id, readApprove(request.body), who);
      return { success: true, ...proofJson(proof), renewed: lemma_id, tainted_by: tainted_by.map(eventJson) };
    },
    async contain(operator, request) {
      const { id } = readParams(request.params);
      const { reason } = readReason(request.body) ?? {};
      return enforcedJson(await authority.contain(id, whyOf(operator, reason), tenantOf(operator)));
    },
    async resume(operator, request) {
      const { id } = readParams(request.params);
      const { reason } = readReason(request.body) ?? {};
      return {
        success: true,
        runtime: runtimeJson(await authority.resume(id, whyOf(operator, reason), operator)),
      };
    },
    async reactivate(operator, request) {
      const { id } = readParams(request.params);
      const { taint_epoch, reason } = readReactivate(request.body);
      const runtime = await authority.reactivate(id, taint_epoch, whyOf(operator, reason), operator);
      return { success: true, runtime: runtimeJson(runtime) };
    },
  };
}

function whyOf({ id: by }: Operator, reason: string | undefined) {
  return { by, ...(reason === undefined ? {} : { reason }) };
}

function eventJson({ epoch, seq, type, time, payload }: StoredEvent): object {
  const { by, reason, action, taint_epoch, status } = payload;
  const said = Object.entries({ action, taint_epoch, status, by, reason });
  return {
    epoch,
    seq,
    type,
    at: timeText(time),
    ...Object.fromEntries(said.filter(([, v]) => v !== undefined)),
  };
}

interface Node {
  readonly type: string;
  readonly id: string;
  readonly issuer: string;
  readonly key: string;
  readonly expires_at: string;
  readonly below: Node[];
}

function detailJson({ runtime, subject_revoked, tainted_by, events, proofs }: RuntimeDetail): object {
  return {
    runtime: runtimeJson(runtime),
    subject_revoked,
    tainted_by: tainted_by.map(eventJson),
    events: events.map(eventJson),
    proofs: proofs.map(shownProofJson),
    delegations: { subject: runtime.subject, below: treeOf(proofs) },
  };
}

function shownProofJson({
  links: _,
  spent,
  budget,
  issued_at,
  expires_at,
  renewable_until,
  ...proof
}: ShownProof): object {
  return {
    ...proof,
    budget: budget === null || budget === undefined ? null : budgetJson(budget, spent),
    issued_at: timeText(issued_at * 1000),
    expires_at: timeText(expires_at * 1000),
    renewable_until: timeText(renewable_until * 1000),
  };
}

/** A budget never resets: it ends with its proof. */
function budgetJson({ operations }: NonNullable<ShownProof['budget']>, spent: ShownProof['spent']): object {
  const used = spent?.used ?? null;
  const remaining = used === null ? null : Math.max(0, operations - used);
  return { operations, used, remaining, counted_by: spent?.by ?? 'this_process' };
}

/** Chains that share their first links, as one tree. */
function treeOf(proofs: readonly ShownProof[]): Node[] {
  const roots: Node[] = [];
  for (const { links } of proofs) {
    let level = roots;
    for (const { expires_at, ...link } of links) {
      let node = level.find(({ id }) => id === link.id);
      if (node === undefined) {
        node = { ...link, expires_at: timeText(expires_at * 1000), below: [] };
        level.push(node);
      }
      level = node.below;
    }
  }
  return roots;
}
