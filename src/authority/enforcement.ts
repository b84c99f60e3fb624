/** How long after the event a node said that it had applied it. */
export interface NodeLag {
  readonly node: string;
  readonly instance: string;
  readonly lag_ms: number;
}

/**
 * How far an event has come. `enforced`: every node that may allow anything has applied it. Otherwise `enforced_by`
 * (milliseconds since 1970) is when the leases of those that have not said so end: after it no node allows.
 */
export type Spread =
  | { readonly enforced: true; readonly nodes: readonly NodeLag[] }
  | {
      readonly enforced: false;
      readonly pending: true;
      readonly enforced_by: number;
      readonly nodes: readonly NodeLag[];
      /** Those that have not said so. */
      readonly waiting: readonly Omit<NodeLag, 'lag_ms'>[];
    };

/** This process is the only one that decides. */
export const alone: Spread = { enforced: true, nodes: [] };
