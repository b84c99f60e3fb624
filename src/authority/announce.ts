import type { Feed, FeedEvent, SignedEvent } from '../feed/feed.ts';
import { signEvent } from '../feed/feed.ts';
import type { FeedKey } from '../feed/statement.ts';
import type { EventPlace, StoreEvent } from '../store/model.ts';
import type { Store } from '../store/store.ts';

export interface Announcer {
  /** Writes events as the store does, and has the nodes hear of each once it is durable. */
  readonly appendEvent: Store['appendEvent'];
  /** The last event of the log. */
  position(): EventPlace;
  /** What the log has after `seq`, signed. */
  eventsAfter(seq: number, limit: number): Promise<SignedEvent[]>;
}

export interface AnnouncerOptions {
  readonly store: Pick<Store, 'appendEvent' | 'eventsAfter'>;
  readonly feed: Feed;
  /** Null while the service starts: no node is connected then. */
  readonly key: () => FeedKey | null;
  readonly last: EventPlace;
  readonly onError: (error: unknown, doing: string) => void;
}

export function createAnnouncer({ store, feed, key, last, onError }: AnnouncerOptions): Announcer {
  let position = last;

  return {
    async appendEvent(event) {
      const place = await store.appendEvent(event);
      // A registration that was there already has its old number.
      if (place.seq <= position.seq && place.epoch === position.epoch) return place;
      position = place;
      const signer = key();
      if (signer !== null)
        feed
          .publish(signEvent(fed(event, place), signer))
          .catch((error: unknown) =>
            onError(error, `event ${place.seq} did not leave: nodes fetch it when their lease names it`),
          );
      return place;
    },
    position: () => position,
    async eventsAfter(seq, limit) {
      const signer = key();
      if (signer === null) return [];
      return (await store.eventsAfter(seq, limit)).map((event) => signEvent(event, signer));
    },
  };
}

/** As the store gives it back: members that JSON does not know are gone. */
function fed({ org, env, type, payload, time }: StoreEvent, { epoch, seq }: EventPlace): FeedEvent {
  const kept: FeedEvent['payload'] = JSON.parse(JSON.stringify(payload));
  const id = kept.runtime_id;
  return { epoch, seq, time, org, env, type, runtime_id: typeof id === 'string' ? id : null, payload: kept };
}
