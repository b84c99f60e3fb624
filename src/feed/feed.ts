import { BYTES32_PATTERN, BYTES64_PATTERN, ID_PATTERN } from '../schema/common.ts';
import { checkerOf } from '../schema/validate.ts';
import {
  FeedError,
  type FeedKey,
  type FeedKeys,
  type Signed,
  signStatement,
  verifyStatement,
} from './statement.ts';

/**
 * An event of the authority's log on its way to nodes: structurally, the store's StoredEvent. Within an epoch `seq`
 * counts without gaps. Times are milliseconds since 1970.
 */
export interface FeedEvent {
  readonly epoch: number;
  readonly seq: number;
  readonly time: number;
  readonly org: string;
  readonly env: string;
  readonly type: string;
  readonly runtime_id: string | null;
  readonly payload: { readonly [member: string]: unknown };
}

/**
 * Signed when it is served, not when it is stored: the log lies behind the same key anyway, and an event of years ago
 * is then signed by a key that nodes still trust, so that retiring a key leaves no history that nobody can verify.
 */
export type SignedEvent = Signed<FeedEvent>;

/**
 * Carries events to nodes; it never decides. What a subscriber is handed is unverified: a carrier may drop, repeat, reorder
 * or forge. `verifyEvent` and the order (`follow`) say what counts, and the lease says what is missing.
 */
export interface Feed {
  /** Resolves once the carrier has taken it. A rejection is no loss: nodes fetch what their lease names. */
  publish(event: SignedEvent): Promise<void>;
  /** Hears of each event that comes from now on. Gives a function that ends it. */
  subscribe(handler: (event: SignedEvent) => void): () => void;
  close(): Promise<void>;
}

const count = { type: 'integer', minimum: 0, maximum: Number.MAX_SAFE_INTEGER } as const;
const id = { type: 'string', pattern: ID_PATTERN } as const;

/** The wire form: one JSON object, on a stream one a line. */
const signedEventSchema = {
  type: 'object',
  additionalProperties: false,
  required: ['epoch', 'seq', 'time', 'org', 'env', 'type', 'runtime_id', 'payload', 'keyid', 'signature'],
  properties: {
    epoch: count,
    seq: count,
    time: count,
    org: id,
    env: id,
    type: { type: 'string', pattern: '^[a-z_]{1,32}$' },
    runtime_id: { type: ['string', 'null'], pattern: ID_PATTERN },
    payload: { type: 'object' },
    keyid: { type: 'string', pattern: BYTES32_PATTERN },
    signature: { type: 'string', pattern: BYTES64_PATTERN },
  },
} as const;

const check = checkerOf<SignedEvent>(signedEventSchema);

/** The signature covers "lemma/event/v1\n" + JCS of the event with the signer's `keyid`. */
export function signEvent(event: FeedEvent, key: FeedKey): SignedEvent {
  const { epoch, seq, time, org, env, type, runtime_id, payload } = event;
  return signStatement('event', { epoch, seq, time, org, env, type, runtime_id, payload }, key);
}

export function encodeEvent(event: SignedEvent): string {
  return JSON.stringify(event);
}

/** @throws FeedError malformed */
export function decodeEvent(text: string): SignedEvent {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw new FeedError('malformed', 'an event that is not JSON');
  }
  return readEvent(value);
}

/** @throws FeedError malformed */
function readEvent(value: unknown): SignedEvent {
  const checked = check(value);
  if (checked.ok) return checked.value;
  const [problem] = checked.problems;
  throw new FeedError('malformed', `an event with ${problem?.field ?? ''}: ${problem?.message ?? 'unknown'}`);
}

/** @throws FeedError key_unknown, signature_invalid */
export function verifyEvent(event: SignedEvent, keys: FeedKeys): void {
  verifyStatement('event', event, keys);
}

export interface Position {
  readonly epoch: number;
  readonly seq: number;
}

/** What an event is to a node that has applied everything up to `at`. A gap, or another epoch, needs a look at the log itself. */
export function follow(at: Position, event: Position): 'next' | 'known' | 'gap' | 'other_epoch' {
  if (event.epoch !== at.epoch) return 'other_epoch';
  if (event.seq <= at.seq) return 'known';
  return event.seq === at.seq + 1 ? 'next' : 'gap';
}
