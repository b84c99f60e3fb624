/** A decision node as it was last heard of. Milliseconds; it should be heard of again within `fresh_ms`. */
export interface NodeSeen {
  readonly node: string;
  readonly at: number;
  readonly fresh_ms: number;
}

/** Which nodes are there, and which were not heard of in time. */
export interface NodeWatch {
  seen(node: NodeSeen): void;
  /** It was taken off on purpose. */
  gone(node: string): void;
  stale(now: number): NodeSeen[];
  readonly count: number;
}

const NODES_AT_MOST = 1000;

export function createNodeWatch(): NodeWatch {
  const nodes = new Map<string, NodeSeen>();
  return {
    seen(node) {
      nodes.delete(node.node);
      nodes.set(node.node, node);
      const [longest] = nodes.keys();
      if (nodes.size > NODES_AT_MOST && longest !== undefined) nodes.delete(longest);
    },
    gone: (node) => void nodes.delete(node),
    stale: (now) => [...nodes.values()].filter(({ at, fresh_ms }) => now - at > fresh_ms),
    get count() {
      return nodes.size;
    },
  };
}
