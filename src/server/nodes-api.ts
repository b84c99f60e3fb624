import { PassThrough } from 'node:stream';
import type { Announcer } from '../authority/announce.ts';
import type { Journal } from '../authority/journal.ts';
import type { Nodes } from '../authority/nodes.ts';
import { notFound, Refusal } from '../authority/refusal.ts';
import type { Stops } from '../authority/stop.ts';
import { encodeEvent, type Feed, follow, type SignedEvent } from '../feed/feed.ts';
import type { FeedSnapshot } from '../feed/snapshot.ts';
import type { Signed } from '../feed/statement.ts';
import {
  type BundleParams,
  bundleParamsSchema,
  type EventsQuery,
  eventsQuerySchema,
  type JournalBody,
  journalSchema,
  type LeaseRequestBody,
  leaseRequestSchema,
  type NodeLeaveBody,
  type NodeTaintBody,
  nodeLeaveSchema,
  nodeTaintSchema,
  type SnapshotQuery,
  snapshotQuerySchema,
} from '../schema/api-nodes.ts';
import type { Store } from '../store/store.ts';
import type { OperatorHandler } from './guard.ts';
import { reader } from './read.ts';

/** What the control plane has for its decision nodes. */
export interface NodesApi {
  readonly nodes: Nodes;
  readonly journal: Journal;
  readonly feed: Feed;
  readonly announcer: Pick<Announcer, 'position' | 'eventsAfter'>;
  /** `known`: a node of that name held a lease. */
  readonly snapshot: (known: boolean) => Promise<Signed<FeedSnapshot>>;
  readonly bundle: Store['getBundle'];
  readonly taint: Stops['taint'];
}

const readSnapshot = reader<SnapshotQuery>(snapshotQuerySchema);
const readLease = reader<LeaseRequestBody>(leaseRequestSchema);
const readLeave = reader<NodeLeaveBody>(nodeLeaveSchema);
const readEvents = reader<EventsQuery>(eventsQuerySchema);
const readBundle = reader<BundleParams>(bundleParamsSchema);
const readJournal = reader<JournalBody>(journalSchema);
const readTaint = reader<NodeTaintBody>(nodeTaintSchema);

/** Events of one read from the store. */
const PAGE = 500;
/** Bytes that a node may be behind in reading its stream: then it is cut off, and begins anew where it was. */
const BEHIND_AT_MOST = 8 * 1024 * 1024;
/** A stream ends after so long, and its node comes again where it was: with a key that may have been taken back. */
const STREAM_MS = 900_000;

type NodeOperation =
  | 'listNodes'
  | 'nodeSnapshot'
  | 'nodeEvents'
  | 'nodeLease'
  | 'nodeLeave'
  | 'nodeBundle'
  | 'policyBundle'
  | 'nodeJournal'
  | 'nodeTaint';

/** `streams`: those that are open, to be ended with the server. `streamMs`: how long one may be. */
export function nodeHandlers(
  api: NodesApi,
  streams: Set<PassThrough>,
  streamMs = STREAM_MS,
): Record<NodeOperation, OperatorHandler> {
  const { nodes, journal, announcer } = api;
  const bundle: OperatorHandler = async (_operator, request, reply) => {
    const found = await api.bundle(readBundle(request.params).sha256);
    if (found === null) throw notFound('bundle');
    return reply.type('application/gzip').send(Buffer.from(found.files));
  };
  return {
    listNodes: () => ({ success: true, nodes: nodes.list() }),
    async nodeSnapshot(_operator, request) {
      const { node } = readSnapshot(request.query);
      return { success: true, snapshot: await api.snapshot(nodes.list().some((one) => one.node === node)) };
    },
    async nodeLease(_operator, request) {
      return { success: true, lease: await nodes.lease(readLease(request.body)) };
    },
    async nodeLeave(_operator, request) {
      await nodes.leave(readLeave(request.body));
      return { success: true };
    },
    nodeEvents(_operator, request, reply) {
      const { epoch, after } = readEvents(request.query);
      const from = { epoch: Number(epoch), seq: Number(after) };
      const now = announcer.position();
      if (from.epoch !== now.epoch || from.seq > now.seq)
        throw new Refusal('moved', `this log is at ${now.epoch}/${now.seq}: take a snapshot`);
      const stream = streamOf(api, from, streamMs);
      streams.add(stream);
      stream.once('close', () => streams.delete(stream));
      return reply.type('application/x-ndjson').send(stream);
    },
    nodeBundle: bundle,
    policyBundle: bundle,
    async nodeJournal(_operator, request) {
      const { node, journal: id, lines } = readJournal(request.body);
      return { success: true, ...(await journal.take(node, id, lines)) };
    },
    async nodeTaint(operator, request) {
      const { org, env, runtime_id, reason } = readTaint(request.body);
      if (org !== operator.org || env !== operator.env) throw notFound('runtime');
      const { durable, epoch, seq } = await api.taint(runtime_id, reason, { org, env });
      if (!durable) throw new Refusal('store_unavailable', 'the taint could not be made durable');
      return { success: true, epoch, seq };
    },
  };
}

/** The log after a place, and then each event as it comes, for as long as the node listens. */
function streamOf(
  { feed, announcer }: NodesApi,
  from: { epoch: number; seq: number },
  streamMs: number,
): PassThrough {
  const out = new PassThrough();
  let at = from;
  let reading = false;
  let again = false;

  const write = (event: SignedEvent) => {
    at = { epoch: event.epoch, seq: event.seq };
    out.write(`${encodeEvent(event)}\n`);
    if (out.writableLength > BEHIND_AT_MOST) out.destroy();
  };

  async function read(): Promise<void> {
    again = true;
    if (reading) return;
    reading = true;
    try {
      while (again && !out.destroyed) {
        again = false;
        for (;;) {
          const page = await announcer.eventsAfter(at.seq, PAGE);
          for (const event of page) if (event.seq > at.seq) write(event);
          if (page.length < PAGE || out.destroyed) break;
        }
      }
    } catch {
      out.destroy();
    } finally {
      reading = false;
    }
  }

  const end = feed.subscribe((event) => {
    if (!reading && follow(at, event) === 'next') write(event);
    else void read();
  });
  const life = setTimeout(() => out.destroy(), streamMs).unref();
  out.once('close', () => {
    clearTimeout(life);
    end();
  });
  // The head of the answer leaves at once: a node that hears nothing must know that it listens.
  out.write('\n');
  void read();
  return out;
}
