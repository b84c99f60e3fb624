import type { Shared, SharedAnswer, SharedLine } from '../feed/shared.ts';
import { Denial } from '../reason.ts';
import type { SpentNonce } from '../schema/decision.ts';
import { type Reservation, tightestOf } from './budget.ts';
import type { Bound, BoundLink } from './gate.ts';
import { NONCE_LIFE } from './replay.ts';

/** What this node has spent and reserved for one request already, by itself. */
export interface OwnShare {
  readonly nonce: SpentNonce | null;
  readonly reservation: Reservation | null;
  /** When the request was looked at, milliseconds. */
  readonly nowMs: number;
}

/**
 * An answer that comes later than this after the PoP was looked at, milliseconds, proves nothing: a process that was stopped
 * meanwhile asks when the nonce is forgotten already. It is kept 30 s longer than its PoP is good.
 */
const TOO_LATE_MS = 25_000;
/** A counter outlives its lemma by this, seconds, should a clock be set. */
const GRACE = 3600;

/**
 * The same over all nodes, in one step. Gives the reservation with the count of all nodes, whose release gives back both.
 * `clock` in milliseconds. Throws replay_detected, replay_check_unavailable; for a budget whose count cannot be asked
 * state_not_ready, and budget_exhausted where nobody knows it any more.
 */
export async function shareWithAll(
  shared: Shared,
  chain: Bound,
  { nonce, reservation, nowMs }: OwnShare,
  clock: () => number,
): Promise<Reservation | null> {
  const now = Math.floor(nowMs / 1000);
  const counted = countedOnce(chain, reservation);
  const { org, env } = chain.root.claims;
  const answer = await shared.take({
    org,
    env,
    nonce: nonce === null ? null : { ...nonce, keepS: Math.max(1, nonce.created + NONCE_LIFE - now) },
    lines: counted.map(({ link }) => lineOf(link, now)),
    now,
  });
  if (answer.kind !== 'taken') throw denialOf(answer, nonce, counted);
  if (clock() - nowMs > TOO_LATE_MS) {
    answer.giveBack();
    throw denialOf({ kind: 'unavailable', why: 'the answer came too late' }, nonce, counted);
  }
  if (reservation === null) return null;
  const tightest = tightestOf(
    counted.map(({ limit }, i) => ({ limit, used: answer.used[i] ?? Number.POSITIVE_INFINITY })),
  );
  let held = true;
  return {
    ...reservation,
    ...tightest,
    release() {
      if (!held) return;
      held = false;
      reservation.release();
      answer.giveBack();
    },
  };
}

interface Counted {
  readonly link: BoundLink;
  readonly limit: number;
}

/** Whoever signs a link chooses its id: two of one id are one counter, or a denial would give back what was never taken. */
function countedOnce(chain: Bound, reservation: Reservation | null): Counted[] {
  const byId = new Map<string, Counted>();
  for (const { lemmaId, limit } of reservation?.lines ?? []) {
    const link = chain.links.findLast(({ id }) => id === lemmaId);
    const least = Math.min(limit, byId.get(lemmaId)?.limit ?? limit);
    if (link !== undefined) byId.set(lemmaId, { link, limit: least });
  }
  return [...byId.values()];
}

function lineOf(link: BoundLink, now: number): SharedLine {
  return {
    lemmaId: link.id,
    issued: Math.max(link.issued_at, link.not_before),
    keepS: Math.max(1, link.expires_at + GRACE - now),
  };
}

function denialOf(
  answer: Exclude<SharedAnswer, { kind: 'taken' }>,
  nonce: SpentNonce | null,
  counted: readonly Counted[],
): Denial {
  switch (answer.kind) {
    case 'replayed':
      return new Denial('replay_detected', 'this nonce was spent with this key, at another node', {
        keyid: nonce?.keyid ?? null,
      });
    case 'forgotten':
      return new Denial('replay_check_unavailable', 'the nodes no longer know the nonces of that time', {
        created: nonce?.created ?? null,
        known_from: answer.knownFrom,
      });
    case 'uncounted':
      return new Denial(
        'budget_exhausted',
        'how much of it was used before the shared count was lost, nobody knows: issue it anew',
        { lemma_id: answer.lemmaId, known_from: answer.knownFrom },
      );
    case 'unavailable':
      return nonce === null
        ? new Denial('state_not_ready', 'the count that all nodes share could not be asked', {
            why: answer.why,
            lemma_ids: counted.map(({ link }) => link.id),
          })
        : new Denial('replay_check_unavailable', 'the nonces that all nodes share could not be asked', {
            why: answer.why,
          });
  }
}
