import { parentPort } from 'node:worker_threads';
import type { WorkerReply } from './protocol.ts';
import { type Reactor, startReactor } from './reactor.ts';

/** The thread in which OPA runs: the module first, then one request after the other. */
const port = parentPort;
if (port === null) throw new Error('worker.ts runs as a worker thread');

let reactor: Reactor | undefined;

port.on('message', (message: { module: WebAssembly.Module } | string) => {
  if (typeof message === 'string') answer(message);
  else reactor = startReactor(message.module);
});

function answer(request: string): void {
  const given = reply(request);
  port?.postMessage(given);
  // A reactor that broke is not touched again: the host ends this thread.
  if ('answer' in given) reactor?.rest();
}

function reply(request: string): WorkerReply {
  if (reactor === undefined) return { problem: 'asked before the module was there' };
  try {
    return { answer: reactor.call(request) };
  } catch (cause) {
    return { problem: reactor.problem(cause) };
  }
}
