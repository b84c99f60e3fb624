/**
 * Brings texts from each node of a deployment to all of them, the sender among them. It decides nothing: a text may come
 * twice, late, in another order, from a stranger, or never. Whoever hears one verifies its signature and its place in the
 * order; whoever missed one knows it by the lease.
 */
export interface Carrier {
  /** Whether it was taken along; never rejects. Nobody knows who heard it. */
  publish(text: string): Promise<boolean>;
  /** Gives a function that ends it. */
  subscribe(hear: (text: string) => void): () => void;
  /** Told whenever listening begins, again or for the first time: what was published until then may have been missed. */
  onGap(tell: () => void): () => void;
  close(): Promise<void>;
}
