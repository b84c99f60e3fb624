/** A decision node as it was last heard of. Milliseconds; it should be heard of again within `fresh_ms`. */
export interface NodeSeen {
  readonly node: string;
  readonly at: number;
  readonly fresh_ms: number;
  /** Two processes bear its name. */
  readonly duplicate?: boolean;
}

/** Two processes that live under one name, since when; milliseconds. */
export interface NodeTwice {
  readonly node: string;
  readonly since: number;
}

/** Which nodes are there, and which were not heard of in time. */
export interface NodeWatch {
  seen(node: NodeSeen): void;
  /** It was taken off on purpose. */
  gone(node: string): void;
  stale(now: number): NodeSeen[];
  /** Names that more than one process was seen to bear, as long as a lease of both may hold. */
  twice(now: number): NodeTwice[];
  readonly count: number;
}

const NODES_AT_MOST = 1000;

export function createNodeWatch(): NodeWatch {
  const nodes = new Map<string, NodeSeen>();
  const doubled = new Map<string, { readonly since: number; readonly until: number }>();
  return {
    seen(node) {
      if (node.duplicate === true) {
        const before = doubled.get(node.node);
        const since = before !== undefined && before.until >= node.at ? before.since : node.at;
        doubled.set(node.node, { since, until: node.at + node.fresh_ms });
      }
      nodes.delete(node.node);
      nodes.set(node.node, node);
      const [longest] = nodes.keys();
      if (nodes.size > NODES_AT_MOST && longest !== undefined) {
        nodes.delete(longest);
        doubled.delete(longest);
      }
    },
    gone(node) {
      nodes.delete(node);
      doubled.delete(node);
    },
    stale: (now) => [...nodes.values()].filter(({ at, fresh_ms }) => now - at > fresh_ms),
    twice: (now) =>
      [...doubled].filter(([, { until }]) => now <= until).map(([node, { since }]) => ({ node, since })),
    get count() {
      return nodes.size;
    },
  };
}
