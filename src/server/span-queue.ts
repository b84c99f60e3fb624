import type { ReadableSpan, SpanExporter, SpanProcessor } from '@opentelemetry/sdk-trace';

export interface SpanCounts {
  readonly queued: number;
  /** Taken by the collector. */
  readonly exported: number;
  /** Sent, and not taken. */
  readonly failed: number;
  /** There was no room. */
  readonly dropped: number;
}

export interface SpanQueueOptions {
  readonly exporter: SpanExporter;
  /** Spans that wait at most. */
  readonly atMost: number;
  /** Told when the collector begins to refuse, or is away, and when it takes spans again. */
  readonly onState: (up: boolean, why: string) => void;
}

export interface SpanQueue extends SpanProcessor {
  counts(): SpanCounts;
}

/** As OpenTelemetry's own batches: so many at once, or after so long. */
const BATCH = 512;
const DELAY_MS = 1000;

/**
 * Ended spans on their way to the collector: one batch at a time, the rest waits in a bounded queue and is dropped beyond
 * it. The SDK's own batch processor tells nobody how many it dropped.
 */
export function createSpanQueue({ exporter, atMost, onState }: SpanQueueOptions): SpanQueue {
  const waiting: ReadableSpan[] = [];
  const counted = { exported: 0, failed: 0, dropped: 0 };
  let up = true;
  let closed = false;
  let timer: NodeJS.Timeout | null = null;
  let sending: Promise<void> | null = null;

  function sendSoon(): void {
    if (sending !== null) return;
    if (waiting.length >= BATCH) send();
    else if (waiting.length > 0) timer ??= setTimeout(send, DELAY_MS).unref();
  }

  function send(): void {
    if (timer !== null) clearTimeout(timer);
    timer = null;
    sending ??= exportBatch().finally(() => {
      sending = null;
      sendSoon();
    });
  }

  async function exportBatch(): Promise<void> {
    const batch = waiting.splice(0, BATCH);
    const error = await new Promise<Error | null>((resolve) => {
      // An exporter that throws is one that failed.
      try {
        exporter.export(batch, (result) =>
          resolve(result.code === SUCCESS ? null : (result.error ?? new Error('refused'))),
        );
      } catch (thrown) {
        resolve(thrown instanceof Error ? thrown : new Error('the exporter failed'));
      }
    });
    counted[error === null ? 'exported' : 'failed'] += batch.length;
    if (up === (error === null)) return;
    up = error === null;
    onState(up, error?.message ?? '');
  }

  async function drain(): Promise<void> {
    if (waiting.length > 0) send();
    while (sending !== null) {
      await sending;
      // Once, where nothing is taken: the rest would only wait for the same.
      if (waiting.length > 0 && up) send();
    }
  }

  return {
    onStart: () => undefined,
    onEnd(span) {
      if (closed || waiting.length >= atMost) {
        counted.dropped += 1;
        return;
      }
      waiting.push(span);
      sendSoon();
    },
    forceFlush: drain,
    async shutdown() {
      closed = true;
      await drain();
      counted.dropped += waiting.splice(0).length;
      await exporter.shutdown();
    },
    counts: () => ({ queued: waiting.length, ...counted }),
  };
}

/** `ExportResultCode.SUCCESS`, whose module need not be loaded for it. */
const SUCCESS = 0;
