import { setImmediate as turn } from 'node:timers/promises';

/** Copied, into memory that the machine must first find, in 1 to 3 ms. */
const SLICE = 1 << 20;

/**
 * Copies a slice in each turn of the event loop.
 *
 * @param to asked anew for each, as a memory that grows changes its buffer
 */
export async function copyInSlices(from: Uint8Array, to: () => Uint8Array): Promise<void> {
  for (let at = 0; at < from.length; at += SLICE) {
    await turn();
    to().set(from.subarray(at, at + SLICE), at);
  }
}
