import type { Operator } from '../authority/operators.ts';
import type { Policies, PolicyAct, PolicyHistory } from '../authority/policies.ts';
import type { SourceStatus } from '../authority/policy-source.ts';
import { fromBase64 } from '../crypto/base64url.ts';
import { type Bundle, filesInTar } from '../policy/bundle.ts';
import { InputError } from '../reason.ts';
import {
  type ActivatePoliciesBody,
  activatePoliciesSchema,
  type PolicyDiffQuery,
  type PolicyHistoryQuery,
  type PublishPolicyBody,
  policyDiffQuerySchema,
  policyHistoryQuerySchema,
  publishPolicySchema,
  type RollbackPolicyBody,
  rollbackPolicySchema,
} from '../schema/api-policies.ts';
import type { OperatorHandler } from './guard.ts';
import { testsSummary } from './policy-tests-api.ts';
import { reader } from './read.ts';
import { timeOrNull, timeText } from './time.ts';

const readPublish = reader<PublishPolicyBody>(publishPolicySchema);
const readActivate = reader<ActivatePoliciesBody>(activatePoliciesSchema);
const readRollback = reader<RollbackPolicyBody>(rollbackPolicySchema);
const readHistory = reader<PolicyHistoryQuery>(policyHistoryQuerySchema);
const readDiff = reader<PolicyDiffQuery>(policyDiffQuerySchema);

type Verb = 'publishPolicy' | 'activatePolicies' | 'rollbackPolicy' | 'policyHistory' | 'policyDiff';

/** The verbs on the deployment's policies. */
export function policyHandlers(
  policies: Policies,
  source: () => SourceStatus | null,
): Record<Verb, OperatorHandler> {
  return {
    async publishPolicy(operator, request) {
      const { reason, ...upload } = readPublish(request.body);
      const bundle = await policies.publish(filesOf(upload), whoOf(operator, reason));
      return { success: true, bundle: bundleJson(bundle) };
    },
    async activatePolicies(operator, request) {
      const { bundles, reason } = readActivate(request.body);
      const active = await policies.activate(bundles, whoOf(operator, reason));
      return { success: true, bundles: active.map(bundleJson) };
    },
    async rollbackPolicy(operator, request) {
      const { profile, to, reason } = readRollback(request.body);
      return {
        success: true,
        bundle: bundleJson(await policies.rollback(profile, to, whoOf(operator, reason))),
      };
    },
    async policyHistory(_operator, request) {
      const { profile } = readHistory(request.query);
      const { bundles, acts } = await policies.history();
      const shown = bundles.filter(({ name }) => profile === undefined || name === profile);
      const listed = Object.entries(acts).filter(([name]) => profile === undefined || name === profile);
      return {
        success: true,
        bundles: shown.map(infoJson),
        acts: Object.fromEntries(listed.map(([name, done]) => [name, done.map(actJson)])),
        source: sourceJson(source()),
      };
    },
    async policyDiff(_operator, request) {
      const { from, to } = readDiff(request.query);
      return { success: true, from, to, ...(await policies.diff(from, to)) };
    },
  };
}

/** Their bytes are the bundle's from here on. */
function filesOf({ bundle_base64, files_base64 }: PublishPolicyBody): ReadonlyMap<string, Uint8Array> {
  if (bundle_base64 !== undefined && files_base64 === undefined)
    return filesInTar(bytesOf('bundle_base64', bundle_base64));
  if (files_base64 === undefined || bundle_base64 !== undefined)
    throw new InputError([{ field: '', message: 'give either bundle_base64 or files_base64' }]);
  const files = Object.entries(files_base64);
  return new Map(files.map(([path, text]) => [path, bytesOf(`files_base64.${path}`, String(text))]));
}

function bytesOf(field: string, text: string): Uint8Array {
  const bytes = fromBase64(text);
  if (bytes === null) throw new InputError([{ field, message: 'must be canonical base64 with its padding' }]);
  return bytes;
}

function whoOf({ id: by }: Operator, reason: string | undefined) {
  return { by, reason };
}

function bundleJson({
  name,
  revision,
  serial,
  sha256,
}: Pick<Bundle, 'name' | 'revision' | 'serial' | 'sha256'>): object {
  return { name, revision, serial, sha256 };
}

function infoJson({ activated_at, published, tests, ...bundle }: PolicyHistory['bundles'][number]): object {
  return {
    ...bundle,
    activated_at: timeOrNull(activated_at),
    published: published === null ? null : { ...published, at: timeText(published.at) },
    tests: tests === null ? null : testsSummary(tests),
  };
}

function actJson({ at, ...act }: PolicyAct): object {
  return { ...act, at: timeText(at) };
}

function sourceJson(status: SourceStatus | null): object | null {
  if (status === null) return null;
  const { accepted, failing, rejected } = status;
  return {
    ...status,
    accepted: accepted === null ? null : { ...accepted, at: timeText(accepted.at) },
    failing: failing === null ? null : { ...failing, since: timeText(failing.since) },
    rejected: rejected.map(({ at, ...commit }) => ({ ...commit, at: timeText(at) })),
  };
}
