import { notFound } from '../authority/refusal.ts';
import { type BundleParams, bundleParamsSchema } from '../schema/api-nodes.ts';
import type { Store } from '../store/store.ts';
import type { OperatorHandler } from './guard.ts';
import { reader } from './read.ts';

export interface ImpactApi {
  readonly bundle: Store['getBundle'];
}

const readBundle = reader<BundleParams>(bundleParamsSchema);

/** What a policy would do before it decides. */
export function impactHandlers({ bundle }: ImpactApi): Record<'policyBundleFile', OperatorHandler> {
  return {
    async policyBundleFile(_operator, request, reply) {
      const found = await bundle(readBundle(request.params).sha256);
      if (found === null) throw notFound('bundle');
      return reply.type('application/gzip').send(Buffer.from(found.files));
    },
  };
}
