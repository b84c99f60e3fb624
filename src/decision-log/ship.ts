import { type ControlClient, ControlError, record } from '../feed/control-client.ts';
import type { Pruning } from '../store/model.ts';
import type { Store } from '../store/store.ts';

export interface ShipperOptions {
  readonly store: Pick<Store, 'streamRecords' | 'putPruning' | 'removePruned'>;
  readonly client: Pick<ControlClient, 'post'>;
  readonly node: string;
  /** The id of the store, which the chain in it belongs to; and the name that its records bear. */
  readonly journal: string;
  readonly chain: string;
  readonly onError: (error: unknown, doing: string) => void;
}

export interface Shipper {
  /** There are new records. */
  wake(): void;
  /** Sends what is there, once, and ends. */
  close(): Promise<void>;
}

const LINES = 200;
const BYTES = 8 * 1024 * 1024;
const ANSWER_MS = 10_000;
const RETRY_MS = 1000;
const REMOVE = 500;

/**
 * Ships this node's records to the control plane, in order, and prunes them once it has signed that they are durable there.
 * The last ones stay until the next are acknowledged: a restart holds its clock against them.
 */
export function createShipper(options: ShipperOptions): Shipper {
  const { store, client, node, journal, chain, onError } = options;
  let position = 0;
  let before: Pruning | null = null;
  let running: Promise<void> | null = null;
  let again = false;
  let closed = false;
  let failing = false;

  async function step(): Promise<boolean> {
    const { records, next, done } = await store.streamRecords('any', position, LINES);
    const lines: string[] = [];
    let bytes = 0;
    let reached = next;
    for (const one of records) {
      if (lines.length > 0 && bytes + one.line.length > BYTES) break;
      lines.push(one.line);
      bytes += one.line.length;
      reached = one.position;
    }
    const whole = lines.length === records.length;
    if (lines.length > 0) {
      const answer = record(await client.post('/journal', { node, journal, lines }, ANSWER_MS)).pruning;
      if (before !== null) {
        await store.putPruning(before);
        while ((await store.removePruned(chain, REMOVE)) > 0);
      }
      before = answer as Pruning | null;
    }
    position = whole ? next : reached;
    return done && whole;
  }

  async function run(): Promise<void> {
    try {
      while (!(await step()));
      failing = false;
    } catch (error) {
      // Unreachable is said once elsewhere; a refusal stands until somebody mends it.
      if (!failing && !(error instanceof ControlError && error.code === 'unreachable'))
        onError(error, 'decision records are kept here: the control plane does not take them');
      failing = true;
      if (!closed) setTimeout(wake, RETRY_MS).unref();
    }
  }

  function wake(): void {
    again = true;
    if (running !== null || closed) return;
    running = (async () => {
      while (again) {
        again = false;
        await run();
      }
    })().finally(() => {
      running = null;
    });
  }

  return {
    wake,
    async close() {
      closed = true;
      await running;
      await run();
    },
  };
}
