import type { Authority } from '../authority/authority.ts';
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
  type RuntimesQuery,
  revokeSchema,
  runtimeParamsSchema,
  runtimesQuerySchema,
} from '../schema/api.ts';
import type { OperatorHandler } from './guard.ts';
import { reader } from './read.ts';

const readBootstrap = reader<BootstrapBody>(bootstrapSchema);
const readIssueProof = reader<IssueProofBody>(issueProofSchema);
const readKill = reader<KillBody>(killSchema);
const readRevoke = reader<RevokeBody>(revokeSchema);
const readQuery = reader<RuntimesQuery>(runtimesQuerySchema);
const readParams = reader<RuntimeParams>(runtimeParamsSchema);

/** The verbs on runtimes. Times become RFC 3339 here; below they are numbers. */
export function runtimeHandlers(
  authority: Authority,
): Record<'bootstrap' | 'issueProof' | 'listRuntimes' | 'kill' | 'revoke', OperatorHandler> {
  return {
    async bootstrap(operator, request) {
      const body = { ...tenantOf(operator), ...readBootstrap(request.body) };
      if (body.org !== operator.org || body.env !== operator.env) throw notFound('organisation');
      const runtime = await authority.bootstrap(body);
      return { success: true, runtime: runtimeJson(runtime) };
    },
    async issueProof(operator, request) {
      const body = readIssueProof(request.body);
      if (authority.find(operator, body.runtime_id) === null) throw notFound('runtime');
      const { credential, expires_at, ...about } = authority.issueProof(body);
      const header = encodeCredential(credential);
      return { success: true, credential, header, ...about, expires_at: timeText(expires_at * 1000) };
    },
    async listRuntimes(operator, request) {
      const { cursor, limit = PAGE_LIMIT.usual } = readQuery(request.query);
      const { runtimes, next_cursor } = authority.list(operator, { cursor, limit: Number(limit) });
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

function runtimeJson(runtime: LiveRuntime): object {
  return { ...runtime, registered_at: timeText(runtime.registered_at) };
}

function enforcedJson({ enforced, durable, epoch, seq, at }: Enforced): object {
  return { success: true, enforced, durable, epoch, seq, at: timeText(at) };
}

/** RFC 3339, from milliseconds. */
function timeText(ms: number): string {
  return new Date(ms).toISOString();
}
