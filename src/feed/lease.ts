import { BYTES32_PATTERN, BYTES64_PATTERN, ID_PATTERN } from '../schema/common.ts';
import { checkerOf } from '../schema/validate.ts';
import { FeedError, type FeedKeys, type Signed, verifyStatement } from './statement.ts';

/**
 * The authority's word to one node: whoever has applied `seq` of `epoch` was up to date when this was signed. `max_age_ms`
 * counts from the moment at which the node sent its nonce; after it the node allows nothing. `time`: the authority's clock.
 */
export interface LeaseTerms {
  readonly nonce: string;
  readonly node: string;
  readonly epoch: number;
  readonly seq: number;
  readonly max_age_ms: number;
  readonly time: number;
}
export type Lease = Signed<LeaseTerms>;

const count = { type: 'integer', minimum: 0, maximum: Number.MAX_SAFE_INTEGER } as const;

export const leaseSchema = {
  type: 'object',
  additionalProperties: false,
  required: ['nonce', 'node', 'epoch', 'seq', 'max_age_ms', 'time', 'keyid', 'signature'],
  properties: {
    nonce: { type: 'string', pattern: '^[A-Za-z0-9_-]{22}$' },
    node: { type: 'string', pattern: ID_PATTERN },
    epoch: count,
    seq: count,
    max_age_ms: count,
    time: count,
    keyid: { type: 'string', pattern: BYTES32_PATTERN },
    signature: { type: 'string', pattern: BYTES64_PATTERN },
  },
} as const;

const check = checkerOf<Lease>(leaseSchema);

/** @throws FeedError malformed, key_unknown, signature_invalid, out_of_order (the answer to another question) */
export function readLease(value: unknown, asked: { node: string; nonce: string }, keys: FeedKeys): Lease {
  const checked = check(value);
  if (!checked.ok) throw new FeedError('malformed', 'a lease that is none');
  verifyStatement('lease', checked.value, keys);
  const { node, nonce } = checked.value;
  if (node !== asked.node || nonce !== asked.nonce)
    throw new FeedError('out_of_order', 'a lease for another node or question');
  return checked.value;
}
