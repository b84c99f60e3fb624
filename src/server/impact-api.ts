import { notFound, Refusal } from '../authority/refusal.ts';
import type { ImpactJob, ImpactJobs } from '../pdp/impact/jobs.ts';
import type { Shadow, ShadowedBundle } from '../pdp/shadow.ts';
import {
  IMPACT_LAST,
  type ImpactBody,
  impactSchema,
  type PolicyParams,
  policyParamsSchema,
  type ShadowBody,
  shadowSchema,
} from '../schema/api-impact.ts';
import type { Change } from '../schema/impact.ts';
import { filtersOf } from './decision-filters.ts';
import type { OperatorHandler } from './guard.ts';
import { reader } from './read.ts';
import { timeOrNull, timeText } from './time.ts';

/** How a policy is tried before it decides. */
export interface ImpactApi {
  readonly impacts: ImpactJobs;
  readonly shadow: Shadow;
}

type Verb = 'startImpact' | 'policyImpact' | 'cancelImpact' | 'setShadow' | 'policyShadow';

const readParams = reader<PolicyParams>(policyParamsSchema);
const readImpact = reader<ImpactBody>(impactSchema);
const readShadow = reader<ShadowBody>(shadowSchema);

export function impactHandlers({ impacts, shadow }: ImpactApi): Record<Verb, OperatorHandler> {
  return {
    async startImpact(operator, request) {
      const { sha256 } = readParams(request.params);
      const { last = IMPACT_LAST.usual, ...span } = readImpact(request.body ?? {});
      const { since = null, until = null } = filtersOf(span);
      const started = await impacts.start(sha256, operator, { since, until, last }, operator.id);
      if (started === 'bundle_unknown') throw notFound('bundle');
      if (started === 'busy')
        throw new Refusal('conflict', 'another impact is being evaluated: wait for it, or cancel it');
      return { success: true, impact: jobJson(started) };
    },
    async policyImpact(operator, request) {
      const found = await impacts.find(readParams(request.params).sha256, operator);
      if (found === null) throw notFound('impact');
      return { success: true, impact: jobJson(found) };
    },
    async cancelImpact(operator, request) {
      const ended = await impacts.cancel(readParams(request.params).sha256, operator);
      if (ended === null) throw notFound('impact that is being evaluated');
      return { success: true, impact: jobJson(ended) };
    },
    async setShadow(operator, request) {
      const named = await shadow.set(readShadow(request.body).bundles, operator.id);
      if (named === 'bundle_unknown') throw notFound('bundle');
      if (named === 'profile_twice')
        throw new Refusal('conflict', 'two of the bundles are of one profile: give one');
      return { success: true, bundles: named.map(shadowedJson) };
    },
    policyShadow(operator) {
      const { bundles, counts, changes } = shadow.found(operator);
      return {
        success: true,
        bundles: bundles.map(shadowedJson),
        counts,
        changes: changes.map(changeJson),
      };
    },
  };
}

function jobJson({ since, until, started_at, ended_at, report, ...job }: ImpactJob) {
  return {
    ...job,
    since: timeOrNull(since),
    until: timeOrNull(until),
    started_at: timeText(started_at),
    ended_at: timeOrNull(ended_at),
    report: report === null ? null : { ...report, changes: report.changes.map(changeJson) },
  };
}

function shadowedJson({ since, ...bundle }: ShadowedBundle) {
  return { ...bundle, since: timeText(since) };
}

function changeJson({ time, ...change }: Change) {
  return { ...change, time: timeText(time) };
}
