import type { Feed, SignedEvent } from './feed.ts';

/** Within one process: the control plane's open streams to its nodes subscribe to it. */
export function createLocalFeed(): Feed {
  const handlers = new Set<(event: SignedEvent) => void>();
  return {
    async publish(event) {
      for (const handler of handlers) handler(event);
    },
    subscribe(handler) {
      handlers.add(handler);
      return () => handlers.delete(handler);
    },
    async close() {
      handlers.clear();
    },
  };
}
