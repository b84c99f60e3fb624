import { type MessagePort, parentPort, receiveMessageOnPort, workerData } from 'node:worker_threads';
import type { Database } from 'better-sqlite3';
import { copyDatabase, sealCopy } from './backup.ts';
import { getBundle, listBundles, putBundle } from './bundles.ts';
import { recordWriter } from './commit.ts';
import { limitPages, openDatabase } from './database.ts';
import { getDocument, listDocuments, putDocument, removeDocument } from './documents.ts';
import { toWire } from './errors.ts';
import { eventWriter } from './events.ts';
import { type GroupCounts, groupWriter } from './group.ts';
import { checkpoints, eventsAfter, eventsAround, putCheckpoint } from './history.ts';
import { listRuntimes, load } from './load.ts';
import { metaOf } from './meta.ts';
import {
  type Answer,
  type Args,
  type Handlers,
  isWriteKind,
  type Kind,
  type Message,
  type OtherKind,
  type Request,
  type Result,
  type SlowRequest,
  type WorkerOptions,
  type WriteKind,
  type WriteRequest,
} from './protocol.ts';
import { logEnd, prunable, putPruning, removePruned, sizeOf } from './pruning.ts';
import { countRecords, followRecords, queryStep, recordById, streamRecords } from './query.ts';

/** The thread that alone touches the database: what has queued up is written in one transaction, then answered. */

/** Bounds one transaction, and so the wait of its first request. */
const GROUP_AT_MOST = 1024;

if (parentPort === null)
  throw new Error('src/store/worker.ts runs only as a worker thread of src/store/store.ts');
start(parentPort, workerData as WorkerOptions);

function start(port: MessagePort, options: WorkerOptions): void {
  let db: Database;
  try {
    db = openDatabase(options.path, options.now);
  } catch (error) {
    send(port, { type: 'ready', error: toWire(error, 'read') });
    port.close();
    return;
  }
  const serve = server(db, options.maxBytes);
  port.on('message', (first: Request) => {
    const requests = drain(port, first);
    const slow = requests.filter(isSlow);
    send(port, { type: 'answers', answers: serve(requests.filter((request) => !isSlow(request))) });
    for (const request of slow) void copy(port, db, request);
    if (requests.some(({ kind }) => kind === 'close')) port.close();
  });
  send(port, { type: 'ready', error: null });
}

function isSlow(request: Request): request is SlowRequest {
  return request.kind === 'copy';
}

async function copy(port: MessagePort, db: Database, { id, args }: SlowRequest): Promise<void> {
  const answer: Answer = await copyDatabase(db, args.path).then(
    (value) => ({ id, ok: true, value }),
    (error: unknown) => ({ id, ok: false, error: toWire(error, 'read') }),
  );
  send(port, { type: 'answers', answers: [answer] });
}

function send(port: MessagePort, message: Message): void {
  port.postMessage(message);
}

function drain(port: MessagePort, first: Request): Request[] {
  const requests = [first];
  while (requests.length < GROUP_AT_MOST) {
    const next = receiveMessageOnPort(port);
    if (next === undefined) break;
    requests.push(next.message as Request);
  }
  return requests;
}

/** Writes first, so that a read sees every write that was asked for before it. */
function server(
  db: Database,
  initialLimit: number | null,
): (requests: readonly Exclude<Request, SlowRequest>[]) => Answer[] {
  const counts: GroupCounts = { transactions: 0, failed: 0, writes: 0 };
  let maxBytes = initialLimit;
  const reserve = (pages: number): void => limitPages(db, maxBytes, pages);
  reserve(0);

  const records = recordWriter(db);
  const appendEvent = eventWriter(db, metaOf(db).epoch);
  const writes: Handlers<WriteKind> = {
    event: appendEvent,
    commit: ({ batch, now }) => records.write(batch, now),
    putBundle: (bundle) => putBundle(db, bundle),
    putCheckpoint: (checkpoint) => putCheckpoint(db, checkpoint),
    putPruning: (pruning) => putPruning(db, pruning),
    removePruned: ({ node, limit }) => removePruned(db, node, limit),
    putDocument: ({ document, now }) => putDocument(db, document, now),
    removeDocument: ({ kind, id, version, now }) => removeDocument(db, kind, id, version, now),
  };
  const others: Handlers<OtherKind> = {
    load: ({ now }) => load(db, now),
    runtimes: ({ tenant, after, limit }) => listRuntimes(db, tenant, after, limit),
    eventsAfter: ({ after, limit }) => eventsAfter(db, after, limit),
    eventsAround: ({ tenant, runtime_id, time, each }) => eventsAround(db, tenant, runtime_id, time, each),
    query: ({ query, from }) => queryStep(db, query, from, records.blocks),
    follow: ({ within, filters, after, limit }) => followRecords(db, within, filters, after, limit),
    count: ({ tenant, range }) => countRecords(db, tenant, range),
    recordById: ({ decision_id, within }) => recordById(db, decision_id, within),
    stream: ({ within, after, limit, whole }) => streamRecords(db, within, after, limit, whole),
    logEnd: () => logEnd(db),
    prunable: ({ node, before }) => prunable(db, node, before),
    size: () => sizeOf(db, maxBytes),
    checkpoints: ({ node, after, limit }) => checkpoints(db, node, after, limit),
    getDocument: ({ kind, id, now }) => getDocument(db, kind, id, now),
    documents: ({ kind, tenant, after, limit, now }) => listDocuments(db, kind, tenant, after, limit, now),
    getBundle: ({ sha256 }) => getBundle(db, sha256),
    bundles: () => listBundles(db),
    stats: () => ({ ...counts }),
    limit: (args) => {
      maxBytes = args.maxBytes;
      reserve(0);
    },
    seal: ({ mark, checkpoints: signed }) => sealCopy(db, mark, signed),
    close: () => {
      // Folds the WAL into the file; where that fails, the WAL stays and is as durable.
      db.close();
    },
  };
  const { keep, undo } = records;
  const writeGroup = groupWriter(
    { db, handle: (request) => run(writes, request), keep, undo, reserve },
    counts,
  );

  return (requests) => {
    const toWrite = requests.filter((request): request is WriteRequest => isWriteKind(request.kind));
    const answers = toWrite.length === 0 ? [] : writeGroup(toWrite);
    for (const request of requests) {
      if (!isWriteRequest(request)) answers.push(answer(others, request));
    }
    return answers;
  };
}

type OtherRequest = Exclude<Request, WriteRequest | SlowRequest>;

function isWriteRequest(request: WriteRequest | OtherRequest): request is WriteRequest {
  return isWriteKind(request.kind);
}

function answer(handlers: Handlers<OtherKind>, request: OtherRequest): Answer {
  try {
    return { id: request.id, ok: true, value: run(handlers, request) };
  } catch (error) {
    return { id: request.id, ok: false, error: toWire(error, 'read') };
  }
}

function run<K extends Kind>(
  handlers: Handlers<K>,
  request: { readonly kind: K; readonly args: Args<K> },
): Result<K> {
  return handlers[request.kind](request.args);
}
