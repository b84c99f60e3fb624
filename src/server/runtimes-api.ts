import type { Authority } from '../authority/authority.ts';
import type { IssuedProof } from '../authority/issue.ts';
import { tenantOf } from '../authority/operators.ts';
import { notFound } from '../authority/refusal.ts';
import type { Enforced } from '../authority/stop.ts';
import type { LiveRuntime } from '../gate/runtimes.ts';
import { encodeCredential } from '../proof/issue.ts';
import { InputError } from '../reason.ts';
import {
  type BootstrapBody,
  bootstrapSchema,
  type IssueProofBody,
  issueProofSchema,
  type KillBody,
  killSchema,
  PAGE_LIMIT,
  type RevokeBody,
  type RuntimeParams,
  revokeSchema,
  runtimeParamsSchema,
} from '../schema/api.ts';
import { type RuntimesQuery, runtimesQuerySchema } from '../schema/api-runtimes.ts';
import type { OperatorHandler } from './guard.ts';
import { reader } from './read.ts';
import { timeText } from './time.ts';

export const readBootstrap = reader<BootstrapBody>(bootstrapSchema);
export const readIssueProof = reader<IssueProofBody>(issueProofSchema);
export const readParams = reader<RuntimeParams>(runtimeParamsSchema);
const readKill = reader<KillBody>(killSchema);
const readRevoke = reader<RevokeBody>(revokeSchema);
const readQuery = reader<RuntimesQuery>(runtimesQuerySchema);

/** The verbs on runtimes. Times become RFC 3339 here; below they are numbers. */
export function runtimeHandlers(
  authority: Authority,
): Record<'bootstrap' | 'issueProof' | 'listRuntimes' | 'kill' | 'revoke', OperatorHandler> {
  return {
    async bootstrap(operator, request) {
      const { key, ...body } = { ...tenantOf(operator), ...readBootstrap(request.body) };
      if (key !== undefined)
        throw new InputError([
          { field: 'key', message: 'only with a join token: leave it out, then ask issue-proof' },
        ]);
      if (body.org !== operator.org || body.env !== operator.env) throw notFound('organisation');
      const runtime = await authority.bootstrap(body, operator.id);
      return { success: true, runtime: runtimeJson(runtime) };
    },
    async issueProof(operator, request) {
      const body = readIssueProof(request.body);
      if (!authority.signsFor(operator) || authority.find(operator, body.runtime_id) === null)
        throw notFound('runtime');
      return { success: true, ...proofJson(await authority.issue(body, operator.id, operator.grants)) };
    },
    async listRuntimes(operator, request) {
      const { limit = PAGE_LIMIT.usual, agent, workspace, ...rest } = readQuery(request.query);
      const query = { ...rest, agent_id: agent, workspace_id: workspace, limit: Number(limit) };
      const { runtimes, next_cursor } = authority.list(operator, query);
      return { success: true, runtimes: runtimes.map(runtimeJson), next_cursor };
    },
    async kill(operator, request) {
      const { id } = readParams(request.params);
      const { reason } = readKill(request.body) ?? {};
      return enforcedJson(await authority.kill(id, { reason, by: operator.id }, tenantOf(operator)));
    },
    async revoke(operator, request) {
      const { id } = readParams(request.params);
      const { reason, ...target } = readRevoke(request.body);
      if (authority.find(operator, id) === null) throw notFound('runtime');
      return enforcedJson(
        await authority.revoke(targetOf(target), { reason, by: operator.id }, tenantOf(operator)),
      );
    },
  };
}

function targetOf({ lemma_id, key }: Omit<RevokeBody, 'reason'>) {
  if (lemma_id !== undefined && key === undefined) return { kind: 'lemma', value: lemma_id } as const;
  if (key !== undefined && lemma_id === undefined) return { kind: 'key', value: key } as const;
  throw new InputError([{ field: '', message: 'name either lemma_id or key' }]);
}

export function runtimeJson({ revived, ...runtime }: LiveRuntime): object {
  return {
    ...runtime,
    registered_at: timeText(runtime.registered_at),
    ...(revived === undefined ? {} : { reactivated_at: timeText(revived.at) }),
  };
}

export function proofJson({ credential, expires_at, ...about }: IssuedProof): object {
  return {
    credential,
    header: encodeCredential(credential),
    ...about,
    expires_at: timeText(expires_at * 1000),
  };
}

export function enforcedJson({ at, ...stop }: Enforced): object {
  const pending = stop.enforced ? {} : { enforced_by: timeText(stop.enforced_by) };
  return { success: true, ...stop, ...pending, at: timeText(at) };
}
